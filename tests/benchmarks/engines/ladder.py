"""The serial ladder: one training at a time, rung by rung, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.engines.problem import Opened
from tests.benchmarks.engines.rungs import RESIDENT, TUTORIAL, CannotRun, Rung, Training
from tests.benchmarks.sweep.figures import spread

QUICK_UPDATES = 20

COMPARED_UPDATES = 100
LARGEST_DIFFERENCE = 0.001
"""Between the losses of two rungs at one update: kernels round differently, and an update makes that larger. Another
seed, another rate or another order of the examples is far beyond it."""


@dataclass(frozen=True)
class Round:
    problem: str
    rung: str
    round: int
    updates: int
    seconds: float
    load_before: float
    """how many processes wanted a core, averaged over the minute before"""

    @property
    def steps_per_second(self) -> float:
        return self.updates / self.seconds


@dataclass(frozen=True)
class Ladder:
    """What came of one problem."""

    opened: Opened
    updates: int
    """of a training"""
    compared: int
    """updates whose losses were compared"""
    first_seconds: dict[str, float]
    """of a rung's first training: what is compiled and captured for the first time is in here"""
    differences: dict[str, float]
    """the largest between its losses and those of the rung ``resident``"""
    absent: dict[str, str]
    """the rungs that this machine cannot run, and why"""
    rounds: list[Round]


def climb(opened: Opened, rungs: Sequence[Rung], *, rounds: int, quick: bool) -> Ladder:
    problem = opened.problem
    updates = QUICK_UPDATES if quick else problem.size.on(opened.device)
    compared = min(COMPARED_UPDATES, opened.updates_per_epoch, updates)
    first: dict[str, Training] = {}
    absent: dict[str, str] = {}
    for rung in rungs:
        try:
            first[rung.name] = rung.run(opened, compared, False)
        except CannotRun as reason:
            absent[rung.name] = str(reason)
    differences = _differences({name: training.losses for name, training in first.items()})

    present = [rung for rung in rungs if rung.name in first]
    done = []
    for number in range(rounds):
        begin = number % len(present)  # the next round begins with another rung: none always has the busy minute
        for rung in [*present[begin:], *present[:begin]]:
            load = os.getloadavg()[0]
            seconds = rung.run(opened, updates, True).seconds
            done.append(Round(problem.name, rung.name, number, updates, seconds, load))
            print(
                f"{problem.name}  round {number + 1} of {rounds}  {rung.name:16} {updates / seconds:8.0f} steps/s",
                flush=True,
            )
    first_seconds = {name: training.seconds for name, training in first.items()}
    return Ladder(opened, updates, compared, first_seconds, differences, absent, done)


def _differences(curves: dict[str, list[float]]) -> dict[str, float]:
    """Raises RuntimeError where a rung trains something else than the others."""
    if RESIDENT not in curves:
        raise RuntimeError(f"the rung {RESIDENT!r}, which the others are compared with, could not run")
    found = {
        name: max(abs(loss - other) for loss, other in zip(losses, curves[RESIDENT], strict=True))
        for name, losses in curves.items()
    }
    wrong = {name: difference for name, difference in found.items() if not difference <= LARGEST_DIFFERENCE}
    if wrong:
        raise RuntimeError(f"these do not train what {RESIDENT!r} trains; largest differences of the losses: {wrong}")
    return found


def figures(ladder: Ladder, rungs: Sequence[Rung]) -> dict[str, Any]:
    """One problem's part of the result file. A ratio compares two trainings of the same round."""
    facts = ladder.opened.workload.facts
    speeds = {(each.rung, each.round): each.steps_per_second for each in ladder.rounds}
    numbers = sorted({each.round for each in ladder.rounds})
    found: dict[str, Any] = {}
    for rung in rungs:
        if rung.name in ladder.absent:
            found[rung.name] = {"about": rung.about, "steps_per_second": None, "reason": ladder.absent[rung.name]}
            continue
        own = [speeds[rung.name, number] for number in numbers]
        found[rung.name] = {
            "about": rung.about,
            "steps_per_second": spread(own),
            **{
                f"times_{other}": spread([speed / speeds[other, n] for speed, n in zip(own, numbers, strict=True)])
                for other in (TUTORIAL, RESIDENT)
                if other not in (rung.name, *ladder.absent)
            },
            "first_seconds": round(ladder.first_seconds[rung.name], 3),
            "largest_loss_difference": float(f"{ladder.differences[rung.name]:.2g}"),
        }
    return {
        "about": ladder.opened.problem.about,
        "parameters": sum(each.numel() for each in ladder.opened.workload.model(0).parameters()),
        "batch_size": facts.batch_size,
        "updates": ladder.updates,
        "updates_compared": ladder.compared,
        "rungs": found,
    }


def runs(ladder: Ladder) -> list[dict[str, Any]]:
    """Every training as it was measured."""
    return [
        {
            "problem": each.problem,
            "rung": each.rung,
            "round": each.round,
            "seconds": float(f"{each.seconds:.4g}"),
            "load_before": round(each.load_before, 2),
        }
        for each in ladder.rounds
    ]


def table(problems: dict[str, Any]) -> str:
    """Medians; spreads and all rounds are in the JSON file."""
    lines = []
    for name, problem in problems.items():
        lines += [f"{name}: {problem['about']}; batch {problem['batch_size']}, {problem['updates']} updates"]
        lines += [f"  {'':18}{'steps/s':>10}{'x tutorial':>12}{'x resident':>12}{'first s':>10}{'difference':>12}"]
        for rung, found in problem["rungs"].items():
            if found["steps_per_second"] is None:
                lines.append(f"  {rung:18}{'-':>10}  {found['reason'][:80]}")
                continue
            ratios = [found.get(f"times_{other}", {"median": 1.0})["median"] for other in (TUTORIAL, RESIDENT)]
            lines.append(
                f"  {rung:18}{found['steps_per_second']['median']:>10.0f}{ratios[0]:>12.2f}{ratios[1]:>12.2f}"
                f"{found['first_seconds']:>10.2f}{found['largest_loss_difference']:>12.1g}"
            )
    return "\n".join(lines)
