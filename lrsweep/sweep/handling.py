"""What a driver makes of what engines say: a record extends its curve; an outcome is committed with all that follows
from it in one transaction, then told to the search and mirrored; what was lost waits for another attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lrsweep.executors.messages import Lost
from lrsweep.records import Curve, Outcome, Purpose, Record, Status, SweepRow, TrainingRow, TrialRow
from lrsweep.scripts import command
from lrsweep.store.base import Lease, Store
from lrsweep.sweep import events
from lrsweep.sweep.checkpoints import Checkpoints
from lrsweep.sweep.failures import STOPPED_KEY, Failures
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.halting import Next, after, calibrates
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.recovery import State
from lrsweep.sweep.trust import DROPPED_KEY


class Handler:
    """Hears one message at a time; keeps the state up."""

    def __init__(
        self,
        state: State,
        *,
        sweep: SweepRow,
        store: Store,
        lease: Lease,
        checkpoints: Checkpoints,
        mirror: Mirror,
        faults: Faults,
        say: Callable[[str], None],
        tell: events.Tell,
    ) -> None:
        self._state = state
        self._study = state.study
        self._tally = state.tally
        self._sweep = sweep
        self._store = store
        self._lease = lease
        self._checkpoints = checkpoints
        self._mirror = mirror
        self._faults = faults
        self._say = say
        self._tell = tell
        self._failures = Failures(state.study.run.failures_that_stop)
        self._has_dropped = False
        """whether families were taken out that the script cannot follow"""
        self._told_dropped: set[int] = set(sweep.settings.get(DROPPED_KEY, ()))
        """rungs"""

    def hear(self, message: Record | Lost) -> None:
        """Raises SweepFailed at the last of too many failures in a row."""
        if isinstance(message, Lost):
            self._lost(message)
        else:
            self._record(message)
        self._tell_dropped()

    def save_curves(self) -> None:
        """Commits what there is of the curves of trainings that run."""
        for identity, curve in self._state.curves.items():
            row = self._tally.trainings[identity]
            if row.status is Status.RUNNING and curve.steps:
                self._store.save_curve(self._lease, identity, row.attempt, curve)
        self._mirror.wake()

    def fail_unbegun(self, row: TrainingRow, error: str) -> None:
        """It cannot be trained: its parameters make no schedule. Raises SweepFailed as ``hear`` does."""
        begun = self._store.start_training(self._lease, row.training_id, device="none")
        self._end(begun, Outcome(Status.FAILED, 0, 0.0, {}, error))

    def end_unbegun(self, row: TrainingRow) -> None:
        """It waits, and is not to be trained any more."""
        self._state.waiting.remove(row.training_id)
        begun = self._store.start_training(self._lease, row.training_id, device="none")
        self._commit(begun, Outcome(Status.STOPPED, 0, 0.0, {}))

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────
    def _record(self, record: Record) -> None:
        row = self._tally.trainings[record.training_id]
        if row.status is Status.QUEUED and record.attempt == row.attempt + 1:
            row = self._store.start_training(self._lease, row.training_id, device=record.device, engine=record.engine)
            self._tally.put_training(row)
        if row.status is not Status.RUNNING or record.attempt != row.attempt:
            return  # a late word of an attempt that was given up
        if record.engine != row.engine:  # where memory ran out its slots were halved
            row = replace(row, engine=record.engine)
            self._tally.put_training(row)
        curve = self._state.curves[row.training_id] = self._state.curves[row.training_id].extended(record)
        if record.outcome is None:
            return
        if fault := self._failures.passing(row.training_id, record.outcome):
            self._say(f"trial {row.trial} is trained again after a fault of the machine: {fault}")
            self._queue_again(row, fault)
            return
        self._end(row, self._valued(row, record.outcome, curve))

    def _lost(self, lost: Lost) -> None:
        row = self._tally.trainings[lost.training_id]
        fault = self._failures.fault_of(lost)
        if fault is None:
            self._queue_again(row, lost.reason)
            return
        if row.status is Status.QUEUED:
            row = self._store.start_training(self._lease, row.training_id, device="none")
        self._end(row, Outcome(Status.FAILED, self._state.curves[row.training_id].steps, 0.0, {}, fault))

    def _queue_again(self, row: TrainingRow, reason: str) -> None:
        if row.status is Status.RUNNING:
            row = self._store.queue_again(self._lease, row.training_id, reason=reason)
        self._state.wait(row)

    def _valued(self, row: TrainingRow, outcome: Outcome, curve: Curve) -> Outcome:
        """With the value under its name, where that is not simply the metric after the last update."""
        study = self._study
        if outcome.status is not Status.COMPLETED or study.value_key in outcome.metrics:
            return outcome
        value = study.objective.value(curve, study.metric, study.direction, row.horizon)
        return outcome if value is None else replace(outcome, metrics={**outcome.metrics, study.value_key: value})

    # ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────
    def _end(self, row: TrainingRow, outcome: Outcome) -> None:
        """Commits the result, then tells the search; the mirror sees it because it is committed."""
        trial = self._tally.trials[row.trial]
        is_counted = not self._drops_reactive(outcome)
        if is_counted and self._failures.will_stop(outcome.status):
            self._store.update_sweep(self._lease, self._sweep.sweep_id, settings={STOPPED_KEY: True})
        following = Next() if row.purpose is not Purpose.SEARCH else self._following(row.with_outcome(outcome), trial)
        ended = self._commit(row, outcome, following, trial)
        if row.purpose is Purpose.SEARCH:
            self._state.reached.add(trial, ended)
            self._state.rungs.trained(trial, ended)
        if following.only_calibrates:
            self._state.untold.goes_on_to_calibrate(trial.number)
        for queued in following.queue:
            self._state.wait(queued)
        if following.tell is not None:
            if self._state.search.knows(trial.number):
                self._state.search.tell(trial.number, following.tell, rung=ended.rung)
            self._state.untold.told(trial.number)
            self._told(replace(trial, state=following.tell.state, value=following.tell.value))
        if is_counted:
            self._failures.count(ended)

    def _commit(
        self, row: TrainingRow, outcome: Outcome, following: Next | None = None, trial: TrialRow | None = None
    ) -> TrainingRow:
        tell = following.tell if following else None
        ended = self._store.end_training(
            *(self._lease, row.training_id, row.attempt, outcome),
            self._state.curves.pop(row.training_id, Curve.empty()),
            engine=row.engine,
            tell=tell,
            queue=following.queue if following else (),
        )
        self._faults.passing("after-commit")
        self._checkpoints.remove(ended.training_id)
        self._mirror.wake(told=trial.number if trial and tell else None)
        self._tally.put_training(ended)
        self._tell(events.training(ended))
        return ended

    def _following(self, ended: TrainingRow, trial: TrialRow) -> Next:
        study, search = self._study, self._state.search
        last = len(study.rungs) - 1
        value = ended.metrics.get(study.value_key)
        rungs = self._state.rungs
        halted = None
        if ended.status is Status.COMPLETED and ended.rung < last and value is not None and search.knows(trial.number):
            search.report(trial.number, ended.rung, value)
            halted = search.halts(trial.number)
        if ended.rung in rungs.dropped:
            halted = False
        next_rung = rungs.above(ended.rung)
        return after(
            ended,
            study,
            rivals=self._state.reached.by(str(trial.params["family"]), ended.rung),
            calibrates=calibrates(trial),
            scale=study.rate_scale(str(trial.params["optimizer"]), study.rungs[next_rung]),
            next_rung=next_rung,
            halted=halted,
        )

    def _told(self, trial: TrialRow) -> None:
        leader = self._tally.leader_of(str(trial.params["family"]))
        self._tally.put_trial(trial)
        self._tell(events.trial(trial))
        if (now := self._tally.leader_of(str(trial.params["family"]))) is not leader and now is not None:
            self._tell(events.family(now))
        if calibrates(trial):
            self._state.rungs.told(trial)

    def _tell_dropped(self) -> None:
        """Each rung once in the life of the sweep, also one that was dropped by what earlier sweeps have trained."""
        rungs = self._state.rungs
        for rung in sorted(rungs.dropped - self._told_dropped):
            self._told_dropped.add(rung)
            why = rungs.why(rung)
            self._store.note(self._lease, "rung_dropped", self._sweep.sweep_id, why.to_json())
            self._store.update_sweep(
                self._lease, self._sweep.sweep_id, settings={DROPPED_KEY: sorted(self._told_dropped)}
            )
            self._tell(events.rung(why))
            self._say(rungs.sentence(rung))

    def _drops_reactive(self, outcome: Outcome) -> bool:
        """Whether the training failed as its script cannot follow its family, and the search now draws others."""
        if command.TOO_LATE not in (outcome.error or "") or not self._state.search.drop_reactive():
            return False
        if not self._has_dropped:
            metric = self._study.metric
            self._say(
                f"the script reports {metric} too late for schedules that react to it: from here on this run draws "
                f"the other families in their place. To search them, report {metric} several times in a training"
            )
        self._has_dropped = True
        return True
