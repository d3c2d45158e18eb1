"""What a sweep trains once its search has ended, and how much of the budget is left for it.

    the search ──> a design that measures the rate exponents, where the study wants one ──> the finals ──> over

Each phase is queued as a whole, in one transaction, when the one before it has ended; finals in several rounds, where
they are a race. Nothing of it is kept but its rows, and what a race has ordered: a driver that starts in the middle
makes the same plan from them, and queues what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from lrsweep.records import Purpose, Status, TrainingRow
from lrsweep.store.base import Lease, Store
from lrsweep.study import TIMED, ResolvedStudy
from lrsweep.study.budgets import FEWEST_FINALISTS, counts_devices, kept_share, seconds_of
from lrsweep.sweep import exponents, finals, race
from lrsweep.sweep.exponents import FITTED_KEY
from lrsweep.sweep.meter import Spent
from lrsweep.sweep.race import RACE_KEY
from lrsweep.sweep.race_state import RaceState
from lrsweep.sweep.tally import Tally
from lrsweep.sweep.trust import DROPPED_KEY


class Phase(StrEnum):
    SEARCH = "search"
    FIT = "fit"
    FINALS = "finals"


class Budget:
    """How much of a study's budget is used up, where it is not a number of trials."""

    def __init__(self, study: ResolvedStudy) -> None:
        self._study = study
        self._counts_devices = counts_devices(study.budget)
        self._whole = seconds_of(study.budget)
        """of one device where devices count, else of the clock"""
        self._share = 1.0 - _kept(study)
        # asked several times per training, and the same for all of a sweep
        self._for_search = self._share * study.total_steps - exponents.planned_cost(study)
        self._of_a_trial = study.cost.steps(1)
        self._after = tuple(study.cost.after(rung) for rung in range(len(study.rungs)))

    def pays_for_another_trial(self, tally: Tally, spent: Spent) -> bool:
        """Whether the search may ask. A clock alone says it where there is one: how many trials it pays for is a guess,
        made before an engine was chosen. Else it goes by what trials have cost, and those under way will: trials may
        cost more than was expected, where few are halted."""
        if self._whole is not None:
            return self._has_time_for_another(tally, spent, self._whole)
        if tally.asked >= self._study.trials:
            return False
        if self._study.budget.trials is not None or not tally.asked:
            return True
        return tally.search_steps + self._to_come(tally) + self._of_a_trial <= self._for_search

    def _has_time_for_another(self, tally: Tally, spent: Spent, whole: float) -> bool:
        """Past the search's share only where the rest is too short for finals, which then goes to the search."""
        used = self._used(spent)
        if used < self._share * whole:
            return True
        left = self.left_for_finals(tally, spent)
        selection = self._study.selection
        if used >= whole or tally.unsearched or left is None or not selection.finalists:
            return False
        return left - self._to_come(tally) < FEWEST_FINALISTS * selection.seeds * self._study.horizon

    def _to_come(self, tally: Tally) -> float:
        """Updates that the trials under way are expected to take."""
        return sum(max(0, row.horizon - row.steps) + self._after[row.rung] for row in tally.searching.values())

    def _used(self, spent: Spent) -> float:
        """As ``_whole`` is counted."""
        return spent.device_seconds if self._counts_devices else spent.seconds

    def _rate(self, tally: Tally, spent: Spent) -> float | None:
        """Updates per second as ``_whole`` is counted, of all trainings so far; None before the first."""
        used = self._used(spent)
        return tally.steps / used if used > 0.0 and tally.steps else None

    def is_over(self, spent: Spent) -> bool:
        """Whether the clock has used up the whole of it."""
        return self._whole is not None and self._used(spent) >= self._whole

    def seconds_left(self, spent: Spent) -> float | None:
        """Of the clock, with the devices that there are now; None where there is none."""
        if self._whole is None:
            return None
        return max(0.0, self._whole - self._used(spent)) / (max(1, spent.devices) if self._counts_devices else 1)

    def pace(self, tally: Tally, spent: Spent) -> float | None:
        """Updates per second of the clock, as if the study had had its devices all the time; None before the first."""
        rate = self._rate(tally, spent)
        return rate if rate is None or not self._counts_devices else rate * self._study.devices

    def left_for_finals(self, tally: Tally, spent: Spent) -> int | None:
        """In updates, those of finals that exist included, by the pace so far; None where no clock says it."""
        rate = self._rate(tally, spent)
        if self._whole is None or rate is None:
            return None
        return sum(row.steps for row in tally.finals) + int(max(0.0, self._whole - self._used(spent)) * rate)


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
        self._to_order: int | None = None
        """updates, by the newest look; None where it is not worked out"""
        self.now = Phase.SEARCH

    def next(self, tally: Tally, budget: Budget, spent: Spent) -> list[TrainingRow]:
        """Queues the next phase's trainings and comes back with them: nothing runs or waits. Empty: all is done."""
        trials, trainings = list(tally.trials.values()), list(tally.trainings.values())
        study = self._study
        if study.budget.kind in TIMED:  # what was expected of the pace was a guess, and of a script there was none
            study = study.paced(budget.pace(tally, spent))
        has_none = _has_lost_design(tally) or self._has_dropped_its_rung()
        rows = [] if has_none else exponents.design(study, trials, trainings)
        if rows:
            self.now = Phase.FIT
            self._say_once(
                f"the search has ended; {len(rows)} trainings measure how the best rate moves with the horizon"
            )
        else:
            if why_none := exponents.why_none(study):
                self._say_once(why_none)
            self._keep_fit(tally)
            self.now = Phase.FINALS
            left = budget.left_for_finals(tally, spent)
            state = self._race_so_far()
            # finals that began otherwise, by an earlier release or without racing, go on so
            is_race = study.selection.racing and (state is not None or not tally.finals)
            rows = self._raced(study, tally, state, left) if is_race else self._planned(study, tally, state, left)
        return self._queued(rows)

    def to_order(self, tally: Tally, budget: Budget, spent: Spent) -> int:
        """Updates that a race of finals orders at most, beside those that wait or run: the same until its next look."""
        if self.now is not Phase.FINALS:
            return 0
        if self._to_order is None:
            state = self._race_so_far() if self._study.selection.racing else None
            trainings = list(tally.trainings.values())
            left = budget.left_for_finals(tally, spent)
            more = (
                0 if state is None else race.to_order(self._study, trainings, state, left=left, removed=tally.removed)
            )
            self._to_order = more * self._study.horizon
        return self._to_order

    def _planned(
        self, study: ResolvedStudy, tally: Tally, state: RaceState | None, left: int | None
    ) -> list[TrainingRow]:
        """All finals at once, with as many seeds for each finalist. Where a race had begun it is kept what becomes of
        it: whoever reads its finals later has to know how often they were looked at."""
        trials, trainings = list(tally.trials.values()), list(tally.trainings.values())
        planned = finals.plan(study, trials, trainings, left=left, removed=tally.removed)
        if planned.why_none is not None:
            self._say_once(planned.why_none)
        if state is not None:
            return self._taken(state, race.evened(study, trials, trainings, state, planned))
        rows = finals.trainings(study, planned, trials, trainings)
        if rows:
            self._say_once(
                f"the search has ended; {len(planned.trials)} finalists are trained with "
                f"{len(planned.seeds)} fresh seeds each"
            )
        return rows

    def _raced(
        self, study: ResolvedStudy, tally: Tally, state: RaceState | None, left: int | None
    ) -> list[TrainingRow]:
        """The next round, or the first."""
        trials, trainings = list(tally.trials.values()), list(tally.trainings.values())
        return self._taken(state, race.step(study, trials, trainings, state, left=left, removed=tally.removed))

    def _taken(self, state: RaceState | None, found: race.Step) -> list[TrainingRow]:
        """A step's rows, once what they come from is kept."""
        self._keep_race(state, found.state)
        self._to_order = None
        for sentence in found.said:
            self._say_once(sentence)
        return list(found.rows)

    def _race_so_far(self) -> RaceState | None:
        stored = self._store.sweep(self._sweep_id).settings.get(RACE_KEY)
        return None if stored is None else RaceState.from_json(stored)

    def _keep_race(self, before: RaceState | None, found: RaceState | None) -> None:
        if found is not None and found != before:
            self._store.update_sweep(self._lease, self._sweep_id, settings={RACE_KEY: found.to_json()})

    def end_by_the_clock(self, tally: Tally) -> None:
        """A race ends with what it has. Where the search has had all of the time, it is said why nothing came after
        it."""
        state = self._race_so_far()
        if state is not None:
            trials, trainings = list(tally.trials.values()), list(tally.trainings.values())
            self._keep_race(state, race.closed(self._study, trials, trainings, state))
        if self._study.selection.finalists and not tally.unsearched:
            self._say_once(
                f"no finals: the rest of the time was too short for {FEWEST_FINALISTS} finalists with "
                f"{self._study.selection.seeds} seeds each at {self._study.horizon} updates, and the search got it. "
                "Give more time, or fewer selection.seeds"
            )

    def _queued(self, rows: list[TrainingRow]) -> list[TrainingRow]:
        """New ones all at once, then those that a clock has stopped."""
        if new := [row for row in rows if not row.status.is_outcome]:
            self._store.queue_trainings(self._lease, new)
        return [
            self._store.queue_again(self._lease, row.training_id, reason="a larger budget")
            if row.status.is_outcome
            else row
            for row in rows
        ]

    def _keep_fit(self, tally: Tally) -> None:
        """Once: what the design says goes into the sweep's settings, for the next sweep."""
        if _has_lost_design(tally) or not any(row.purpose is Purpose.FIT for row in tally.unsearched.values()):
            return
        fits = exponents.fitted(self._study, list(tally.trials.values()), list(tally.trainings.values()))
        stored = {name: fit.to_json() for name, fit in fits.items()}
        if self._store.sweep(self._sweep_id).settings.get(FITTED_KEY) == stored:
            return
        self._store.update_sweep(self._lease, self._sweep_id, settings={FITTED_KEY: stored})
        for name, fit in fits.items():
            self._say_once(f"rate exponent of {name}: {fit.sentence}")

    def _has_dropped_its_rung(self) -> bool:
        """Whether the sweep trains nothing any more at the rung whose rates a design would correct."""
        return 0 in self._store.sweep(self._sweep_id).settings.get(DROPPED_KEY, ())

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)


def _has_lost_design(tally: Tally) -> bool:
    """Whether trainings of it were removed: the sweep has had its design, and what is left of it says less."""
    return tally.removed.steps.get(Purpose.FIT, 0) > 0


def phase_of(trainings: Mapping[str, TrainingRow]) -> Phase:
    """Where a sweep was left, by what waits."""
    waiting = {row.purpose for row in trainings.values() if row.status in (Status.QUEUED, Status.RUNNING)}
    if Purpose.FINAL in waiting:
        return Phase.FINALS
    return Phase.FIT if Purpose.FIT in waiting else Phase.SEARCH
