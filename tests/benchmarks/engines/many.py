"""Trainings per hour of a list of trainings, in every arrangement, side by side in one run.

A round takes each arrangement once, and the next one begins with another; then the best of each kind, by their medians,
meet in a duel of alternating windows, so that no lucky window decides a ratio.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.engines.arrangements import Arrangement
from tests.benchmarks.engines.workers import Absent, Workers
from tests.benchmarks.sweep.figures import spread

Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One window of one arrangement."""

    arrangement: Arrangement
    horizon: int
    round: int
    updates: int
    seconds: float
    is_duel: bool
    trainings_per_hour: float


@dataclass
class Measured:
    """What came of one problem so far."""

    runs: list[Run] = field(default_factory=list)
    absent: dict[Arrangement, str] = field(default_factory=dict)

    def speeds(self, arrangement: Arrangement, horizon: int, *, duel: bool = False) -> list[float]:
        """Trainings per hour, in the order of the rounds."""
        return [
            run.trainings_per_hour
            for run in self.runs
            if (run.arrangement, run.horizon, run.is_duel) == (arrangement, horizon, duel)
        ]

    def best(self, arrangements: Sequence[Arrangement], horizon: int) -> Arrangement | None:
        """By the median of its rounds; None where none of them can run."""
        there = [each for each in arrangements if self.speeds(each, horizon) and each not in self.absent]
        return max(there, key=lambda each: statistics.median(self.speeds(each, horizon)), default=None)


@dataclass(frozen=True)
class Lists:
    """How much is measured."""

    rounds: int
    duels: int
    seconds: float
    """of a window"""


def measure(
    workers: Workers, arrangements: Sequence[Arrangement], horizons: Sequence[int], lists: Lists, say: Say
) -> Measured:
    found = Measured()
    for number in range(lists.rounds):
        begin = number * len(arrangements) // lists.rounds
        for arrangement in [*arrangements[begin:], *arrangements[:begin]]:
            for horizon in horizons:
                _window(workers, found, arrangement, horizon, number, lists.seconds, say)
    return found


def duel(
    workers: Workers, found: Measured, fighters: Sequence[Arrangement], horizon: int, lists: Lists, say: Say
) -> None:
    """The fighters in turn, in the other order every other time."""
    for number in range(lists.duels):
        for arrangement in fighters if number % 2 else fighters[::-1]:
            _window(workers, found, arrangement, horizon, number, lists.seconds, say, is_duel=True)


def _window(
    workers: Workers,
    found: Measured,
    arrangement: Arrangement,
    horizon: int,
    number: int,
    seconds: float,
    say: Say,
    *,
    is_duel: bool = False,
) -> None:
    if arrangement in found.absent:
        return
    answer = workers.count(arrangement, horizon, seconds)
    if isinstance(answer, Absent):
        found.absent[arrangement] = answer.reason
        say(f"{arrangement.name:32} {answer.reason[:90]}")
        return
    speed = 3600 / horizon * sum(each.updates / each.seconds for each in answer)
    updates, longest = sum(each.updates for each in answer), max(each.seconds for each in answer)
    found.runs.append(Run(arrangement, horizon, number, updates, longest, is_duel, speed))
    kind = "duel " if is_duel else "round"
    say(f"{kind} {number + 1:2}  {arrangement.name:32} {horizon:5} updates {speed:10,.0f} trainings/h")


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def figures(
    found: Measured,
    sequential: Sequence[Arrangement],
    fused: Sequence[Arrangement],
    horizons: Sequence[int],
    auto: Arrangement | str,
) -> dict[str, Any]:
    """One problem's part of the result file; ``auto`` is what it would take, or why that is not known."""
    return {
        "auto": auto if isinstance(auto, str) else auto.name,
        "horizons": {str(horizon): _of_horizon(found, sequential, fused, horizon, auto) for horizon in horizons},
        "arrangements": [
            {
                "name": each.name,
                "kind": each.kind.name,
                "one_after_the_other": each.slots is None,
                "slots": each.slots,
                "processes": each.processes,
                "threads": each.threads,
                **({"reason": found.absent[each]} if each in found.absent else {}),
                "trainings_per_hour": {
                    str(horizon): spread(speeds) for horizon in horizons if (speeds := found.speeds(each, horizon))
                },
            }
            for each in (*sequential, *fused)
        ],
    }


def _of_horizon(
    found: Measured,
    sequential: Sequence[Arrangement],
    fused: Sequence[Arrangement],
    horizon: int,
    auto: Arrangement | str,
) -> dict[str, Any]:
    best_sequential, best_fused = found.best(sequential, horizon), found.best(fused, horizon)
    given: dict[str, Any] = {
        "best_sequential": best_sequential and best_sequential.name,
        "best_fused": best_fused and best_fused.name,
    }
    if best_sequential is None:
        return given
    if best_fused is not None:
        given["fused_times_sequential"] = ratio(found, best_fused, best_sequential, horizon)
    if isinstance(auto, Arrangement) and auto not in found.absent:
        given["auto_times_sequential"] = ratio(found, auto, best_sequential, horizon)
    return given


def ratio(found: Measured, one: Arrangement, other: Arrangement, horizon: int) -> dict[str, float | int] | None:
    """Of the windows of one duel each; where none was fought, of the windows of one round."""
    for is_duel in (True, False):
        pairs = list(zip(*(found.speeds(each, horizon, duel=is_duel) for each in (one, other)), strict=False))
        if pairs:
            return spread([speed / beside for speed, beside in pairs])
    return None


def runs(problem: str, found: Measured) -> list[dict[str, Any]]:
    """Every window as it was measured."""
    return [
        {
            "problem": problem,
            "arrangement": run.arrangement.name,
            "horizon": run.horizon,
            "round": run.round,
            "duel": run.is_duel,
            "updates": run.updates,
            "seconds": float(f"{run.seconds:.4g}"),
        }
        for run in found.runs
    ]


def table(many: dict[str, Any]) -> str:
    """Medians, and the ratios of the duels with their extremes."""
    lines = []
    for name, problem in many.items():
        horizons = list(problem["horizons"])
        lines += ["", f"{name}: trainings per hour, of {' and of '.join(horizons)} updates"]
        for each in problem["arrangements"]:
            medians = [each["trainings_per_hour"].get(horizon, {}).get("median") for horizon in horizons]
            cells = "".join(f"{median:>12,.0f}" if median is not None else f"{'-':>12}" for median in medians)
            lines.append(f"  {each['name']:34}{cells}  {each.get('reason', '')[:60]}".rstrip())
        lines.append(f"  auto: {problem['auto']}")
        for horizon, of_horizon in problem["horizons"].items():
            for what in ("fused", "auto"):
                found = of_horizon.get(f"{what}_times_sequential")
                if found is not None:
                    taken = problem["auto"] if what == "auto" else of_horizon["best_fused"]
                    lines.append(
                        f"  {horizon} updates: {what} ({taken}) is {found['median']:.2f} times "
                        f"{of_horizon['best_sequential']} ({found['min']:.2f} to {found['max']:.2f}, n = {found['n']})"
                    )
    return "\n".join(lines).lstrip("\n")
