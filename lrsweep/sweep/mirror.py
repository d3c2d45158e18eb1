"""The mirror: a thread that copies what the store has committed to MLflow and to Optuna's own storage.

The store is its only input and its spool: it asks which rows the others lack and sends those, so a crash, a restart or
a tracking server that was away need nothing of their own. Every step may be repeated. It never holds up the driver: a
training's result is committed before the mirror hears of it, and an outage only makes the backlog longer.

Where the study wants few runs in MLflow, the others' rows are marked as passed over, so that they are not looked at
again; at the end of the sweep the best of each family is sent beside those that were wanted.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import optuna

from lrsweep.errors import LeaseLost, Unavailable
from lrsweep.records import Curve, Purpose, Status, SweepRow, TrainingRow, TrialRow
from lrsweep.selection import FamilyStanding, by_family
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.optuna_copy import add_copy, copied_numbers
from lrsweep.sweep.owner import LEASE_SECONDS
from lrsweep.sweep.race import RACE_KEY
from lrsweep.sweep.search import frozen_trial
from lrsweep.sweep.stored import known_point
from lrsweep.tracking import FamilyBest, RaceShown, Tracker, is_sent

LOOK_EVERY = 1.0
LONGEST_PAUSE = 30.0
LONGEST_LAST_ROW = 5.0
"""How long a mirror that is given up is waited for."""

PASSED_OVER = ""
"""The run of a training that MLflow is not to have."""


class Mirror:
    """Copies one sweep. ``wake`` it after each commit, ``finish`` it at the end, ``check`` it in between."""

    def __init__(
        self,
        *,
        store: Store,
        lease: Lease,
        study: ResolvedStudy,
        sweep: SweepRow,
        tracker: Tracker,
        parent: str,
        copy: optuna.Study,
        faults: Faults,
    ) -> None:
        self._store = store
        self._lease = lease
        self._study = study
        self._sweep = sweep
        self._tracker = tracker
        self._parent = parent
        self._copy = copy
        self._copied = copied_numbers(copy)
        told = [
            row for row in store.trials(study.name, generation=study.generation) if row.is_told and row.origin.counts
        ]
        self._told = deque(trial.number for trial in told)
        """finished trials to copy to Optuna's storage; those that are there already are passed over"""
        self._faults = faults
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._error: Exception | None = None
        self._outages: list[str] = []
        self._unknown: set[str] = set()
        self._race_shown: RaceShown | None = None
        self.behind = 0
        """how many trainings MLflow lacked at the last look"""

    @property
    def unknown(self) -> int:
        """Trainings that cannot be sent, as this release cannot read the points of their trials."""
        return len(self._unknown)

    @property
    def outage(self) -> str | None:
        """Why a copy lacks rows, while MLflow or Optuna's storage does not answer."""
        return " ".join(self._outages) or None

    def start(self) -> None:
        self._thread.start()

    def wake(self, told: int | None = None) -> None:
        """Something was committed; ``told`` is the trial that has its result now, if one has."""
        if told is not None:
            self._told.append(told)
        self._woken.set()

    def check(self) -> None:
        """Raises what ended the thread (a lost lease, a store that is gone), if anything did."""
        if self._error is not None:
            raise self._error

    def finish(self, tick: Callable[[], None], *, patience_seconds: float, limit_seconds: float = math.inf) -> bool:
        """Sends the rest and ends the thread; False where rows are left.

        That is where an outage outlasts the patience, or all of it the limit. ``tick`` is called while it waits: the
        lease must not expire meanwhile. What it raises ends the waiting.
        """
        self._ending.set()
        self._woken.set()
        began = moved_at = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(0.05)
            tick()
            now = time.monotonic()
            moved_at = now if self.outage is None else moved_at
            if now - moved_at > patience_seconds or now - began > limit_seconds:
                return False
        self.check()
        return True

    def abandon(self) -> None:
        """Ends the thread after the row that it is at; what it has not sent, the next driver's mirror sends."""
        self._abandoned.set()
        self._ending.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(LONGEST_LAST_ROW)

    def adopt(self) -> None:
        """After a crash MLflow may hold runs that the store does not know of: one per training is kept, the rest go."""
        found = self._tracker.find_runs(self._sweep)
        for training in self._store.trainings(self._study.name, sweep_id=self._sweep.sweep_id):
            if training.mlflow_run_id == PASSED_OVER and self._is_wanted(training):  # the study has changed its mind
                self._mark(training, PASSED_OVER, 0, 0, None)
            for run in found.get(training.training_id, ()):
                if run.run_id == training.mlflow_run_id:
                    continue
                if not training.mlflow_run_id and run.attempt == training.attempt:
                    training = replace(training, mlflow_run_id=run.run_id)  # noqa: PLW2901 (now it has a run)
                    self._mark(training, run.run_id, run.attempt, 0, None)
                else:
                    self._tracker.delete_run(run.run_id)

    def _run(self) -> None:
        pause = LOOK_EVERY
        while not self._abandoned.is_set():
            # in an outage only the end cuts the pause short: each commit would be one more call into the void
            is_away = self.outage is not None and not self._ending.is_set()
            (self._ending if is_away else self._woken).wait(pause)
            self._woken.clear()
            ending = self._ending.is_set()
            try:
                self._outages = [*_outage_of(self._send_to_mlflow), *_outage_of(self._copy_to_optuna)]
                if ending and not self._outages and not self._woken.is_set():
                    self._outages = _outage_of(self._show_families)
            except Exception as error:
                self._error = error
                return
            pause = min(2 * pause, 2.0 if ending else LONGEST_PAUSE) if self._outages else LOOK_EVERY
            if ending and not self._outages and not self._woken.is_set():
                return

    def _send_to_mlflow(self) -> None:
        race = self._race()  # before the rows: of one that has ended all are in the list, or were sent
        listed = self._store.unmirrored(self._sweep.sweep_id)
        rows = [row for row in listed if self._is_wanted(row)]
        self.behind = len(rows)
        if (
            listed or race != self._race_shown
        ):  # a driver that was stopped past its lease must not write to MLflow beside its successor
            self._store.renew_lease(self._lease, seconds=LEASE_SECONDS)
        if race is not None and race.ended is None:  # before its finals are there to choose from
            self._show_race(race)
        for row in listed:
            if not self._is_wanted(row):
                self._pass_over(row)
        for row in rows:
            if self._abandoned.is_set():
                return
            self._faults.passing("before-mirror")
            self._send(row.training_id)
            self.behind -= 1
        if race is not None:
            self._show_race(race)

    def _race(self) -> RaceShown | None:
        stored = self._store.sweep(self._sweep.sweep_id).settings.get(RACE_KEY)
        return None if stored is None else RaceShown(stored["looks"], stored["alpha"], stored["ended"])

    def _show_race(self, race: RaceShown) -> None:
        if race != self._race_shown:
            self._tracker.show_race(self._parent, race)
            self._race_shown = race

    def _is_wanted(self, row: TrainingRow) -> bool:
        return is_sent(row.purpose, self._study.tracking.runs)

    def _send(self, training_id: str) -> None:
        row = self._store.training(training_id)
        curve = self._store.curve(training_id)
        if curve is None or row.started_at is None:  # it began again after the rows were listed
            return
        self._send_curve(row, curve)

    def _send_curve(self, row: TrainingRow, curve: Curve) -> None:
        point = known_point(self._store.trial(row.study, row.trial).params, self._study)
        if point is None:  # of an earlier release
            self._unknown.add(row.training_id)
            return
        sent = self._tracker.send(
            row,
            curve,
            parent=self._parent,
            schedule=point.schedule,
            peak_lr=point.peak_lr,
            optimizer=point.optimizer,
            extra=point.extra,
        )
        self._faults.passing("mid-mirror")
        try:
            self._mark(row, sent.run_id, sent.attempt, sent.steps, sent.status)
        except LeaseLost:
            self._take_back(row, sent.run_id)
            raise

    def _take_back(self, row: TrainingRow, run_id: str) -> None:
        """Another driver took over as it was sent; a run that the store does not know nobody else would ever end."""
        if self._store.training(row.training_id).mlflow_run_id != run_id:
            self._tracker.delete_run(run_id)

    def _pass_over(self, row: TrainingRow) -> None:
        """Marks all that there may be of the row as sent."""
        status = row.status if row.status.is_outcome else None
        self._mark(row, PASSED_OVER, row.attempt, max(row.steps, row.horizon), status)

    def _mark(self, row: TrainingRow, run_id: str, attempt: int, steps: int, status: Status | None) -> None:
        self._store.mark_mirrored(
            self._lease, row.training_id, mlflow_run_id=run_id, attempt=attempt, steps=steps, status=status
        )

    def _show_families(self) -> None:
        """The table of families on the sweep's own run; once nothing is left to train, the runs of their bests too."""
        trials = self._store.trials(self._study.name, sweep_id=self._sweep.sweep_id)
        rows = self._store.trainings(self._study.name, sweep_id=self._sweep.sweep_id)
        standings = by_family([trial for trial in trials if trial.origin.counts], self._study.sense)
        families = [_family_best(each, self._study) for each in standings]
        self._tracker.show_families(self._parent, families, value_key=self._study.value_key)
        if self._study.tracking.runs == "finalists" and all(row.status.is_outcome for row in rows):
            bests = [each.best for each in standings if each.best is not None]
            for row in (row for row in rows if _is_at_full_horizon(row, bests, self._study)):
                if not row.mlflow_run_id and (curve := self._store.curve(row.training_id)) is not None:
                    self._send_curve(replace(row, mlflow_run_id=None, mirrored_attempt=0, mirrored_steps=0), curve)

    def _copy_to_optuna(self) -> None:
        while self._told:
            number = self._told[0]
            if number not in self._copied:
                trial = self._store.trial(self._study.name, number)
                trainings = self._store.trainings(self._study.name, trial=number)
                add_copy(self._copy, frozen_trial(trial, trainings, self._study))
                self._copied.add(number)
            self._told.popleft()  # only now: an outage must not lose it


def _is_at_full_horizon(row: TrainingRow, trials: list[TrialRow], study: ResolvedStudy) -> bool:
    """Whether it is the training by which one of the trials has its value."""
    is_value = row.purpose is Purpose.SEARCH and row.horizon == study.horizon and row.status is Status.COMPLETED
    return is_value and any(row.trial == trial.number for trial in trials)


def _family_best(standing: FamilyStanding, study: ResolvedStudy) -> FamilyBest:
    shown = FamilyBest(
        family=standing.family,
        trials=standing.trials,
        complete=standing.complete,
        halted=standing.pruned,
        diverged=standing.diverged,
        failed=standing.failed,
    )
    if standing.best is None:
        return shown
    shown = replace(shown, value=standing.best.value, trial=standing.best.number)
    point = known_point(standing.best.params, study)
    if point is None:
        return shown
    return replace(
        shown,
        peak_lr=point.peak_lr,
        optimizer=point.optimizer.name,
        schedule=point.schedule,
    )


def _outage_of(part: Callable[[], None]) -> list[str]:
    """Runs one part of a pass; an outage of what it writes to is told, and does not hold up the other part."""
    try:
        part()
    except Unavailable as error:
        return [str(error)]
    return []
