"""The mirror: a thread that copies what the store has committed to MLflow and to Optuna's own storage.

The store is its only input and its spool: it asks which rows the others lack and sends those, so a crash, a restart or
a tracking server that was away need nothing of their own. Every step may be repeated. It never holds up the driver: a
training's result is committed before the mirror hears of it, and an outage only makes the backlog longer.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import optuna

from lrsweep.errors import Unavailable
from lrsweep.records import Curve, SweepRow, TrainingRow
from lrsweep.space import candidate
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.optuna_copy import add_copy, copied_numbers
from lrsweep.sweep.owner import LEASE_SECONDS
from lrsweep.sweep.search import frozen_trial
from lrsweep.tracking import Tracker

LOOK_EVERY = 1.0
LONGEST_PAUSE = 30.0


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
        told = [trial for trial in store.trials(study.name, generation=study.generation) if trial.is_told]
        self._told = deque(trial.number for trial in told)
        """finished trials to copy to Optuna's storage; those that are there already are passed over"""
        self._faults = faults
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._error: Exception | None = None
        self._outages: list[str] = []
        self.behind = 0
        """how many trainings MLflow lacked at the last look"""

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
        """Ends the thread after the call that it is in; what it has not sent, the next driver's mirror sends."""
        self._abandoned.set()
        self._ending.set()
        self._woken.set()

    def adopt(self) -> None:
        """After a crash MLflow may hold runs that the store does not know of: one per training is kept, the rest go."""
        found = self._tracker.find_runs(self._sweep)
        for training in self._store.trainings(self._study.name, sweep_id=self._sweep.sweep_id):
            for run in found.get(training.training_id, ()):
                if run.run_id == training.mlflow_run_id:
                    continue
                if training.mlflow_run_id is None and run.attempt == training.attempt:
                    training = replace(training, mlflow_run_id=run.run_id)  # noqa: PLW2901 (now it has a run)
                    self._store.mark_mirrored(
                        self._lease,
                        training.training_id,
                        mlflow_run_id=run.run_id,
                        attempt=run.attempt,
                        steps=0,
                        status=None,
                    )
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
            except Exception as error:
                self._error = error
                return
            pause = min(2 * pause, 2.0 if ending else LONGEST_PAUSE) if self._outages else LOOK_EVERY
            if ending and not self._outages and not self._woken.is_set():
                return

    def _send_to_mlflow(self) -> None:
        rows = self._store.unmirrored(self._sweep.sweep_id)
        self.behind = len(rows)
        if rows:  # a driver that was stopped past its lease must not write to MLflow beside its successor
            self._store.renew_lease(self._lease, seconds=LEASE_SECONDS)
        for listed in rows:
            if self._abandoned.is_set():
                return
            self._faults.passing("before-mirror")
            row = self._store.training(listed.training_id)
            curve = self._store.curve(listed.training_id)
            if curve is not None and row.started_at is not None:  # None: it began again after the rows were listed
                self._send(row, curve)
            self.behind -= 1

    def _send(self, row: TrainingRow, curve: Curve) -> None:
        point = candidate(self._store.trial(row.study, row.trial).params, self._study)
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
        self._store.mark_mirrored(
            self._lease,
            row.training_id,
            mlflow_run_id=sent.run_id,
            attempt=sent.attempt,
            steps=sent.steps,
            status=sent.status,
        )

    def _copy_to_optuna(self) -> None:
        while self._told:
            number = self._told[0]
            if number not in self._copied:
                trial = self._store.trial(self._study.name, number)
                trainings = self._store.trainings(self._study.name, trial=number)
                add_copy(self._copy, frozen_trial(trial, trainings, self._study.metric))
                self._copied.add(number)
            self._told.popleft()  # only now: an outage must not lose it


def _outage_of(part: Callable[[], None]) -> list[str]:
    """Runs one part of a pass; an outage of what it writes to is told, and does not hold up the other part."""
    try:
        part()
    except Unavailable as error:
        return [str(error)]
    return []
