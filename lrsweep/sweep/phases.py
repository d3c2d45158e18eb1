"""What a sweep trains once its search has ended, and how much of the budget is left for it.

    the search ──> a design that measures the rate exponents, where the study wants one ──> the finals ──> over

Each phase is queued as a whole, in one transaction, when the one before it has ended. Nothing of it is kept but its
rows: a driver that starts in the middle makes the same plan from them, and queues what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from lrsweep.records import Purpose, Status, TrainingRow
from lrsweep.store.base import Lease, Store
from lrsweep.study import TIMED, ResolvedStudy
from lrsweep.study.budgets import kept_share, seconds_of
from lrsweep.sweep import exponents, finals
from lrsweep.sweep.exponents import FITTED_KEY
from lrsweep.sweep.tally import Tally


class Phase(StrEnum):
    SEARCH = "search"
    FIT = "fit"
    FINALS = "finals"


class Budget:
    """How much of a study's budget is used up, where it is not a number of trials."""

    def __init__(self, study: ResolvedStudy, *, seconds_before: float, trials_removed: int = 0) -> None:
        """``seconds_before``: what earlier drivers have used; ``trials_removed``: that they trained, and are pruned."""
        self._study = study
        self._trials_removed = trials_removed
        self._seconds_before = seconds_before
        self._seconds = seconds_of(study.budget, study.devices)
        self._share = 1.0 - _kept(study)

    def pays_for_another_trial(self, tally: Tally, seconds: float) -> bool:
        """Whether the search may ask. A clock alone says it where there is one: how many trials it pays for is a guess,
        made before an engine was chosen. Else trials may cost more than was expected, where few are halted."""
        if self._seconds is not None:
            return self._seconds_before + seconds < self._share * self._seconds
        if tally.asked + self._trials_removed >= self._study.trials:
            return False
        return self._study.budget.trials is not None or tally.search_steps < self._share * self._study.total_steps

    def is_over(self, seconds: float) -> bool:
        """Whether the clock has used up the whole of it."""
        return self._seconds is not None and self._seconds_before + seconds >= self._seconds

    def pace(self, tally: Tally, seconds: float) -> float | None:
        """Updates per second of all trainings so far; None before the first."""
        used = self._seconds_before + seconds
        return tally.steps / used if used > 0.0 and tally.steps else None

    def left_for_finals(self, tally: Tally, seconds: float) -> int | None:
        """In updates, those of finals that exist included, by the pace so far; None where no clock says it."""
        pace = self.pace(tally, seconds)
        if self._seconds is None or pace is None:
            return None
        left = max(0.0, self._seconds - self._seconds_before - seconds)
        return sum(row.steps for row in tally.finals) + int(left * pace)


def _kept(study: ResolvedStudy) -> float:
    """For finalists. How many a clock pays for is not known before the pace is."""
    if study.needs_pace:
        return study.selection.share if study.selection.finalists else 0.0
    return kept_share(study.selection, study.total_steps, study.horizon)


class Phases:
    """What comes next; ``now`` says where the sweep is."""

    def __init__(
        self, study: ResolvedStudy, sweep_id: str, store: Store, lease: Lease, say: Callable[[str], None]
    ) -> None:
        self._study = study
        self._sweep_id = sweep_id
        self._store = store
        self._lease = lease
        self._say = say
        self._said: set[str] = set()
        self.now = Phase.SEARCH

    def next(self, tally: Tally, budget: Budget, seconds: float) -> list[TrainingRow]:
        """Queues the next phase's trainings and comes back with them: nothing runs or waits. Empty: all is done."""
        trials, trainings = list(tally.trials.values()), list(tally.trainings.values())
        study = self._study
        if study.budget.kind in TIMED:  # what was expected of the pace was a guess, and of a script there was none
            study = study.paced(budget.pace(tally, seconds))
        rows = exponents.design(study, trials, trainings)
        if rows:
            self.now = Phase.FIT
            self._say_once(
                f"the search has ended; {len(rows)} trainings measure how the best rate moves with the horizon"
            )
        else:
            self._keep_fit(tally)
            self.now = Phase.FINALS
            planned = finals.plan(study, trials, trainings, left=budget.left_for_finals(tally, seconds))
            if planned.why_none is not None:
                self._say_once(planned.why_none)
            rows = finals.trainings(study, planned, trials, trainings)
            if rows:
                self._say_once(
                    f"the search has ended; {len(planned.trials)} finalists are trained with "
                    f"{len(planned.seeds)} fresh seeds each"
                )
        if rows:
            self._store.queue_trainings(self._lease, rows)
        return rows

    def _keep_fit(self, tally: Tally) -> None:
        """Once: what the design says goes into the sweep's settings, for the next sweep."""
        if not any(row.purpose is Purpose.FIT for row in tally.unsearched.values()):
            return
        fits = exponents.fitted(self._study, list(tally.trials.values()), list(tally.trainings.values()))
        stored = {name: fit.to_json() for name, fit in fits.items()}
        if self._store.sweep(self._sweep_id).settings.get(FITTED_KEY) == stored:
            return
        self._store.update_sweep(self._lease, self._sweep_id, settings={FITTED_KEY: stored})
        for name, fit in fits.items():
            self._say_once(f"rate exponent of {name}: {fit.sentence}")

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)


def phase_of(trainings: Mapping[str, TrainingRow]) -> Phase:
    """Where a sweep was left, by what waits."""
    waiting = {row.purpose for row in trainings.values() if row.status in (Status.QUEUED, Status.RUNNING)}
    if Purpose.FINAL in waiting:
        return Phase.FINALS
    return Phase.FIT if Purpose.FIT in waiting else Phase.SEARCH
