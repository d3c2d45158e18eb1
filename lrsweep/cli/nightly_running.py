"""``lrsweep nightly run``: what was typed becomes a run, signals end it in order, and it is told."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep.cli.following import retyped
from lrsweep.cli.nightly_drawing import show_run
from lrsweep.cli.sweeping import deadline_of
from lrsweep.cli.terminal import console_for_tables
from lrsweep.errors import LrsweepError
from lrsweep.executors.engine_option import EngineOption
from lrsweep.nightly import telling
from lrsweep.nightly.asked import Asked, OnLocked, key_of
from lrsweep.nightly.finding import found_studies
from lrsweep.nightly.history import history
from lrsweep.nightly.outcome import NightRun, StudyNight
from lrsweep.nightly.running import run_nights
from lrsweep.nightly.workplace import Stops, Workplace
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import Store, open_store


@dataclass(frozen=True)
class Typed:
    studies: Sequence[str]
    key: str | None
    deadline: str | None
    on_locked: OnLocked
    is_always: bool
    is_changed_fine: bool
    device: str
    engine: str | None
    files: Mapping[str, Path | None]
    """by what they hold: summary, markdown, report, prometheus"""
    is_json: bool


def carry_out(typed: Typed) -> int:
    """The exit code. Raises SettingsError for what cannot be meant, before anything trains."""
    asked = Asked(
        key=key_of(typed.key, time.time()),
        deadline_seconds=None if typed.deadline is None else deadline_of(typed.deadline),
        on_locked=typed.on_locked,
        is_always=typed.is_always,
        device=typed.device,
        engine=None if typed.engine is None else EngineOption.parsed(typed.engine),
        is_changed_fine=typed.is_changed_fine,
    )
    found = found_studies(typed.studies)
    wanted = telling.Wanted.from_environ(os.environ, **typed.files)
    telling.check(wanted)
    settings = read_settings(os.environ)
    homes = make_homes(settings)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(escape(text), highlight=False, soft_wrap=True)

    store = open_store(homes.results_url)
    try:
        stops = Stops()
        _obey_signals(stops)
        telling.begin(wanted, asked.key, say)
        at = Workplace(store, homes, say, settings.engine, settings.faults, stops)
        run = run_nights(found, at, asked)
        telling.tell(run, _history(store, say), wanted, say)
    finally:
        store.close()
    if typed.is_json:
        typer.echo(json.dumps(run.to_json(), allow_nan=False))
    else:
        show_run(console_for_tables(), run)
    if run.notes:
        say(f"to continue: {retyped(_again(typed, run), homes.folder)}")
    return run.exit_code


def _history(store: Store, say: Callable[[str], None]) -> Mapping[str, Sequence[StudyNight]]:
    """Without a database the night is told without those before it."""
    try:
        return history(store)
    except LrsweepError as error:
        say(f"nights before this one are not told of: {error}")
        return {}


def _again(typed: Typed, run: NightRun) -> str:
    return " ".join(["nightly run", *typed.studies, "--key", run.key])


def _obey_signals(stops: Stops) -> None:
    def leave(signum: int, _frame: FrameType | None) -> None:
        if stops.signum is not None:  # the second one: now
            os._exit(128 + signum)
        stops.signal(signum)

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)
