"""The order of what was measured. An order is not yet a choice: its first place is partly luck (see the README)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lrsweep.records import Direction, TrialRow, TrialState


@dataclass(frozen=True)
class FamilyStanding:
    """One family's trials in numbers; ``best`` is its best trial at the full horizon, or None."""

    family: str
    trials: int
    complete: int
    pruned: int
    diverged: int
    failed: int
    best: TrialRow | None


def cost(value: float, direction: Direction) -> float:
    """The smaller the better, whichever way the metric is."""
    return value if direction == "minimize" else -value


def best_trial(trials: Sequence[TrialRow], direction: Direction = "minimize") -> TrialRow | None:
    """The best value at the full horizon; the earlier trial where two are equal."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.value is not None]
    return min(complete, key=lambda trial: (cost(trial.value or 0.0, direction), trial.number), default=None)


def by_family(trials: Sequence[TrialRow], direction: Direction = "minimize") -> list[FamilyStanding]:
    """Best family first; families without a trial at the full horizon last, by name."""

    def name(trial: TrialRow) -> str:
        return str(trial.params["family"])

    def place(standing: FamilyStanding) -> tuple[bool, float, str]:
        best = 0.0 if standing.best is None else cost(standing.best.value or 0.0, direction)
        return standing.best is None, best, standing.family

    grouped = groupby(sorted(trials, key=name), key=name)
    return sorted((_standing(family, list(group), direction) for family, group in grouped), key=place)


def _standing(family: str, trials: Sequence[TrialRow], direction: Direction) -> FamilyStanding:
    return FamilyStanding(
        family=family,
        trials=len(trials),
        complete=sum(trial.state is TrialState.COMPLETE for trial in trials),
        pruned=sum(trial.state is TrialState.PRUNED and trial.value is not None for trial in trials),
        diverged=sum(trial.state is TrialState.PRUNED and trial.value is None for trial in trials),
        failed=sum(trial.state is TrialState.FAILED for trial in trials),
        best=best_trial(trials, direction),
    )
