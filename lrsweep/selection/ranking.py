"""The order of what was measured. An order is not yet a choice: its first place is partly luck (see the README)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from lrsweep.records import Direction, Origin, TrialRow, TrialState


@dataclass(frozen=True)
class FamilyStanding:
    """One family's trials in numbers; ``best`` is its best trial at the full horizon, or None.

    Trials that the sweep did not train are in none of the numbers but ``copied``.
    """

    family: str
    trials: int
    complete: int
    pruned: int
    diverged: int
    failed: int
    copied: int
    """from an earlier space or from somebody else's study"""
    best: TrialRow | None
    baseline: TrialRow | None
    """what the user runs today, where it is of this family"""


@dataclass(frozen=True)
class Ends:
    """How a sweep's own trials ended. One that diverged at a rate that a rung had raised, and not at its own, has not
    diverged: trainings that diverged may be more."""

    full: int = 0
    halted: int = 0
    diverged: int = 0
    failed: int = 0

    @classmethod
    def of(cls, families: Iterable[FamilyStanding]) -> Ends:
        found = [(each.complete, each.pruned, each.diverged, each.failed) for each in families]
        return cls(*(sum(column) for column in zip(*found, strict=True)))


def cost(value: float, direction: Direction) -> float:
    """The smaller the better, whichever way the metric is."""
    return value if direction == "minimize" else -value


def best_trial(trials: Sequence[TrialRow], direction: Direction = "minimize") -> TrialRow | None:
    """The best value at the full horizon of what the sweep trained; the earlier trial where two are equal."""
    return next(iter(ranked([trial for trial in trials if trial.origin.counts], direction)), None)


def ranked(trials: Sequence[TrialRow], direction: Direction = "minimize") -> list[TrialRow]:
    """Those with a value at the full horizon that is comparable, the best first; the earlier of two equal ones.

    A copied value has the same meaning and counts; what came from somebody else's study does not.
    """

    def place(trial: TrialRow) -> tuple[float, int]:
        assert trial.value is not None
        return cost(trial.value, direction), trial.number

    return sorted(filter(_has_value, trials), key=place)


def best_per_family(trials: Sequence[TrialRow], direction: Direction = "minimize") -> list[TrialRow]:
    """Each family's best of the ``ranked``, the best family first."""
    best: dict[str, TrialRow] = {}
    for trial in ranked(trials, direction):
        best.setdefault(str(trial.params["family"]), trial)
    return list(best.values())


def by_family(trials: Sequence[TrialRow], direction: Direction = "minimize") -> list[FamilyStanding]:
    """Best family first, of two equal ones that of the earlier trial; families without a trial at the full horizon
    last, by name."""

    def name(trial: TrialRow) -> str:
        return str(trial.params["family"])

    grouped = groupby(sorted(trials, key=name), key=name)
    return in_order((_standing(family, list(group), direction) for family, group in grouped), direction)


def in_order(standings: Iterable[FamilyStanding], direction: Direction) -> list[FamilyStanding]:
    """As ``by_family`` orders them."""

    def place(standing: FamilyStanding) -> tuple[bool, float, int, str]:
        best = standing.best
        measured = (0.0, 0) if best is None else (cost(best.value or 0.0, direction), best.number)
        return best is None, *measured, standing.family

    return sorted(standings, key=place)


def _standing(family: str, trials: Sequence[TrialRow], direction: Direction) -> FamilyStanding:
    own = [trial for trial in trials if trial.origin.counts]
    return FamilyStanding(
        family=family,
        trials=len(own),
        complete=sum(trial.state is TrialState.COMPLETE for trial in own),
        pruned=sum(trial.state is TrialState.PRUNED and trial.value is not None for trial in own),
        diverged=sum(trial.state is TrialState.PRUNED and trial.value is None for trial in own),
        failed=sum(trial.state is TrialState.FAILED for trial in own),
        copied=len(trials) - len(own),
        best=best_trial(own, direction),
        baseline=next((trial for trial in own if trial.origin is Origin.BASELINE), None),
    )


def _has_value(trial: TrialRow) -> bool:
    return trial.state is TrialState.COMPLETE and trial.value is not None and trial.origin is not Origin.FOREIGN
