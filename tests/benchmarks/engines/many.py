"""Trainings per hour of a list of trainings, in every arrangement, side by side in one run.

A round takes each arrangement once, and the next one begins with another; then the best of each kind, by their medians,
and the baselines meet in a duel of alternating windows, so that no lucky window decides a ratio.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.engines.arrangements import BASELINES, Arrangement, of_baseline
from tests.benchmarks.engines.auto import Auto
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
    dropped: dict[tuple[Arrangement, int], str] = field(default_factory=dict)
    """what had its first round alone at that horizon, and why"""

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
    drop: float | None = None
    """what is so many times slower than the best of its side in the first round has no other; None: all have all"""


def measure(
    workers: Workers, arrangements: Sequence[Arrangement], horizons: Sequence[int], lists: Lists, say: Say
) -> Measured:
    found = Measured()
    for number in range(lists.rounds):
        begin = number * len(arrangements) // lists.rounds
        for arrangement in [*arrangements[begin:], *arrangements[:begin]]:
            for horizon in horizons:
                if (arrangement, horizon) not in found.dropped:
                    _window(workers, found, arrangement, horizon, number, lists.seconds, say)
        if number == 0 and lists.drop is not None:
            for horizon in horizons:
                drop(found, arrangements, horizon, lists.drop)
    return found


def drop(found: Measured, arrangements: Sequence[Arrangement], horizon: int, times: float) -> None:
    """After the first round: what is so many times slower than the best of its side."""
    for is_fused in (False, True):
        side = [each for each in arrangements if (each.slots is not None) == is_fused]
        best = found.best(side, horizon)
        if best is None:
            continue
        [most, *_] = found.speeds(best, horizon)
        for each in side:
            for speed in found.speeds(each, horizon):
                if times * speed < most:
                    found.dropped[each, horizon] = f"one round: {most / speed:.1f} times slower than {best.name} in it"


def fighters(
    found: Measured,
    sequential: Sequence[Arrangement],
    fused: Sequence[Arrangement],
    horizon: int,
    auto: Arrangement | None,
) -> list[Arrangement]:
    """Between which a ratio is asked for, each once."""
    all_of_them = [*rivals(found, sequential, horizon).values(), found.best(fused, horizon), auto]
    return list(dict.fromkeys(each for each in all_of_them if each is not None))


def rivals(found: Measured, sequential: Sequence[Arrangement], horizon: int) -> dict[str, Arrangement]:
    """The fastest of all that train one after the other, and the fastest of each baseline that can run."""
    best = {"sequential": found.best(sequential, horizon)}
    best |= {name: found.best(of_baseline(name, sequential), horizon) for name in BASELINES}
    return {name: each for name, each in best.items() if each is not None}


def duel(
    workers: Workers, found: Measured, arrangements: Sequence[Arrangement], horizon: int, lists: Lists, say: Say
) -> None:
    """These in turn, in the other order every other time."""
    for number in range(lists.duels):
        for arrangement in arrangements if number % 2 else arrangements[::-1]:
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
    autos: Mapping[int, Auto],
) -> dict[str, Any]:
    """One problem's part of the result file; ``autos`` of each of its horizons."""
    horizons = list(autos)
    return {
        "horizons": {
            str(horizon): _of_horizon(found, sequential, fused, horizon, auto) for horizon, auto in autos.items()
        },
        "arrangements": [
            {
                "name": each.name,
                "kind": each.kind.name,
                "one_after_the_other": each.slots is None,
                "slots": each.slots,
                "processes": each.processes,
                "threads": each.threads,
                **({"reason": found.absent[each]} if each in found.absent else {}),
                "dropped": {str(horizon): why for (one, horizon), why in found.dropped.items() if one == each},
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
    auto: Auto,
) -> dict[str, Any]:
    beside = rivals(found, sequential, horizon)
    ours = {"fused": found.best(fused, horizon), "auto": None if auto.taken in found.absent else auto.taken}
    given: dict[str, Any] = {f"best_{name}": each.name for name, each in beside.items()}
    given["best_fused"] = ours["fused"] and ours["fused"].name
    given |= {"auto": auto.name, "auto_seconds": auto.seconds and float(f"{auto.seconds:.3g}")}
    for what, each in ours.items():
        for name, rival in beside.items():
            if each is not None and (times := ratio(found, each, rival, horizon)) is not None:
                given[f"{what}_times_{name}"] = times
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
        for horizon, of_horizon in problem["horizons"].items():
            seconds = of_horizon["auto_seconds"]
            took = "" if seconds is None else f", chosen in {seconds:.0f} s"
            lines.append(f"  {horizon} updates: auto: {of_horizon['auto']}{took}")
            for what, key in (("fused", "best_fused"), ("auto", "auto")):
                for rival in ("sequential", *BASELINES):
                    found = of_horizon.get(f"{what}_times_{rival}")
                    if found is not None:
                        lines.append(
                            f"  {horizon} updates: {what} ({of_horizon[key]}) is {found['median']:.2f} times "
                            f"{_worded(rival)}{of_horizon[f'best_{rival}']} "
                            f"({found['min']:.2f} to {found['max']:.2f}, n = {found['n']})"
                        )
    return "\n".join(lines).lstrip("\n")


def _worded(rival: str) -> str:
    return "" if rival == "sequential" else f"the {rival} baseline, "
