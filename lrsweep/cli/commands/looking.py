"""The commands that look, at results and at the machine, and ``cancel``: at any time, also while a driver runs."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from rich.console import Console

from lrsweep.cli.options import ObjectOption
from lrsweep.cli.terminal import console_for_tables
from lrsweep.errors import SettingsError

StudyArgument = Annotated[str, typer.Argument(help="A study's name as `lrsweep list` shows it, or its file.")]


def list_studies(as_json: ObjectOption = False) -> None:
    """Lists all studies here: the state of the newest sweep of each, its best trial, and who drives or starts it.

    `queued` and `claimed` tell of a sweep that was asked for over HTTP and that nobody drives yet, `ending` of one that
    is to be cancelled.
    """
    from lrsweep.cli import look_drawing
    from lrsweep.findings import look
    from lrsweep.findings.reading import requests, results, without_sweep
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        asked = requests(store)  # first: one that gets its sweep meanwhile is then in both, not in neither
        waiting = dict.fromkeys(asked) | dict(without_sweep(store))
        standings = look.list_studies(store)
    waiting = {study: driver for study, driver in waiting.items() if study not in {each.study for each in standings}}
    if as_json:
        told = {
            "studies": [each.to_json() for each in standings],
            "without_sweep": [{"study": study, "driver": driver} for study, driver in waiting.items()],
            "requests": [each.to_json() for each in asked.values()],
        }
        typer.echo(json.dumps(told))
    else:
        look_drawing.show_list(console_for_tables(), standings, waiting, asked)


def status(
    study: Annotated[
        str | None, typer.Argument(help="A study's name, or its file; by default the one with the newest sweep.")
    ] = None,
    as_json: ObjectOption = False,
) -> None:
    """Says where a study's newest sweep stands: who drives it since when, trials, trainings, pace, the last events."""
    from lrsweep.cli import look_drawing
    from lrsweep.findings import look
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        found = look.look_at(store, study)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        look_drawing.show_look(Console(), found)


def show(
    study: StudyArgument,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL|TRAINING]",
            help="A trial's number, the beginning of a training's id, or TRIAL:HORIZON where it has one such training; "
            "by default the whole study.",
        ),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep", metavar="ID", help="An earlier sweep instead of the newest; the beginning of its id is enough."
        ),
    ] = None,
    as_json: ObjectOption = False,
) -> None:
    """Shows a study by families, one of its trials with its schedule as code, or one training with its rates."""
    from lrsweep.cli import show as showing
    from lrsweep.cli import show_drawing
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        shown = showing.show_what(store, study, what, sweep)
    if as_json:
        typer.echo(json.dumps(shown.to_json()))
    else:
        show_drawing.show(console_for_tables(), shown)


def cancel(
    study: StudyArgument,
    wait: Annotated[
        str, typer.Option("--wait", help="How long its driver may take to save what runs, as in '90s' or '10m'.")
    ] = "5m",
    as_json: ObjectOption = False,
) -> None:
    """Ends a study's newest sweep for good, or takes back a request for one; what was found stays.

    A sweep that was asked for over HTTP and has not begun leaves the queue. Of one that has begun the driver saves what
    runs first, and one that still starts is waited for; where nobody drives it, this command ends it itself. `lrsweep
    run` starts another.
    """
    from lrsweep.cli.cancel import cancel as end
    from lrsweep.cli.cancel import close_run
    from lrsweep.findings.reading import results
    from lrsweep.settings import make_homes, read_settings
    from lrsweep.study.durations import seconds_of

    patience = seconds_of(wait)
    if patience is None:
        raise SettingsError(f"--wait is {wait!r}; wanted a time above 0 such as '90s' or '10m'.")

    def say(text: str) -> None:
        typer.echo(text, err=True)

    settings = read_settings(os.environ)
    with results(settings) as store:
        ended = end(store, study, patience_seconds=patience, say=say)
        is_to_close = ended.by == "command" and store.sweep(ended.sweep).mlflow_run_id is not None
    if is_to_close:
        close_run(make_homes(settings), ended, say)
    if as_json:
        typer.echo(json.dumps(ended.to_json()))
    elif ended.by == "queue":
        typer.echo(f"the request for sweep {ended.sweep} of study {ended.study} is cancelled; no worker had begun it")
    else:
        whose = "its driver ended it" if ended.by == "driver" else "nobody drove it"
        typer.echo(f"the sweep {ended.sweep} of study {ended.study} is {ended.status.value}; {whose}")


def doctor(
    study: Annotated[
        str | None,
        typer.Argument(help="A study file, or a study's name: whether there is room for it, and who holds it."),
    ] = None,
    as_json: ObjectOption = False,
) -> None:
    """Checks versions, devices, databases, MLflow and its permissions, disks and variables, each with its remedy.

    Exit code 70 where a sweep would not run, or could lose something.
    """
    from lrsweep.cli import doctor as drawing
    from lrsweep.cli.needs import needed_by
    from lrsweep.doctor import diagnose

    name, needed = (None, None) if study is None else needed_by(study)
    with Console(stderr=True).status("") as shown:
        findings = diagnose(
            os.environ, study=name, needed_bytes=needed, say=lambda what: shown.update(f"looking at {what}")
        )
    if as_json:
        typer.echo(json.dumps(drawing.findings_json(findings)))
    else:
        drawing.show_findings(Console(), findings)
    drawing.refuse_faults(findings)


def reproduce(
    study: StudyArgument,
    training: Annotated[str, typer.Argument(help="The beginning of a training's id, or TRIAL:HORIZON.")],
    seeds: Annotated[
        int,
        typer.Option("--seeds", help="Fresh seeds to train where it does not come out bit for bit; 0 for none."),
    ] = 5,
    device: Annotated[
        str | None, typer.Option("--device", help="By default the one that trained it: 'cpu', 'cuda' or 'cuda:1'.")
    ] = None,
    as_json: ObjectOption = False,
) -> None:
    """Trains a stored training again: reproduced, moved, or cannot, and what differs. It stores nothing.

    Exit code 70 unless it is reproduced.
    """
    from lrsweep.cli import reproduce as repeating
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings

    settings = read_settings(os.environ)
    with results(settings) as store:
        asked = repeating.read_asked(store, study, training)
    executor = repeating.executor_for(asked, device=device, data=settings.data)
    try:
        with Console(stderr=True).status("") as shown:
            found = repeating.reproduce(asked, executor, seeds=seeds, say=shown.update)
    finally:
        executor.close()
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        repeating.show_reproduction(Console(), found)
    repeating.refuse_unlike(found)
