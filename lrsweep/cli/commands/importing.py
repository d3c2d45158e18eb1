"""The command that takes over what others found: ``import``."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from lrsweep.cli.options import ObjectOption


class Better(StrEnum):
    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


def import_trials(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="optuna:URL#STUDY or mlflow:EXPERIMENT.")],
    into: Annotated[
        str | None,
        typer.Option("--into", metavar="STUDY", help="A study file, or a name; by default the source's own name."),
    ] = None,
    same_metric: Annotated[
        bool,
        typer.Option(
            "--same-metric",
            help="Their values mean what this study's do: same data, metric, horizon and training. Else only points "
            "are taken.",
        ),
    ] = False,
    metric: Annotated[
        str | None, typer.Option("--metric", help="Of MLflow's runs, in the place of the study's own.")
    ] = None,
    direction: Annotated[
        Better | None,
        typer.Option("--direction", help="Which way that metric is better, where it is not the study's."),
    ] = None,
    as_json: ObjectOption = False,
) -> None:
    """Begins a study with what somebody else's Optuna study or MLflow experiment found, outside its budget."""
    import json

    from lrsweep.cli.importing import import_into, told
    from lrsweep.settings import read_settings

    def say(text: str) -> None:
        typer.echo(text, err=as_json)

    found = import_into(
        source,
        into,
        read_settings(os.environ),
        metric=metric,
        direction=None if direction is None else direction.value,
        same_metric=same_metric,
        say=say,
    )
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    for line in told(found, same_metric=same_metric):
        typer.echo(line)
