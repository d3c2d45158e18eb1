"""A sweep from the command line: what was typed becomes options, and signals end it in order."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress

from lrsweep.cli.following import retyped
from lrsweep.cli.live import Display, SweepConsole
from lrsweep.cli.signals import obey
from lrsweep.cli.telling import Lines
from lrsweep.errors import DeadlinePassed, Interrupted, LrsweepError, SettingsError, TryAgain
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.findings.choosing import choose_in
from lrsweep.findings.reading import results
from lrsweep.findings.reporting.ending import page_at_the_end
from lrsweep.records import SweepRow
from lrsweep.selection.choice import Choice
from lrsweep.settings import Settings, make_homes, read_settings
from lrsweep.study import Study
from lrsweep.study.durations import seconds_of
from lrsweep.sweep import events
from lrsweep.sweep.homes import Options, When
from lrsweep.sweep.progress import Progress
from lrsweep.sweep.run import run_sweep

INTERRUPTED_EARLY = "interrupted while it was starting: nothing was trained yet, and the same command starts again"


def sweep(
    study: Study,
    another: When,
    device: str,
    engine: str | None,
    executor: str | None,
    deadline: str | None,
    *,
    as_json: bool,
    command: str,
    is_synthetic: bool = False,
) -> None:
    """Drives one sweep and shows it. ``command`` and the options go into the sentence that says how to go on."""
    settings = read_settings(os.environ)
    homes = make_homes(settings)
    options = Options(
        device=(study.run.device or device) if device == "auto" else device,
        another=another,
        deadline_seconds=study.run.deadline if deadline is None else deadline_of(deadline),
        engine=_engine_of(engine, study, settings.engine),
        executor=settings.executor if executor is None else ExecutorOption.parsed(executor),
        faults=settings.faults,
    )
    # with --json, standard output belongs to the program that reads it
    console = SweepConsole(stderr=as_json)
    lines = Lines(sys.stdout) if as_json else None
    given = {
        "--device": None if device == "auto" else device,
        "--engine": engine,
        "--executor": executor,
        "--deadline": deadline,
    }
    words = [shlex.join([name, value]) for name, value in given.items() if value is not None]
    again = retyped(" ".join([command, *words]), homes.folder)
    has_begun = False
    with Display(console, study, homes) as display:
        if is_synthetic:
            display.say("--synthetic: the data are random tensors of the true shapes, so only speed means anything")

        def observe(progress: Progress) -> None:
            nonlocal has_begun
            has_begun = True
            display.show(progress)
            if lines is not None:
                lines.show(progress)

        def say(sentence: str) -> None:
            display.say(sentence)
            if lines is not None:
                lines.tell(events.note(sentence))

        tell = lines.tell if lines is not None else events.nobody
        try:
            result = run_sweep(
                study,
                homes,
                options,
                observe=observe,
                say=say,
                on_ready=lambda stop: obey(stop.signal),
                tell=tell,
                make_report=page_at_the_end,
            )
        except (Interrupted, DeadlinePassed, TryAgain) as leaving:
            display.say(f"to continue: {again}")
            if isinstance(leaving, Interrupted) and not has_begun:
                raise Interrupted(leaving.exit_code - 128, INTERRUPTED_EARLY) from None
            raise
    display.report(result, again=again, choice=None if is_synthetic else _chosen(settings, result.sweep))
    if lines is not None:
        lines.end(result)


def _chosen(settings: Settings, sweep: SweepRow) -> Choice | None:
    """What ``lrsweep choose`` would say; None where nothing reached the full horizon. A sweep does not end by it."""
    with suppress(LrsweepError), results(settings) as store:
        return choose_in(store, sweep.study, worth=None, sweep_id=sweep.sweep_id)[1]
    return None


def _engine_of(option: str | None, study: Study, default: EngineOption) -> EngineOption:
    """The command's, else the study's, else the environment's."""
    if option is not None:
        return EngineOption.parsed(option)
    return default if study.run.engine is None else EngineOption.parsed(study.run.engine, "run.engine")


def deadline_of(text: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise SettingsError(f"--deadline is {text!r}; wanted a time above 0 such as '90s', '10m' or '6h'.")
    return seconds
