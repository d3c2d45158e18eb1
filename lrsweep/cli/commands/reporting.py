"""The command that tells all: ``report``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from lrsweep.cli.options import ObjectOption
from lrsweep.errors import SettingsError


def report(
    study: Annotated[str, typer.Argument(help="A study's name as `lrsweep list` shows it, or its file.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="By default STUDY-report.html here; FILE is written over."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="ID",
            help="An earlier sweep instead of the newest; the beginning of its id is enough. Its page is "
            "STUDY-ID-report.html.",
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As Markdown, on standard output or in FILE: for a pull request.")
    ] = False,
    browse: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    no_mlflow: Annotated[
        bool, typer.Option("--no-mlflow", help="Do not put the page beside the sweep's run in MLflow.")
    ] = False,
    as_json: ObjectOption = False,
) -> None:
    """Writes a study's newest sweep as one page that needs no network: answer, curves, finalists, cost, and the rest.

    The page is also kept as an artifact of the sweep's own run in MLflow.
    """
    if markdown and (browse or as_json):
        raise SettingsError(
            f"--markdown and {'--open' if browse else '--json'} are both given: the one is a text in the place of "
            "the page, the other goes with the page. Keep one."
        )
    from lrsweep.cli import report_writing
    from lrsweep.settings import read_settings

    settings = read_settings(os.environ)
    if markdown:
        text = report_writing.in_markdown(settings, study, out, sweep_id=sweep)
        if out is None:
            typer.echo(text, nl=False)
        else:
            typer.echo(f"the report is in {out}")
        return

    def say(sentence: str) -> None:
        typer.echo(sentence, err=True)

    found, file, is_in_mlflow = report_writing.in_html(
        settings, study, out, to_mlflow=not no_mlflow, say=say, sweep_id=sweep
    )
    if as_json:
        typer.echo(json.dumps({**found.to_json(), "file": str(file), "is_in_mlflow": is_in_mlflow}, allow_nan=False))
    else:
        also = ", and beside the sweep's run in MLflow" if is_in_mlflow else ""
        typer.echo(f"the report is in {file}{also}")
    if browse:
        report_writing.open_in_browser(file, say)
