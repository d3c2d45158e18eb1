"""The driver: one process per sweep that asks, trains, commits and tells, in that order.

fill:    queued trainings, then new trials, go to the executor as plans, while both it and the search have room
handle:  a record extends its curve; an outcome is committed with all that follows from it, then told and mirrored
tick:    the lease is renewed, long curves are committed, those who watch are shown
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from lrsweep.errors import DeadlinePassed, Interrupted
from lrsweep.executors.base import Executor
from lrsweep.executors.messages import Busy, Lost
from lrsweep.records import Curve, Outcome, Record, Status, SweepRow, TrainingRow, TrialRow
from lrsweep.scripts import command
from lrsweep.selection import best_trial, by_family
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.checkpoints import Checkpoints
from lrsweep.sweep.failures import Failures, refuse_total_failure
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.halting import Next, Reached, after, calibrates, is_behind_anywhere
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY
from lrsweep.sweep.plans import first_training, next_plan
from lrsweep.sweep.progress import Best, Progress, Running, best_of, occupancy
from lrsweep.sweep.search import Search
from lrsweep.sweep.waiting import Untold, Waiting, most_in_flight

COMMIT_CURVES_EVERY = 30.0
SHOW_EVERY = 0.2
SHOW_SECONDS = 0.01
"""A look at thousands of trials takes longer, and comes the more seldom: at most a twentieth of the driver's time."""
POLL_SECONDS = 0.1
FILL_SECONDS = 1.0
"""An ask takes 11 to 42 ms: of so many free places some wait, so that engines are heard and the lease is kept."""


class Stop:
    """Why a driver should leave early: a signal came, or the deadline."""

    def __init__(self, deadline: float | None = None) -> None:
        self.signum: int | None = None
        self._deadline = deadline

    def check(self) -> None:
        if self.signum is not None:
            raise Interrupted(self.signum, "interrupted; what was finished is kept, and the same command continues")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise DeadlinePassed("the deadline passed before the budget was used up; the same command continues")


class Driver:
    """Drives one sweep to the end of its budget. It is made for one ``run``."""

    def __init__(
        self,
        *,
        study: ResolvedStudy,
        sweep: SweepRow,
        store: Store,
        lease: Lease,
        executor: Executor,
        checkpoints: Checkpoints,
        mirror: Mirror,
        stop: Stop,
        faults: Faults,
        observe: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        self._study = study
        self._sweep = sweep
        self._store = store
        self._lease = lease
        self._executor = executor
        self._checkpoints = checkpoints
        self._mirror = mirror
        self._stop = stop
        self._faults = faults
        self._observe = observe
        self._say = say
        self._trials: dict[int, TrialRow] = {}
        self._trainings: dict[str, TrainingRow] = {}
        self._places: dict[int, int] = {}
        self._reached = Reached(study)
        self._waiting: Waiting
        self._runs_scripts = study.workload.name == command.NAME
        self._untold = Untold(None if self._runs_scripts else most_in_flight(study.trials))
        """for scripts it is the study file that says how many run at a time"""
        self._curves: dict[str, Curve] = {}
        self._failures = Failures()
        self._has_dropped = False
        """whether families were taken out that the script cannot follow"""
        self._best: Best | None = None
        self._busy: Busy | None = None
        self._began = 0.0
        self._steps_before = 0
        self._told_before = 0
        self._counted_to = 0.0
        self._renewed_at = self._committed_at = time.monotonic()
        self._show_at = 0.0

    @property
    def seconds(self) -> float:
        """Since the first ask."""
        return time.monotonic() - self._began if self._began else 0.0

    @property
    def occupancy(self) -> float | None:
        """The part of the fused engines' slots that had a training in them; None where there were none."""
        return occupancy(self._busy)

    def keep(self) -> None:
        """Keeps the study ours and counts the seconds, every few of them; call it often, also while others work."""
        if time.monotonic() - self._renewed_at > RENEW_EVERY:
            self._store.renew_lease(self._lease, seconds=LEASE_SECONDS)
            self._renewed_at = time.monotonic()
            self.count_seconds()

    def count_seconds(self) -> SweepRow:
        """Adds what has passed since the last time to the sweep's row, so that a kill loses little of it."""
        seconds = self.seconds
        row = self._store.update_sweep(self._lease, self._sweep.sweep_id, add_seconds=seconds - self._counted_to)
        self._counted_to = seconds
        return row

    def run(self) -> None:
        """Until the budget is used up. Raises Interrupted, DeadlinePassed, SweepFailed, LeaseLost or TryAgain."""
        search = self._recover()
        self._began = time.monotonic()
        try:
            while self._executor.in_flight or self._waiting or len(self._trials) < self._study.trials:
                self._stop.check()
                is_full = self._fill(search)
                for message in self._executor.poll(POLL_SECONDS if is_full else 0.0):
                    self.keep()  # a poll may bring hundreds, and each outcome is a commit
                    if isinstance(message, Lost):
                        self._handle_loss(search, message)
                    else:
                        self._handle(search, message)
                self._tick()
        except (Interrupted, DeadlinePassed):
            self._let_scripts_save()
            raise
        finally:
            self._executor.close()
        refuse_total_failure(self._trainings.values(), is_old=self._told_before >= self._study.trials)

    def _let_scripts_save(self) -> None:
        """A script that is told to stop may save what it has; a second signal ends this process meanwhile."""
        in_flight = len(self._executor.in_flight)
        if in_flight and self._runs_scripts:
            grace = command.command_of(self._study.workload).stop_grace
            self._say(f"{in_flight} script{'s have' if in_flight > 1 else ' has'} {grace:g} s to save")
        self._executor.drain(self.keep)

    def queue_running_again(self, reason: str) -> None:
        """What was in flight when the driver leaves early waits for the next one."""
        for training in self._trainings.values():
            if training.status is Status.RUNNING:
                self._store.queue_again(self._lease, training.training_id, reason=reason)

    def show(self) -> None:
        """Shows those who watch how things stand."""
        self._observe(self._progress())

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _recover(self) -> Search:
        """Reads back everything committed; trainings that an earlier driver left running are queued again."""
        self._waiting = Waiting(takes=self._executor.free)
        rows = self._store.trainings(self._study.name, generation=self._study.generation)
        by_trial: dict[int, list[TrainingRow]] = defaultdict(list)
        generation = self._store.trials(self._study.name, generation=self._study.generation)
        families = {trial.number: str(trial.params["family"]) for trial in generation}
        self._trials = {trial.number: trial for trial in generation if trial.sweep_id == self._sweep.sweep_id}
        counted = [trial for trial in generation if trial.is_told or trial.number in self._trials]
        self._places = {trial.number: place for place, trial in enumerate(counted)}
        left: list[TrainingRow] = []
        for found in rows:
            row = found
            if row.sweep_id == self._sweep.sweep_id:
                if row.status is Status.RUNNING:
                    row = self._store.queue_again(self._lease, row.training_id, reason="its driver ended")
                if row.status is Status.QUEUED:
                    left.append(row)
                self._trainings[row.training_id] = row
            by_trial[row.trial].append(row)
            self._reached.add(families[row.trial], row)
        for row in left:  # now that all values are known
            is_behind = is_behind_anywhere(by_trial[row.trial], self._reached, families[row.trial])
            if is_behind and self._calibrates(row.trial):
                self._untold.goes_on_to_calibrate(row.trial)
            self._wait(row)
        self._steps_before = sum(row.steps for row in self._trainings.values())
        self._told_before = self._told()
        return Search(self._study, generation, by_trial, sweep_id=self._sweep.sweep_id)

    # ── fill ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _fill(self, search: Search) -> bool:
        """False where it stopped for the time that it took: there is more to submit, after a look at what came."""
        until = time.monotonic() + FILL_SECONDS
        while self._executor.free > 0:
            if self._waiting:
                row = self._trainings[self._waiting.next()]
            elif len(self._trials) < self._study.trials and self._untold.has_room:
                row = self._ask(search)
            else:
                return True
            self._curves[row.training_id] = Curve.empty()
            trial, folder = self._trials[row.trial], self._checkpoints.url(row.training_id)
            self._executor.submit(next_plan(row, trial, self._study, checkpoint_url=folder))
            if time.monotonic() > until:
                return False
        return True

    def _wait(self, row: TrainingRow) -> None:
        self._waiting.add(row)
        self._untold.add(row.trial)

    def _ask(self, search: Search) -> TrainingRow:
        asked, params, distributions = search.ask()
        self._faults.passing("after-ask")
        number = self._store.next_trial_number(self._study.name)
        trial = TrialRow(self._study.name, number, self._sweep.sweep_id, params, distributions)
        first = first_training(self._study, self._sweep.sweep_id, number, params)
        self._store.add_trial(self._lease, trial, [first])
        search.accept(number, asked)
        self._places[number] = len(self._places)
        self._trials[number] = trial
        self._trainings[first.training_id] = first
        self._untold.add(number)
        return first

    # ── handle ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _handle(self, search: Search, record: Record) -> None:
        row = self._trainings[record.training_id]
        if row.status is Status.QUEUED and record.attempt == row.attempt + 1:
            row = self._store.start_training(self._lease, row.training_id, device=record.device, engine=record.engine)
            self._trainings[row.training_id] = row
        if row.status is not Status.RUNNING or record.attempt != row.attempt:
            return  # a late word of an attempt that was given up
        if record.engine != row.engine:  # where memory ran out its slots were halved
            row = self._trainings[row.training_id] = replace(row, engine=record.engine)
        self._curves[row.training_id] = self._curves[row.training_id].extended(record)
        if record.outcome is not None:
            self._end(search, row, record.outcome)

    def _handle_loss(self, search: Search, lost: Lost) -> None:
        row = self._trainings[lost.training_id]
        if fault := self._failures.fault_of(lost):
            if row.status is Status.QUEUED:
                row = self._store.start_training(self._lease, row.training_id, device="none")
            steps = self._curves[row.training_id].steps
            self._end(search, row, Outcome(Status.FAILED, steps, 0.0, {}, fault))
            return
        if row.status is Status.RUNNING:
            row = self._store.queue_again(self._lease, row.training_id, reason=lost.reason)
        self._trainings[row.training_id] = row
        self._wait(row)

    def _end(self, search: Search, row: TrainingRow, outcome: Outcome) -> None:
        """Commits the result, then tells the search; the mirror sees it because it is committed."""
        ended = row.with_outcome(outcome)
        trial = self._trials[row.trial]
        following = self._following(ended, trial)
        curve = self._curves.pop(row.training_id)
        ended = self._store.end_training(
            *(self._lease, row.training_id, row.attempt, outcome, curve),
            engine=row.engine,
            tell=following.tell,
            queue=following.queue,
        )
        self._faults.passing("after-commit")
        self._checkpoints.remove(row.training_id)
        self._mirror.wake(told=None if following.tell is None else trial.number)
        self._trainings[ended.training_id] = ended
        self._reached.add(str(trial.params["family"]), ended)
        if following.only_calibrates:
            self._untold.goes_on_to_calibrate(trial.number)
        for queued in following.queue:
            self._trainings[queued.training_id] = queued
            self._wait(queued)
        if following.tell is None:
            if ended.status is Status.COMPLETED and self._study.metric in ended.metrics:
                search.report(trial.number, ended.rung, ended.metrics[self._study.metric])
        else:
            search.tell(trial.number, following.tell, rung=ended.rung)
            self._untold.told(trial.number)
            self._trials[trial.number] = replace(trial, state=following.tell.state, value=following.tell.value)
        if command.TOO_LATE in (ended.error or "") and search.drop_reactive():
            if not self._has_dropped:
                metric = self._study.metric
                self._say(
                    f"the script reports {metric} too late for schedules that react to it: from here on this run draws "
                    f"the other families in their place. To search them, report {metric} several times in a training"
                )
            self._has_dropped = True
        else:
            self._failures.count(ended)

    def _following(self, ended: TrainingRow, trial: TrialRow) -> Next:
        family = str(trial.params["family"])
        next_rung = self._study.rungs[min(ended.rung + 1, len(self._study.rungs) - 1)]
        return after(
            ended,
            self._study,
            rivals=self._reached.by(family, ended.rung),
            calibrates=self._calibrates(trial.number),
            scale=self._study.rate_scale(str(trial.params["optimizer"]), next_rung),
        )

    def _calibrates(self, trial: int) -> bool:
        families = len(self._study.space.families)
        return calibrates(trial, self._places[trial], families, study=self._study.name)

    # ── tick ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _tick(self) -> None:
        now = time.monotonic()
        self._busy = self._executor.busy
        self._mirror.check()
        self.keep()
        if now - self._committed_at > COMMIT_CURVES_EVERY:
            for identity in self._executor.in_flight:
                row, curve = self._trainings[identity], self._curves[identity]
                if row.status is Status.RUNNING and curve.steps:
                    self._store.save_curve(self._lease, identity, row.attempt, curve)
            self._committed_at = now
            self._mirror.wake()
        if now > self._show_at:
            self.show()
            took = time.monotonic() - now
            self._show_at = now + SHOW_EVERY * max(1.0, took / SHOW_SECONDS)

    def _progress(self) -> Progress:
        trials = list(self._trials.values())
        told = self._told()
        in_flight = [self._trainings[each] for each in self._executor.in_flight]
        running = [row for row in in_flight if row.status is Status.RUNNING] or in_flight[:1]
        pace = (told - self._told_before) / self.seconds if self.seconds else 0.0
        return Progress(
            study=self._study.name,
            sweep_id=self._sweep.sweep_id,
            trials_told=told,
            trials_wanted=self._study.trials,
            trainings_ended=sum(row.status.is_outcome for row in self._trainings.values()),
            steps_done=sum(row.steps for row in self._trainings.values()) - self._steps_before,
            seconds=self.seconds,
            seconds_left=(self._study.trials - told) / pace if pace else None,
            families=by_family(trials, self._study.direction),
            best=self._best_so_far(trials),
            running=[Running(row, self._trials[row.trial]) for row in running],
            behind=self._mirror.behind,
            outage=self._mirror.outage,
            busy=self._busy,
        )

    def _best_so_far(self, trials: list[TrialRow]) -> Best | None:
        """Built anew only when another trial leads: a curve may have to be read for it."""
        leader = best_trial(trials, self._study.direction)
        if leader is not None and (self._best is None or self._best.trial != leader.number):
            self._best = best_of(trials, list(self._trainings.values()), self._study, self._store)
        return self._best

    def _told(self) -> int:
        return sum(trial.is_told for trial in self._trials.values())
