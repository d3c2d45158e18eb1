"""The commands that put a choice in force, take it out again, and tell who was."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep.cli.options import ObjectOption
from lrsweep.cli.terminal import console_for_tables
from lrsweep.errors import SettingsError
from lrsweep.files import is_stream


class As(StrEnum):
    CHAMPION = "champion"
    CANDIDATE = "candidate"


NoteOption = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, for the history.")]


def promote(
    study: Annotated[str, typer.Argument(help="A study's name, or its file.")],
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep", metavar="ID", help="An earlier sweep instead of the newest; the beginning of its id is enough."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="Also write the choice as JSON, such as schedules/NAME.json: a file for git."
        ),
    ] = None,
    alias: Annotated[
        As | None,
        typer.Option(
            "--as",
            help="By default the champion, and a candidate where the evidence is undecided.",
            case_sensitive=False,
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Train for the test set and read it, also where the choice is undecided and has one seed: else it is "
            "read by default.",
        ),
    ] = False,
    no_test: Annotated[bool, typer.Option("--no-test", help="Leave the test set unread.")] = False,
    note: NoteOption = None,
    device: Annotated[
        str, typer.Option("--device", help="Of the trainings for the test set: 'cpu', 'cuda' or 'cuda:1'.")
    ] = "auto",
    as_json: ObjectOption = False,
) -> None:
    """Puts what `lrsweep choose STUDY` recommends in force: in the results, in MLflow's registry, and in a file.

    The test set is read here alone, once for each choice, and every read is counted.
    """
    from lrsweep.cli.promoting.drawing import told
    from lrsweep.executors.local import LocalExecutor
    from lrsweep.findings.promoting.promoted import Wanted
    from lrsweep.findings.promoting.promoted import promote as carry_out
    from lrsweep.findings.reading import results
    from lrsweep.settings import make_homes, read_settings
    from lrsweep.store.champions import Alias

    if test and no_test:
        raise SettingsError("--test and --no-test are both given; wanted one of them: is the test set to be read?")
    if to is not None:
        _refuse_other_forms(to)
    settings = read_settings(os.environ)
    console = Console(stderr=True)
    reads_test = True if test else False if no_test else None
    wanted = Wanted(study, to, None if alias is None else Alias(alias.value), note, reads_test, sweep)
    with results(settings) as store, console.status("choosing"):
        found = carry_out(
            store,
            make_homes(settings),
            wanted,
            lambda: LocalExecutor(device, data=settings.data),
            lambda text: console.print(escape(text), highlight=False, soft_wrap=True),
        )
    if as_json:
        typer.echo(json.dumps(found.to_json(), allow_nan=False))
        return
    for line in told(found):
        typer.echo(line)


def _refuse_other_forms(to: Path) -> None:
    """Of a file; what is wrong with a folder, and with a place that nobody may look at, is said when it is written."""
    with suppress(OSError):
        if to.suffix.lower() == ".json" or to.is_dir() or is_stream(to):
            return
        raise SettingsError(
            f"--to is {str(to)!r}, and the choice is written as JSON; wanted a name that ends in .json, such as "
            f"{to.with_suffix('.json').as_posix()}. `lrsweep export` writes code for other libraries."
        )


def demote(
    name: Annotated[str, typer.Argument(help="A champion's name: that of its study.")],
    alias: Annotated[As, typer.Option("--as", help="What it is now.", case_sensitive=False)] = As.CHAMPION,
    note: NoteOption = None,
    as_json: ObjectOption = False,
) -> None:
    """Takes a champion out of force: the one before it is in force again, or none. Nothing is deleted."""
    from lrsweep.cli.promoting.drawing import demotion_told
    from lrsweep.findings.promoting.demoted import demote as carry_out
    from lrsweep.findings.reading import results
    from lrsweep.settings import make_homes, read_settings
    from lrsweep.store.champions import Alias

    settings = read_settings(os.environ)
    console = Console(stderr=True)
    with results(settings) as store, console.status(""):
        found = carry_out(
            store,
            make_homes(settings),
            name,
            Alias(alias.value),
            note,
            lambda text: console.print(escape(text), highlight=False, soft_wrap=True),
        )
    if as_json:
        typer.echo(json.dumps(found.to_json(), allow_nan=False))
        return
    for line in demotion_told(found):
        typer.echo(line)


def history(
    name: Annotated[str | None, typer.Argument(help="A champion's name; by default all of them.")] = None,
    as_json: ObjectOption = False,
) -> None:
    """Tells who was promoted and demoted, what is in force, and how often each test set was read."""
    from lrsweep.champion.history import entries, reads_json
    from lrsweep.cli.promoting.told import history_json, history_of, show_history
    from lrsweep.findings.reading import results
    from lrsweep.settings import read_settings

    with results(read_settings(os.environ)) as store:
        rows, reads = history_of(store, name)
    if as_json:
        typer.echo(json.dumps(history_json(entries(rows), reads_json(reads)), allow_nan=False))
        return
    show_history(console_for_tables(), entries(rows), reads)
