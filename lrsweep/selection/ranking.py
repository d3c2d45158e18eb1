"""The order of what was measured. An order is not yet a choice: its first place is partly luck (see the README)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lrsweep.records import TrialRow, TrialState


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


def best_trial(trials: Sequence[TrialRow]) -> TrialRow | None:
    """The smallest value at the full horizon; the earlier trial where two are equal."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.value is not None]
    return min(complete, key=lambda trial: (trial.value or 0.0, trial.number), default=None)


def by_family(trials: Sequence[TrialRow]) -> list[FamilyStanding]:
    """Best family first; families without a trial at the full horizon last, by name."""

    def name(trial: TrialRow) -> str:
        return str(trial.params["family"])

    standings = [_standing(family, list(group)) for family, group in groupby(sorted(trials, key=name), key=name)]
    return sorted(
        standings,
        key=lambda each: (each.best is None, each.best.value or 0.0 if each.best else 0.0, each.family),
    )


def _standing(family: str, trials: Sequence[TrialRow]) -> FamilyStanding:
    return FamilyStanding(
        family=family,
        trials=len(trials),
        complete=sum(trial.state is TrialState.COMPLETE for trial in trials),
        pruned=sum(trial.state is TrialState.PRUNED and trial.value is not None for trial in trials),
        diverged=sum(trial.state is TrialState.PRUNED and trial.value is None for trial in trials),
        failed=sum(trial.state is TrialState.FAILED for trial in trials),
        best=best_trial(trials),
    )
