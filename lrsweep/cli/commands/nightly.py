"""The commands of nights: ``nightly run``, ``nightly history``, ``nightly show`` and ``nightly promote``."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep.cli.options import DeviceOption, EngineOption, ExecutorOption, ObjectOption
from lrsweep.cli.terminal import console_for_tables


class OnLocked(StrEnum):
    SKIP = "skip"
    WAIT = "wait"


StudiesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY…|FOLDER]", help="Names, study files or folders of them; by default studies/."),
]


def _file(option: str, about: str) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(option, metavar="FILE", help=about)
    return made


def nightly_run(
    studies: StudiesArgument = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            help="Of the night; the same key goes on with it, or reads what came of it. By default the date, UTC.",
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            help="Of all studies together, as in '90m' or '6h' (exit code 124; the same command and key go on).",
        ),
    ] = None,
    on_locked: Annotated[
        OnLocked,
        typer.Option(
            "--on-locked", help="What to do with a study that another process is at work on.", case_sensitive=False
        ),
    ] = OnLocked.SKIP,
    always: Annotated[
        bool,
        typer.Option("--always/--if-changed", help="Train although nothing has changed; by default only if it has."),
    ] = False,
    ok_when_changed: Annotated[bool, typer.Option("--ok-when-changed", help="Exit code 0 in the place of 4.")] = False,
    device: DeviceOption = "auto",
    engine: EngineOption = None,
    executor: ExecutorOption = None,
    summary: Annotated[Path | None, _file("--summary", "Also write the run as JSON.")] = None,
    markdown: Annotated[Path | None, _file("--markdown", "Also write a table and details as Markdown.")] = None,
    report: Annotated[Path | None, _file("--report", "Also write the history of nights as a page (HTML).")] = None,
    prometheus: Annotated[
        Path | None, _file("--prometheus", "Also write gauges for node_exporter's textfile collector (.prom).")
    ] = None,
    as_json: ObjectOption = False,
) -> None:
    """Asks of each study whether its champion is still the one to use.

    Nothing trains where nothing has changed. Else a canary does, champion and baseline on a short horizon, and
    challengers where it leaves its limits. A study without a champion runs its sweep.

    Verdicts: `holds`; `undecided`, where there are too few nights to say, or what surrounds them has changed; and with
    exit code 4 `challenger better` and `workload drifted`.
    """
    from lrsweep.cli.nightly_running import Typed, carry_out

    code = carry_out(
        Typed(
            studies or [],
            key,
            deadline,
            on_locked.value,
            is_always=always,
            is_changed_fine=ok_when_changed,
            device=device,
            engine=engine,
            executor=executor,
            files={"summary": summary, "markdown": markdown, "report": report, "prometheus": prometheus},
            is_json=as_json,
        )
    )
    if code:
        raise typer.Exit(code)


def nightly_history(
    study: Annotated[str | None, typer.Argument(help="A study's name, or its file; by default all of them.")] = None,
    as_json: ObjectOption = False,
) -> None:
    """Tells what nights have come to, the newest last: verdict, the champion's canary with its limits, how many
    trainings, and what had changed around them. Why a study's last night failed stands below.
    """
    from lrsweep.cli.nightly_drawing import show_history
    from lrsweep.findings.reading import name_of, results
    from lrsweep.nightly.history import known_history
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        found = known_history(store, None if study is None else name_of(study))
    if as_json:
        typer.echo(
            json.dumps({name: [night.to_json() for night in nights] for name, nights in found.items()}, allow_nan=False)
        )
        return
    show_history(console_for_tables(), found)


def nightly_show(
    study: Annotated[str, typer.Argument(help="A study's name, or its file.")],
    key: Annotated[str | None, typer.Argument(help="Of the night; by default the newest.")] = None,
    as_json: ObjectOption = False,
) -> None:
    """Shows one night: its verdict and why, values with their limits, changes, and who was compared."""
    from lrsweep.cli.nightly_drawing import show_night
    from lrsweep.findings.reading import name_of, results
    from lrsweep.nightly.history import one_night
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        found = one_night(store, name_of(study), key)
    if as_json:
        typer.echo(json.dumps(found.to_json(), allow_nan=False))
        return
    show_night(console_for_tables(), found)


def nightly_promote(
    study: Annotated[str, typer.Argument(help="A study's name, or its file.")],
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Also where its evidence is undecided, or its finals are worse than the champion's."
        ),
    ] = False,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, for the history.")] = None,
    as_json: ObjectOption = False,
) -> None:
    """Makes the candidate the champion: the one that a night has shown to be better, or that a sweep has found."""
    from lrsweep.champion.history import said
    from lrsweep.findings.reading import name_of, results
    from lrsweep.nightly.promoting import candidate_becomes_champion
    from lrsweep.settings import make_homes, read_settings

    settings = read_settings(os.environ)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(escape(text), highlight=False, soft_wrap=True)

    with results(settings) as store:
        found = candidate_becomes_champion(store, make_homes(settings), name_of(study), note, say, is_anyway=anyway)
    if as_json:
        assert found.row.choice is not None
        typer.echo(json.dumps({"name": found.row.name, "row": found.row.id, "choice": json.loads(found.row.choice)}))
        return
    already = "" if found.is_new else " (in force already)"
    typer.echo(f"champion of {found.row.name}: {found.words}{already}")
    if found.was is not None:
        typer.echo(f"was: {said(found.was)}; `lrsweep demote {found.row.name}` goes back to it")
