"""``lrsweep nightly run``: what was typed becomes a run, signals end it in order, and it is told."""

from __future__ import annotations

import json
import math
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from lrsweep.cli.following import retyped
from lrsweep.cli.nightly_drawing import show_run
from lrsweep.cli.signals import obey
from lrsweep.cli.sweeping import deadline_of
from lrsweep.cli.terminal import console_for_tables
from lrsweep.errors import LrsweepError
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.nightly import telling
from lrsweep.nightly.asked import Asked, OnLocked, key_of
from lrsweep.nightly.finding import found_studies
from lrsweep.nightly.history import last_nights
from lrsweep.nightly.outcome import NightRun, StudyNight
from lrsweep.nightly.running import run_nights
from lrsweep.nightly.showing import show_nights
from lrsweep.nightly.training import finish_removing
from lrsweep.nightly.workplace import Stops, Workplace
from lrsweep.redaction import masked
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import Store, open_store
from lrsweep.store.probing import probe
from lrsweep.sweep.silence import Silence, obeying

OTHERS = 60
"""Nights, of a study that did not run tonight."""
SHOWING = 60.0
"""Seconds behind the deadline for MLflow to get nights: those of a job that always comes to it are shown too. Then
checkpoints may still be removed."""


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
    executor: str | None = None


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
    where = settings.executor if typed.executor is None else ExecutorOption.parsed(typed.executor)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(escape(text), highlight=False, soft_wrap=True)

    stops = Stops()
    obey(stops.signal)
    telling.begin(wanted, asked.key, say)
    began_at = time.time()
    shown_until = math.inf if asked.deadline_seconds is None else time.monotonic() + asked.deadline_seconds + SHOWING
    with ExitStack() as stack:
        try:
            homes = make_homes(settings)
            before = probe(homes.results_url)
            with obeying(stops):
                store = open_store(homes.results_url, patience=Silence(stops, say, rests=True))
            stack.callback(store.close)
            if not before.is_there:  # as where LRSWEEP_HOME is mistyped: no champion stands there, and sweeps are run
                say(f"there were no results in {before.address}: this night begins them")
            at = Workplace(store, homes, say, settings.engine, settings.faults, stops, where=where)
            run = run_nights(found, at, asked)
            history = _history(store, run, wanted, say)
        except Exception as error:  # whoever waits to hear of the night hears that there was none
            telling.tell(_none(asked.key, error, began_at), {}, wanted, say)
            raise
        telling.tell(run, history, wanted, say)
        if typed.is_json:
            typer.echo(json.dumps(run.to_json(), allow_nan=False))
        else:
            show_run(console_for_tables(), run)
        if run.notes:
            say(f"to continue: {retyped(again(typed, run.key), settings.home)}")

        def is_over() -> bool:
            return stops.signum is not None or time.monotonic() > shown_until

        # last: a server that is slow keeps nobody waiting who wants to hear of the night
        _show(store, at, run, is_over)
        finish_removing(at, is_over)
    return run.exit_code


def _show(store: Store, at: Workplace, run: NightRun, is_over: Callable[[], bool]) -> None:
    """In MLflow, which a night that trained nothing does not even load."""
    trained = [night.study for night in run.studies if night.judgement is not None and not night.is_recorded]
    if trained and at.stops.signum is None:
        outage = show_nights(store, at.homes, trained, at.say, is_over).outage
        if outage is not None:
            at.say(f"MLflow has not got the night; the next one that trains sends it, or `lrsweep sync`. {outage}")


def _none(key: str, error: Exception, began_at: float) -> NightRun:
    is_ours = isinstance(error, LrsweepError)
    code = error.exit_code if isinstance(error, LrsweepError) else 1
    text = masked(str(error) if is_ours else f"{type(error).__name__}: {error}")
    return NightRun(key, (), code, began_at, time.time(), notes=(f"no study had its night: {text}",))


def _history(
    store: Store, run: NightRun, wanted: telling.Wanted, say: Callable[[str], None]
) -> Mapping[str, Sequence[StudyNight]]:
    """As far back as what is wanted shows; without a database the night is told without those before it."""
    if not wanted.nights:
        return {}
    tonight = {night.study for night in run.studies}
    try:
        others = last_nights(store, min(wanted.nights, OTHERS), None) if wanted.has_others else {}
        return {**others, **last_nights(store, wanted.nights, tonight)}
    except LrsweepError as error:
        say(f"nights before this one are not told of: {error}")
        return {}


def again(typed: Typed, key: str) -> str:
    """What was typed, for a shell, with the key that it had by default."""
    given = {"--deadline": typed.deadline, "--engine": typed.engine, "--executor": typed.executor}
    given |= {"--device": None if typed.device == "auto" else typed.device}
    given |= {"--on-locked": None if typed.on_locked == "skip" else typed.on_locked}
    given |= {f"--{name}": None if file is None else str(file) for name, file in typed.files.items()}
    flags = {"--always": typed.is_always, "--ok-when-changed": typed.is_changed_fine, "--json": typed.is_json}
    options = [word for option, value in given.items() if value is not None for word in (option, value)]
    options += [flag for flag, is_given in flags.items() if is_given]
    end = ["--"] if any(study.startswith("-") for study in typed.studies) else []
    return shlex.join(["nightly", "run", "--key", key, *options, *end, *typed.studies])
