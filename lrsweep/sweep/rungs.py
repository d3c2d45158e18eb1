"""Which rungs a sweep leaves out: those that mislead, by what its calibrating trials say, and those that cost too much.

A dropped rung stays so, whatever later trials say: new trials start above it or pass over it, and a trial that is
trained there goes on whatever its value. Each rung is judged for itself: one that tells which trials will diverge is of
use below one that cannot rank the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from lrsweep.records import TrainingRow, TrialRow
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.halting import OtherRules, calibrates
from lrsweep.sweep.rung_costs import RungCost, RungCosts
from lrsweep.sweep.trust import RungTrust, calibrating, rung_trusts


class Rungs:
    """Their order is looked at anew whenever a calibrating trial is told: those are a tenth of all. Their cost is with
    every training."""

    def __init__(self, study: ResolvedStudy, others: OtherRules, *, dropped: Iterable[int] = ()) -> None:
        """``dropped``: what the sweep has dropped so far."""
        self._study = study
        self._others = others
        self._trials: dict[int, TrialRow] = {}
        self._trainings: dict[int, list[TrainingRow]] = defaultdict(list)
        self.trusts: tuple[RungTrust, ...] = ()
        """per rung below the full one"""
        self._costs = RungCosts(study)
        self._too_high: dict[int, RungCost] = {}
        self.dropped = set(dropped)

    def recover(self, trials: Iterable[TrialRow], trainings: Mapping[int, list[TrainingRow]]) -> None:
        """Reads back the generation's."""
        for trial in calibrating(trials):
            self._trials[trial.number] = trial
            self._trainings[trial.number] = list(trainings.get(trial.number, ()))
        for of_trial in trainings.values():
            for row in of_trial:
                self._costs.trained(row)
        self._judge()
        self._judge_costs()

    def trained(self, trial: TrialRow, row: TrainingRow) -> None:
        """A training of the search has ended."""
        if calibrates(trial):
            self._trials[trial.number] = trial
            self._trainings[trial.number].append(row)
        self._costs.trained(row)
        self._judge_costs()

    def told(self, trial: TrialRow) -> None:
        """A calibrating trial has its result."""
        self._trials[trial.number] = trial
        self._judge()

    @property
    def first(self) -> int:
        """Where a new trial starts."""
        return self.above(-1)

    def above(self, rung: int) -> int:
        """Where a trial goes on from there; the full horizon is never dropped."""
        last = len(self._study.rungs) - 1
        return next((each for each in range(rung + 1, last) if each not in self.dropped), last)

    def why(self, dropped: int) -> RungCost | RungTrust:
        """The figures by which it was dropped."""
        return self._too_high.get(dropped) or self.trusts[dropped]

    def sentence(self, dropped: int) -> str:
        """What a person reads of a dropped rung: the figures, and what follows from them."""
        why = self.why(dropped)
        said = why.sentence if isinstance(why, RungCost) else f"{why.sentence}. It misleads"
        starts = "new trials start at" if dropped < self.first else "from shorter rungs trials go on to"
        steps = self._study.rungs[self.above(dropped)]
        return f"{said}: {starts} {steps} steps, and none is halted at it"

    def _judge(self) -> None:
        rows = [row for of_trial in self._trainings.values() for row in of_trial]
        self.trusts = rung_trusts(self._study, list(self._trials.values()), rows, self._others)
        self.dropped |= {trust.rung for trust in self.trusts if trust.is_low}

    def _judge_costs(self) -> None:
        for cost in self._costs.too_high(self.dropped):
            self._too_high[cost.rung] = cost
            self.dropped.add(cost.rung)
