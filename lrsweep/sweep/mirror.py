"""The mirror: a thread that copies what the store has committed to MLflow and to Optuna's own storage.

The store is its only input and its spool: it asks which rows the others lack and sends those, so a crash, a restart or
a tracking server that was away need nothing of their own. Every step may be repeated. It never holds up the driver: a
training's result is committed before the mirror hears of it, and an outage only makes the backlog longer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import optuna

from lrsweep.errors import Unavailable
from lrsweep.records import SweepRow
from lrsweep.space import candidate
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.optuna_copy import add_copy
from lrsweep.sweep.search import TRIAL_ATTRIBUTE, frozen_trial
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
        self._copied = {trial.user_attrs.get(TRIAL_ATTRIBUTE) for trial in copy.get_trials(deepcopy=False)}
        told = [trial for trial in store.trials(study.name, generation=study.generation) if trial.is_told]
        self._told = deque(trial.number for trial in told)
        """finished trials to copy to Optuna's storage; those that are there already are passed over"""
        self._faults = faults
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._error: Exception | None = None
        self.behind = 0
        """how many trainings MLflow lacked at the last look"""
        self.outage: str | None = None
        """why it lacks them, while the tracking server does not answer"""

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

    def finish(self, tick: Callable[[], None], *, patience_seconds: float) -> bool:
        """Sends the rest and ends the thread; False where an outage outlasts the patience and rows are left.

        ``tick`` is called while it waits: the lease must not expire meanwhile.
        """
        self._ending.set()
        self._woken.set()
        give_up = time.monotonic() + patience_seconds
        while self._thread.is_alive():
            self._thread.join(0.05)
            tick()
            if self.outage is None:
                give_up = max(give_up, time.monotonic() + 1.0)  # it moves: as long as it takes
            elif time.monotonic() > give_up:
                return False
        self.check()
        return True

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
        while True:
            # in an outage only the end cuts the pause short: each commit would be one more call into the void
            is_away = self.outage is not None and not self._ending.is_set()
            (self._ending if is_away else self._woken).wait(pause)
            self._woken.clear()
            ending = self._ending.is_set()
            try:
                self._copy_to_optuna()
                self._send_to_mlflow()
                self.outage, pause = None, LOOK_EVERY
            except Unavailable as error:
                self.outage, pause = str(error), min(2 * pause, 2.0 if ending else LONGEST_PAUSE)
            except Exception as error:
                self._error = error
                return
            if ending and self.outage is None and not self._woken.is_set():
                return

    def _send_to_mlflow(self) -> None:
        rows = self._store.unmirrored(self._sweep.sweep_id)
        self.behind = len(rows)
        for row in rows:
            self._faults.passing("before-mirror")
            curve = self._store.curve(row.training_id)
            assert curve is not None, row.training_id
            point = candidate(self._store.trial(row.study, row.trial).params, self._study)
            sent = self._tracker.send(
                row,
                curve,
                parent=self._parent,
                schedule=point.schedule,
                peak_lr=point.peak_lr,
                optimizer=point.optimizer,
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
            self.behind -= 1

    def _copy_to_optuna(self) -> None:
        while self._told:
            number = self._told[0]
            if number not in self._copied:
                trial = self._store.trial(self._study.name, number)
                trainings = self._store.trainings(self._study.name, trial=number)
                add_copy(self._copy, frozen_trial(trial, trainings, self._study.metric))
                self._copied.add(number)
            self._told.popleft()  # only now: an outage must not lose it
