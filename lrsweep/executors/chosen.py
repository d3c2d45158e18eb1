"""From ``--engine`` to the ``Crew`` that trains a sweep; what was measured for it is told, and kept in a file.

The file holds an entry for each combination of what is known to change the answer: workload, settings, optimizers,
lengths, machine, versions. What the machine does beside is not known, so a choice is as good as the minute in which it
was measured; one for which memory was short, or a process ended, is not kept.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from lrsweep import __version__
from lrsweep.engines.machine import available_cores, cpu_model, nvidia_driver
from lrsweep.executors.choosing import GPU_PROCESSES, REPEATS, Burst, Choice, Chooser, Measurer, Ratio, Rest
from lrsweep.executors.engine_option import AUTO, FUSED, EngineOption, as_option, described
from lrsweep.executors.process import capacity
from lrsweep.records import SEQUENTIAL, Crew, Json, Purpose, TrainingPlan, TrainingRow, stable_hash
from lrsweep.schedules import schedule
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.study import TIMED, ResolvedStudy

VERSION = 1
FEWEST_SLOTS = 2


def crew_for(
    asked: EngineOption,
    study: ResolvedStudy,
    rest: Rest,
    measurer: Measurer,
    file: Path | None,
    *,
    devices: int = 1,
    tick: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
) -> Crew:
    """How a device is to train its part of what is left of the sweep; ``asked`` has been checked against its workload.

    ``devices``: how many share what is left, and the cores. ``tick`` is called while something is measured, and may
    raise; without a file nothing is kept.
    """
    rest = replace(rest, steps=rest.steps / devices, at_once=rest.at_once // devices)
    if asked.crew is not None:
        return _filled(asked.crew, study, rest, devices, say)
    if study.workload.name == COMMAND:
        return Crew()
    if asked.engine == FUSED and rest.at_once < capacity(FEWEST_SLOTS):
        return Crew(slots=max(1, rest.at_once))
    if rest.at_once < 2:
        return Crew()
    cores = max(1, available_cores() // devices)
    gpu_processes = GPU_PROCESSES if devices == 1 else min(GPU_PROCESSES, cores)
    plans = measuring_plans(study, rest.at_once)
    chooser = Chooser(measurer, plans, rest, cores=cores, gpu_processes=gpu_processes, tick=tick)
    first = chooser.first()
    if first.reason is not None:
        say(f"engine: {described(Crew())}, because it could not be measured: {first.reason}")
        return Crew()
    if asked.engine == AUTO and not chooser.is_worth_it:
        crew, gain = chooser.at_a_glance()
        if crew != Crew():
            say(f"engine: {described(crew)}, {gain:.1f} times as fast as {described(Crew())} in one look")
        return crew
    asked_of = _question(asked, study, rest, chooser.device, cores)
    if devices > 1:
        asked_of["devices"] = devices
    if file is not None and (kept := recall(file, asked_of)):
        crew, measured_on = kept
        say(f"engine: {described(crew)}, as measured on {measured_on}; to measure again, remove {file}")
        return crew
    say("measuring which engine is fastest: about a minute, once for such trainings on this machine …")
    choice = chooser.choose(fused_alone=asked.engine == FUSED)
    if file is not None and choice.is_lasting:
        with suppress(OSError):  # then it is measured again another time
            remember(file, asked_of, choice)
    for line in told(choice, f"{asked_of['device']}, {cores} core{'' if cores == 1 else 's'}"):
        say(line)
    return choice.crew


def _filled(crew: Crew, study: ResolvedStudy, rest: Rest, devices: int, say: Callable[[str], None]) -> Crew:
    """No more slots than can be filled: an update costs the same for those that are empty."""
    most = max(1, rest.at_once)
    if crew.slots is None or crew.at_once <= most:
        return crew
    processes = min(crew.processes, most)
    fewer = Crew(processes, most // processes)
    say(
        f"at most {most} of the {study.trials} trials are in flight{' on each device' if devices > 1 else ''}: "
        f"{as_option(fewer)} is trained in the place of {as_option(crew)}"
    )
    return fewer


def rest_of(
    study: ResolvedStudy,
    *,
    trials_left: int,
    at_once: int,
    seconds: float = math.inf,
    trainings: Sequence[TrainingRow] = (),
) -> Rest:
    """What the trials cost, and the finals that follow them: what is queued of these, else what the search is expected
    to leave them. ``trainings`` are the sweep's so far.
    """
    finals = [row for row in trainings if row.purpose is Purpose.FINAL]
    queued = sum(row.horizon for row in finals if not row.status.is_outcome)
    expected = study.total_steps - study.cost.steps(study.trials) - sum(row.steps for row in finals)
    steps = queued if queued and not trials_left else max(0.0, expected)
    if study.budget.kind not in TIMED:  # how many trials a clock pays for is a guess: the search may still ask
        at_once = min(at_once, max(trials_left, int(steps // study.horizon)))
    return Rest(study.cost.steps(trials_left) + steps, at_once, seconds)


def measuring_plans(study: ResolvedStudy, count: int) -> tuple[TrainingPlan, ...]:
    """Like the search's own first trainings: its optimizers in turn, at the lowest rates, which do not diverge."""
    optimizers = study.space.optimizers
    return tuple(
        TrainingPlan(
            training_id=f"measure-{number}",
            attempt=1,
            workload=study.workload,
            schedule=schedule("constant"),
            peak_lr=study.space.peak_lr[optimizers[number % len(optimizers)]][0],
            optimizer=study.optimizer(optimizers[number % len(optimizers)]),
            horizon=study.rungs[0],
            seed=number,
            evaluations=study.evaluations,
            metric=study.metric,
            direction=study.direction,
            engine=study.engine,
        )
        for number in range(count)
    )


def _question(asked: EngineOption, study: ResolvedStudy, rest: Rest, device: str, cores: int) -> dict[str, Json]:
    """What is known to change the answer. The build of torch says which CUDA libraries it runs with."""
    facts = study.facts
    return {
        "asked": asked.engine,
        "workload": facts.name,
        "settings": dict(facts.settings),
        "version": facts.version,
        "data_hash": facts.data_hash,
        "batch_size": facts.batch_size,
        "optimizers": list(study.space.optimizers),
        "first_horizon": study.rungs[0],
        "evaluations": study.evaluations,
        "engine": study.engine.changed(),
        "at_once": rest.at_once,
        "device": cpu_model() if device == "cpu" else device,
        "cores": cores,
        "driver": None if device == "cpu" else nvidia_driver(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "lrsweep": __version__,
    }


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def recall(file: Path, asked_of: Mapping[str, Json]) -> tuple[Crew, str] | None:
    """What was chosen for the same question, and the date; None where nothing was, or the file cannot be read."""
    try:
        kept = _entries(file)[stable_hash(dict(asked_of))]["choice"]
        processes, slots = kept["crew"]["processes"], kept["crew"]["slots"]
        if not _is_count(processes) or not (slots is None or _is_count(slots)):
            return None
        return Crew(processes, slots), str(kept["measured_on"])
    except (KeyError, TypeError):
        return None


def remember(file: Path, asked_of: Mapping[str, Json], choice: Choice) -> None:
    """Adds the choice to the file, or replaces what it held for the same question; a damaged file begins anew."""
    entry = {"of": dict(asked_of), "choice": {**asdict(choice), "measured_on": f"{datetime.now(UTC):%Y-%m-%d}"}}
    entries = {**_entries(file), stable_hash(dict(asked_of)): entry}
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_text(json.dumps({"version": VERSION, "entries": entries}, indent=1) + "\n", encoding="utf-8")
    beside.replace(file)  # whoever reads meanwhile has the old file or the new one


def _entries(file: Path) -> dict[str, Json]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        entries = content["entries"] if content["version"] == VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _is_count(value: Json) -> bool:
    return type(value) is int and value > 0


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────
def told(choice: Choice, where: str) -> list[str]:
    """What was measured, and what follows from it."""
    lines = [f"engines measured in {choice.seconds:.0f} s, in updates per second ({where}):"]
    for engine in (SEQUENTIAL, FUSED):
        of_it = [burst for burst in choice.bursts if (burst.crew.slots is None) == (engine == SEQUENTIAL)]
        if of_it:
            lines.append(f"  {engine}: {', '.join(map(_told_of, of_it))}")
    lines += [f"  {described(burst.crew)}: {burst.reason}" for burst in choice.bursts if burst.reason is not None]
    lines += [f"  {note}" for note in choice.notes]
    return [*lines, f"engine: {described(choice.crew)}{_because(choice)}"]


def _told_of(burst: Burst) -> str:
    """``4,050 with 8 slots``, ``1,890 in 2 processes``."""
    slots, processes = burst.crew.slots, burst.crew.processes
    parts = [f"{burst.speed:,.0f}" if burst.speed else "nothing"]
    if slots is not None:
        parts.append(f"with {slots} slots")
    if slots is None or processes > 1:
        parts.append(f"in {processes} process{'' if processes == 1 else 'es'}")
    return " ".join(parts)


def _because(choice: Choice) -> str:
    return "".join(f"; {_compared(ratio)}" for ratio in choice.ratios)


def _compared(ratio: Ratio) -> str:
    how = "is" if ratio.is_clear else "is not clearly faster:"
    return (
        f"{described(ratio.first)} {how} {ratio.value:.2f} times as fast as {described(ratio.second)} "
        f"(95 % interval {ratio.low:.2f} to {ratio.high:.2f}, {REPEATS} alternating repeats)"
    )
