"""What the next ``lrsweep run`` of a study will do, and how much of a sweep that goes on is done and left: for
``lrsweep plan``. It asks what a driver asks when it begins (see ``beginning``), and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lrsweep.records import Json, Purpose, SweepRow, TrainingRow, TrialRow
from lrsweep.store.base import Store
from lrsweep.store.rules import Removed
from lrsweep.study import ResolvedStudy
from lrsweep.study.planning import Plan
from lrsweep.sweep.beginning import Course, changed_sentence, course_of, newest_sweep, trials_left
from lrsweep.sweep.failures import to_try_again, trials_of
from lrsweep.sweep.finals import paid_steps
from lrsweep.sweep.finals import plan as plan_finals
from lrsweep.sweep.meter import spent_by
from lrsweep.sweep.owner import driver_shown, is_dead
from lrsweep.sweep.phases import Budget
from lrsweep.sweep.race import RACE_KEY
from lrsweep.sweep.race_state import RaceState
from lrsweep.sweep.tally import Tally
from lrsweep.sweep.warm_start import advised_points


@dataclass(frozen=True)
class Done:
    """Without what is tried again."""

    trials: int
    trainings: int
    steps: int
    seconds: float
    """of work, over all drivers"""


@dataclass(frozen=True)
class Left:
    """Of the budget that the file has now; None where nobody knows it."""

    trials: int | None
    """None as well where a clock says when the search is over"""
    trainings: int | None
    """about so many"""
    steps: int | None
    """at most"""
    seconds: float | None
    is_search_over: bool = False
    """whether no trial is asked for any more: what a search spends is not what was expected of it, so that it may have
    ended with fewer trials or more"""


@dataclass(frozen=True)
class Outlook:
    course: Course
    sweep: SweepRow | None = None
    """the newest of the file's generation"""
    why_changed: str | None = None
    done: Done | None = None
    """of that sweep, where it is the one that counts"""
    left: Left | None = None
    """where it goes on"""
    tried_again: int = 0
    """trials that failed, in a sweep that failures stopped"""
    driver: str | None = None
    """who drives the study now; another driver leaves"""
    advised: int = 0
    """points that a first sweep tries before its own, by other studies of the kind"""
    advisers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {
            "run": "new" if self.course.is_new else self.course.value,
            "why_new": self.course.value if self.course.is_new else None,
            "sweep": None if self.done is None or self.sweep is None else self.sweep.sweep_id,
            "status": None if self.done is None or self.sweep is None else self.sweep.status.value,
            "done": None if self.done is None else asdict(self.done),
            "left": None if self.left is None else asdict(self.left),
            "tried_again": self.tried_again,
            "driver": self.driver,
            "advised": self.advised,
            "advisers": list(self.advisers),
        }


def outlook(store: Store | None, study: ResolvedStudy, planned: Plan | None) -> Outlook:
    """``planned``: what the whole budget comes to, where that is known; no store: there are no results yet."""
    if store is None:
        return Outlook(Course.FIRST)
    found = newest_sweep(store, study)
    course = course_of(store, study, found, "never")
    holder = store.holders().get(study.name)
    driver = None if holder is None or is_dead(holder.owner) else driver_shown(holder.owner)
    if found is None or course.is_new:
        why = changed_sentence(store, study) if course is Course.CHANGED else None
        points, advisers = advised_points(study, store) if course is Course.FIRST else ([], ())
        return Outlook(course, found, why_changed=why, driver=driver, advised=len(points), advisers=advisers)
    again = to_try_again(store, found)
    ids = {row.training_id for row in again}
    rows = store.trainings(study.name, sweep_id=found.sweep_id)
    done = _done(store, found, [row for row in rows if row.training_id not in ids], tried_again=len(trials_of(again)))
    left = None
    if course is Course.CONTINUE:
        waiting = [row for row in rows if row.training_id in ids or not row.status.is_outcome]
        left = _left(store, study, found, planned, done, waiting)
    return Outlook(course, found, done=done, left=left, tried_again=len(trials_of(again)), driver=driver)


def _done(store: Store, sweep: SweepRow, rows: Sequence[TrainingRow], *, tried_again: int) -> Done:
    removed = Removed.of(sweep)
    trials = store.trials(sweep.study, sweep_id=sweep.sweep_id)
    ended = [row for row in rows if row.status.is_outcome]
    return Done(
        trials=removed.trials + sum(trial.is_told and trial.origin.counts for trial in trials) - tried_again,
        trainings=len(ended),
        steps=removed.all_steps + sum(row.steps for row in ended),
        seconds=sweep.seconds,
    )


def _left(
    store: Store,
    study: ResolvedStudy,
    sweep: SweepRow,
    planned: Plan | None,
    done: Done,
    waiting: Sequence[TrainingRow],
) -> Left:
    """What waits is left whatever the budget: a file can have a smaller one than before. Once the search is over it is
    what its trials under way are expected to take, and what is left for the finals."""
    pace = None if planned is None else planned.steps_per_second
    seconds = Budget(study).seconds_left(spent_by(sweep, study))
    if seconds is not None:
        return Left(None, None, None if pace is None else round(seconds * pace), seconds)
    assert planned is not None, "only a clock makes a plan depend on the pace"
    trials = store.trials(study.name, sweep_id=sweep.sweep_id)
    rows = store.trainings(study.name, sweep_id=sweep.sweep_id)
    again = trials_of([row for row in waiting if row.status.is_outcome])
    under_way = sum(not trial.is_told for trial in trials if trial.origin.counts) + len(again)
    is_over = not _asks_for_more(study, sweep, trials, rows)
    if is_over:
        before = [row for row in waiting if row.purpose is not Purpose.FINAL]
        finals = _finals_left(study, sweep, planned, trials, rows, is_next=not before)
        to_come = sum(row.horizon + study.cost.after(row.rung) for row in before if row.purpose is Purpose.SEARCH)
        to_come += sum(row.horizon for row in before if row.purpose is Purpose.FIT)
        trainings, steps = len(before) + finals, round(to_come) + finals * study.horizon
    else:
        under_way = trials_left(store, study, sweep)
        trainings = max(len(waiting), round(planned.all_trainings) - done.trainings)
        steps = max(sum(row.horizon for row in waiting), planned.total_steps - done.steps)
    return Left(under_way, trainings, steps, None if pace is None else steps / pace, is_over)


def _asks_for_more(
    study: ResolvedStudy, sweep: SweepRow, trials: Sequence[TrialRow], rows: Sequence[TrainingRow]
) -> bool:
    """As a driver decides it."""
    tally = Tally(study.sense, Removed.of(sweep))
    for trial in trials:
        tally.put_trial(trial)
    for row in rows:
        tally.put_training(row)
    return Budget(study).pays_for_another_trial(tally, spent_by(sweep, study))


def _finals_left(
    study: ResolvedStudy,
    sweep: SweepRow,
    planned: Plan,
    trials: Sequence[TrialRow],
    rows: Sequence[TrainingRow],
    *,
    is_next: bool,
) -> int:
    """Trainings, at most: in a race, what those that wait leave of the budget is given out round by round."""
    removed = Removed.of(sweep)
    finals = [row for row in rows if row.purpose is Purpose.FINAL]
    waiting = sum(not row.status.is_outcome for row in finals)
    affordable = max(0, paid_steps(study, rows, removed=removed) - sum(row.steps for row in finals)) // study.horizon
    if not finals:
        expected = planned.final_steps // study.horizon
        if is_next:
            chosen = plan_finals(study, trials, rows, removed=removed)
            expected = chosen.trainings if study.selection.racing else len(chosen.trials) * len(chosen.seeds)
        return min(affordable, expected)
    race = sweep.settings.get(RACE_KEY)
    if race is None or RaceState.from_json(race).ended is not None or not study.selection.racing:
        return waiting
    return max(waiting, affordable)
