"""What a script says of itself before anything is trained: it is started once, and ``lrsweep.attach`` answers."""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lrsweep.engines.command.devices import concurrency
from lrsweep.engines.command.folder import link_lrsweep, script_environment
from lrsweep.engines.command.process import Ended, Guarded
from lrsweep.errors import InvalidInput
from lrsweep.records import Json, WorkloadFacts
from lrsweep.scripts.command import NAME, OPTIMIZER, Command
from lrsweep.scripts.command_line import filled, placeholders
from lrsweep.scripts.plan_file import PlanFile, ScriptFacts, read_facts, write_plan_file

PATIENCE = 300.0
"""Seconds in which a script has to come to its call of ``attach``, at least: imports take long on a shared file system.
A longer ``stall_after`` counts, for a script that waits in the queue of a batch system."""
LEAVING = 10.0
"""Seconds for a script that has answered to end by itself."""
LOOK_EVERY = 0.1
NOT_STARTED = 127
"""The exit code for a program that is not there, of our guard as of a shell."""
RANGE = 10.0
"""The default search range reaches from a tenth of the script's own peak rate to ten times that."""


def describe(
    command: Command, environ: Mapping[str, str], folder: Path, tick: Callable[[], None] = lambda: None
) -> WorkloadFacts:
    """The facts of a command; ``folder`` is an empty one for this alone. Raises InvalidInput with what to do."""
    concurrency(command, environ)
    answer = _asked(command, environ, folder, tick) if command.follows == "attach" else None
    steps = command.steps or (answer.total_steps if answer else None)
    if steps is None:
        where = ", or total_steps in the script's call of lrsweep.attach" if answer else ""
        raise InvalidInput(
            f"nobody says how many updates a full training of {command.command!r} has. Set study.workload.steps{where}."
        )
    return WorkloadFacts(
        name=NAME,
        settings=command.meaning(),
        version=command.version,
        data_hash="",
        batch_size=0,
        horizon=steps,
        peak_lr={OPTIMIZER: (answer.peak_lr / RANGE, answer.peak_lr * RANGE)} if answer else {},
        script_settings=answer.settings or None if answer else None,
        baseline=(json.dumps(answer.schedule), answer.peak_lr) if answer and answer.schedule else None,
    )


def _asked(command: Command, environ: Mapping[str, str], folder: Path, tick: Callable[[], None]) -> ScriptFacts:
    plan = PlanFile(folder=folder, asks="facts", total_steps=command.steps or 0)
    write_plan_file(plan)
    link_lrsweep(folder)
    script = Guarded(folder, script_environment(environ, folder, {}))
    argv = _any_arguments(command)
    script.begin(argv, stop_grace=command.stop_grace, reports=None)
    patience = max(PATIENCE, math.inf if command.stall_after is None else command.stall_after)
    give_up = time.monotonic() + patience
    answer = None
    try:
        while script.ended is None and time.monotonic() < give_up:
            script.wait(LOOK_EVERY)
            tick()
            if answer is None and (answer := read_facts(plan)) is not None:
                give_up = time.monotonic() + LEAVING
        came_to_its_end = script.ended is not None
    finally:
        script.close()
    answer = answer or read_facts(plan)
    if answer is None:
        assert script.ended is not None
        how = _how_it_ended(script.ended) if came_to_its_end else _slow(patience)
        raise InvalidInput(
            f"{shlex.join(argv)!r} was started to hear what it trains, and {how}{script.ended.last_words}"
        )
    return answer


_REMEDY = (
    "A script that is to follow a sweep calls lrsweep.attach(peak_lr=..., total_steps=...) before it loads anything; "
    "one that cannot be edited takes its rates from {lr_table} in the command, or from flags under "
    "[study.workload.families]"
)


def _slow(patience: float) -> str:
    return (
        f"did not come to its call of lrsweep.attach within {patience:.0f} s (300 s, or stall_after where that is "
        f"longer). {_REMEDY}"
    )


def _how_it_ended(ended: Ended) -> str:
    if ended.code == 0:
        return f"ended without calling lrsweep.attach. {_REMEDY}"
    if ended.code == NOT_STARTED:
        return (
            "could not be. Its program is looked for on PATH: activate the environment that it belongs to, or write "
            "its whole path"
        )
    if ended.code is None:
        return "its guard ended before it called lrsweep.attach"
    code = ended.code
    how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
    return f"{how} before it called lrsweep.attach. Run it by hand, and mend it"


def _any_arguments(command: Command) -> list[str]:
    """Nothing is trained: any value does, but the script may read them before it attaches."""
    values: dict[str, Json] = dict.fromkeys(placeholders(command.command), 1)
    return filled(command.command, values | {"seed": 0, "steps": command.steps or 1, "peak_lr": 1e-3})
