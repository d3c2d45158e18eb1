"""Running counts of a sweep, so that a look at it costs the same at 100 trials and at 10,000."""

from __future__ import annotations

from dataclasses import replace

from lrsweep.records import Direction, Origin, Purpose, TrainingRow, TrialRow, TrialState
from lrsweep.selection import FamilyStanding, cost, in_order
from lrsweep.store.rules import Removed


class Tally:
    """Counts trials and trainings as they come and change; the latest row of each is kept."""

    def __init__(self, sense: Direction, removed: Removed | None = None) -> None:
        """``removed``: what the sweep has trained and no longer has, which is counted but in no row."""
        self._sense = sense
        self.removed = removed or Removed()
        self.trials: dict[int, TrialRow] = {}
        self.trainings: dict[str, TrainingRow] = {}
        self.asked = self.removed.trials
        """of the sweep's own trials"""
        self.told = self.removed.trials
        self.ended = 0
        """trainings"""
        self.steps = self.removed.all_steps
        self.search_steps = self.removed.steps.get(Purpose.SEARCH, 0)
        """those that the search has trained; the others are finalists' and of a design"""
        self.leader: TrialRow | None = None
        """the best at the full horizon"""
        self._families: dict[str, FamilyStanding] = {}
        self.baseline: TrialRow | None = None
        """the newest: a study's file may name another one later"""
        self.searching: dict[str, TrainingRow] = {}
        """trainings of the search that wait or run, by id"""
        self.unsearched: dict[str, TrainingRow] = {}
        """trainings of finalists and of a design, by id"""

    @property
    def families(self) -> list[FamilyStanding]:
        """As ``selection.by_family`` orders them."""
        return in_order(self._families.values(), self._sense)

    @property
    def finals(self) -> list[TrainingRow]:
        """Trainings of finalists."""
        return [row for row in self.unsearched.values() if row.purpose is Purpose.FINAL]

    def leader_of(self, family: str) -> TrialRow | None:
        """The family's best at the full horizon."""
        standing = self._families.get(family)
        return standing.best if standing else None

    def put_trial(self, trial: TrialRow) -> None:
        """New, or with its result."""
        before = self.trials.get(trial.number)
        self.trials[trial.number] = trial
        family = str(trial.params["family"])
        standing = self._families.get(family) or FamilyStanding(family, 0, 0, 0, 0, 0, 0, None, None)
        if not trial.origin.counts:
            self._families[family] = replace(standing, copied=standing.copied + (before is None))
            return
        if before is None:
            self.asked += 1
            standing = replace(standing, trials=standing.trials + 1)
        if trial.is_told and (before is None or not before.is_told):
            self.told += 1
            standing = _with_end(standing, trial)
            if trial.state is TrialState.COMPLETE and trial.value is not None:
                standing = replace(standing, best=self._better(standing.best, trial))
                self.leader = self._better(self.leader, trial)
        if trial.origin is Origin.BASELINE:
            self.baseline = trial if self.baseline is None else max(self.baseline, trial, key=lambda row: row.number)
            standing = replace(standing, baseline=trial)
        self._families[family] = standing

    def put_training(self, row: TrainingRow) -> None:
        """New, or further than it was."""
        before = self.trainings.get(row.training_id)
        self.trainings[row.training_id] = row
        steps = row.steps - (before.steps if before else 0)
        self.steps += steps
        self.search_steps += steps if row.purpose is Purpose.SEARCH else 0
        self.ended += row.status.is_outcome - (before is not None and before.status.is_outcome)
        if row.purpose is not Purpose.SEARCH:
            self.unsearched[row.training_id] = row
        elif row.status.is_outcome:
            self.searching.pop(row.training_id, None)
        else:
            self.searching[row.training_id] = row

    def _better(self, held: TrialRow | None, trial: TrialRow) -> TrialRow:
        """The earlier trial where two are equal."""

        def place(one: TrialRow) -> tuple[float, int]:
            assert one.value is not None
            return cost(one.value, self._sense), one.number

        return trial if held is None else min(held, trial, key=place)


def _with_end(standing: FamilyStanding, trial: TrialRow) -> FamilyStanding:
    match trial.state:
        case TrialState.COMPLETE:
            return replace(standing, complete=standing.complete + 1)
        case TrialState.FAILED:
            return replace(standing, failed=standing.failed + 1)
    if trial.value is None:
        return replace(standing, diverged=standing.diverged + 1)
    return replace(standing, pruned=standing.pruned + 1)
