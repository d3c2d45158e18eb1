"""What calibrating trials say of the rungs while a sweep runs, and where its new trials start because of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from lrsweep.records import TrainingRow, TrialRow
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.halting import OtherRules
from lrsweep.sweep.trust import RungTrust, calibrating, first_rung, rung_trusts


class Rungs:
    """Looked at anew whenever a calibrating trial is told: those are a tenth of all."""

    def __init__(self, study: ResolvedStudy, others: OtherRules, *, dropped: int) -> None:
        """``dropped``: the rung at which the sweep's new trials have started so far."""
        self._study = study
        self._others = others
        self._trials: dict[int, TrialRow] = {}
        self._trainings: dict[int, list[TrainingRow]] = defaultdict(list)
        self._is_stale = True
        self._trusts: tuple[RungTrust, ...] = ()
        self.first = dropped

    def recover(self, trials: Iterable[TrialRow], trainings: Mapping[int, list[TrainingRow]]) -> None:
        """Reads back the generation's."""
        for trial in calibrating(trials):
            self._trials[trial.number] = trial
            self._trainings[trial.number] = list(trainings.get(trial.number, ()))

    def trained(self, trial: TrialRow, row: TrainingRow) -> None:
        """A training of a calibrating trial has ended."""
        self._trials[trial.number] = trial
        self._trainings[trial.number].append(row)

    def told(self, trial: TrialRow) -> RungTrust | None:
        """A calibrating trial has its result; comes back with the rung that is dropped by it, if one is."""
        self._trials[trial.number] = trial
        self._is_stale = True
        before = self.first
        self.first = first_rung(self._study, self.trusts, before)
        return None if self.first == before else self.trusts[before]

    @property
    def trusts(self) -> tuple[RungTrust, ...]:
        """Per rung below the full one."""
        if self._is_stale:
            self._is_stale = False
            rows = [row for of_trial in self._trainings.values() for row in of_trial]
            self._trusts = rung_trusts(self._study, list(self._trials.values()), rows, self._others)
        return self._trusts
