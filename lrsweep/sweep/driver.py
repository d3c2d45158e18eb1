"""The driver: one process per sweep that asks, trains, commits and tells, in that order.

fill:    queued trainings, then new trials, go to the executor as plans, while both it and the search have room
hear:    a record extends its curve; an outcome is committed with all that follows from it, then told and mirrored
tick:    the lease is renewed, long curves are committed, those who watch are shown
next:    where nothing runs or waits, the next phase is queued: a design, the finals

It leaves early in order: trainings save what they have and give way, what they said is committed, and waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from lrsweep.errors import DeadlinePassed, Interrupted, ScheduleError
from lrsweep.executors.base import Executor
from lrsweep.executors.messages import Busy
from lrsweep.records import Curve, Json, Origin, Status, SweepRow, TrainingRow, TrialRow
from lrsweep.scripts import command
from lrsweep.space import baseline_params
from lrsweep.store.base import Lease, Store
from lrsweep.study import TIMED, ResolvedStudy
from lrsweep.sweep import events
from lrsweep.sweep.checkpoints import Checkpoints
from lrsweep.sweep.failures import refuse_total_failure
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.finals import Finalist, standings
from lrsweep.sweep.handling import Handler
from lrsweep.sweep.meter import DEVICE_SECONDS_KEY, Meter, Spent, spent_by
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.owner import LEASE_SECONDS, RENEW_EVERY
from lrsweep.sweep.phases import Budget, Phase, Phases, phase_of
from lrsweep.sweep.plans import first_training, next_plan
from lrsweep.sweep.progress import Best, Cost, Progress, Running, as_best, occupancy
from lrsweep.sweep.recovery import State, recovered
from lrsweep.sweep.stopping import Cancelled, Stop
from lrsweep.sweep.tally import Tally

COMMIT_CURVES_EVERY = 30.0
SHOW_EVERY = 0.2
SHOW_SECONDS = 0.01
"""A look that takes longer comes the more seldom: at most a twentieth of the driver's time."""
POLL_SECONDS = 0.1
FILL_SECONDS = 1.0
"""An ask takes 11 to 42 ms: of so many free places some wait, so that engines are heard and the lease is kept."""


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
        tell: events.Tell = events.nobody,
        points: Iterable[Mapping[str, Json]] = (),
    ) -> None:
        """``points`` are asked for before the search draws its own; ``tell`` hears of all that happens."""
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
        self._tell = tell
        self._points = points
        self._state: State
        self._tally = Tally(study.sense)
        self._runs_scripts = study.workload.name == command.NAME
        self._budget = Budget(study)
        self._meter = Meter(spent_by(sweep, study), lambda: self._devices)
        self._phases = Phases(study, sweep.sweep_id, store, lease, say)
        self._stopped: set[str] = set()
        """trainings that the executor was told to end"""
        self._best: Best | None = None
        self._busy: Busy | None = None
        self._steps_before = 0
        self._told_before = 0
        self._counted_to = sweep.seconds
        self._renewed_at = self._committed_at = time.monotonic()
        self._show_at = 0.0

    @property
    def seconds(self) -> float:
        """Since the first ask."""
        return self._meter.seconds

    @property
    def _spent(self) -> Spent:
        return self._meter.look()

    @property
    def _devices(self) -> int:
        """Scripts have as many as their study says."""
        return self._study.devices if self._runs_scripts else self._executor.device_count

    @property
    def occupancy(self) -> float | None:
        """The part of the fused engines' slots that had a training in them; None where there were none."""
        return occupancy(self._busy)

    def keep(self) -> None:
        """Keeps the study ours and counts the seconds, every few of them; call it often, also while others work."""
        if time.monotonic() - self._renewed_at > RENEW_EVERY:
            self._store.renew_lease(self._lease, seconds=LEASE_SECONDS)
            self._renewed_at = time.monotonic()
            self._stop.is_cancelled = self.count_seconds().is_cancelled

    def count_seconds(self) -> SweepRow:
        """Adds what has passed since the last time to the sweep's row, so that a kill loses little of it."""
        spent = self._spent
        row = self._store.update_sweep(
            self._lease,
            self._sweep.sweep_id,
            add_seconds=spent.seconds - self._counted_to,
            settings={DEVICE_SECONDS_KEY: spent.device_seconds},
        )
        self._counted_to = spent.seconds
        return row

    def run(self) -> None:
        """Until the budget is used up.

        Raises Interrupted, DeadlinePassed or Cancelled, all in order; SweepFailed, LeaseLost or TryAgain.
        """
        handler = self._recover()
        self._meter.begin()
        self._tell(events.started(self._sweep, self._study, told=self._told_before))
        try:
            while self._goes_on(handler):
                self._stop.check()
                is_full = self._fill(handler)
                for message in self._executor.poll(POLL_SECONDS if is_full else 0.0):
                    self.keep()  # a poll may bring hundreds, and each outcome is a commit
                    handler.hear(message)
                self._tick(handler)
        except (Interrupted, DeadlinePassed, Cancelled):
            self._drain(handler)
            raise
        finally:
            self._executor.close()
        is_old = self._told_before >= self._study.trials
        refuse_total_failure(self._store, self._sweep, self._tally.trainings.values(), is_old=is_old)

    def queue_running_again(self, reason: str) -> None:
        """What was in flight when the driver leaves early waits for the next one."""
        for training in self._tally.trainings.values():
            if training.status is Status.RUNNING:
                self._store.queue_again(self._lease, training.training_id, reason=reason)

    def show(self) -> None:
        """Shows those who watch how things stand."""
        self._observe(self._progress())

    # ── start, and what comes next ───────────────────────────────────────────────────────────────────────────────
    def _recover(self) -> Handler:
        state = recovered(
            *(self._study, self._sweep, self._store, self._lease), takes=self._executor.free, points=self._points
        )
        self._state, self._tally = state, state.tally
        self._phases.now = phase_of(self._tally.trainings)
        self._steps_before = self._tally.steps
        self._told_before = self._tally.told
        return Handler(
            state,
            sweep=self._sweep,
            store=self._store,
            lease=self._lease,
            checkpoints=self._checkpoints,
            mirror=self._mirror,
            faults=self._faults,
            say=self._say,
            tell=self._tell,
        )

    @property
    def _is_asking(self) -> bool:
        return self._budget.pays_for_another_trial(self._tally, self._spent)

    def _goes_on(self, handler: Handler) -> bool:
        """Whether anything is left to do. Where nothing runs or waits, the next phase begins."""
        if self._budget.is_over(self._spent):
            self._end_unsearched(handler)
            goes_on = bool(self._executor.in_flight or self._state.waiting)
            if not goes_on:
                self._phases.end_by_the_clock(self._tally)
            return goes_on
        if self._executor.in_flight or self._state.waiting or self._is_asking:
            return True
        for row in self._phases.next(self._tally, self._budget, self._spent):
            self._state.wait(row)
        if self._state.waiting:
            self._faults.passing("after-phase")
        return bool(self._state.waiting)

    def _end_unsearched(self, handler: Handler) -> None:
        """The clock has used up the whole budget: what is left of the finals ends as it stands."""
        for row in [row for row in self._tally.unsearched.values() if not row.status.is_outcome]:
            if row.training_id in self._state.waiting:
                handler.end_unbegun(row)
            elif row.training_id not in self._stopped:
                self._stopped.add(row.training_id)
                self._executor.stop(row.training_id)

    # ── fill ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _fill(self, handler: Handler) -> bool:
        """False where it stopped for the time that it took: there is more to submit, after a look at what came."""
        until = time.monotonic() + FILL_SECONDS
        while self._executor.free > 0:
            if self._state.waiting:
                row = self._tally.trainings[self._state.waiting.next()]
            elif self._is_asking and self._state.untold.has_room:
                row = self._ask()
            else:
                return True
            self._state.curves[row.training_id] = Curve.empty()
            trial, folder = self._tally.trials[row.trial], self._checkpoints.url(row.training_id)
            try:
                plan = next_plan(row, trial, self._study, checkpoint_url=folder)
            except ScheduleError as error:  # an earlier release drew it, or a point was given that is no schedule
                handler.fail_unbegun(row, str(error))
            else:
                self._executor.submit(plan)
            if time.monotonic() > until:
                return False
        return True

    def _ask(self) -> TrainingRow:
        origin = Origin.SEARCH
        if self._lacks_baseline:
            origin = Origin.BASELINE
            params, distributions, asked = self._state.search.baseline()
        else:
            asked, params, distributions = self._state.search.ask()
        self._faults.passing("after-ask")
        number = self._store.next_trial_number(self._study.name)
        trial = TrialRow(self._study.name, number, self._sweep.sweep_id, params, distributions, origin=origin)
        first = first_training(self._study, self._sweep.sweep_id, number, params, self._state.rungs.first)
        self._store.add_trial(self._lease, trial, [first])
        if asked is not None:
            self._state.search.accept(number, asked)
        self._tally.put_trial(trial)
        self._tally.put_training(first)
        self._state.untold.add(number)
        return first

    @property
    def _lacks_baseline(self) -> bool:
        if self._study.baseline is None:
            return False
        found = self._tally.baseline
        return found is None or found.params != baseline_params(self._study)[0]

    # ── leaving early ────────────────────────────────────────────────────────────────────────────────────────────
    def _drain(self, handler: Handler) -> None:
        """Trainings save what they have and give way; a second signal ends this process meanwhile."""
        in_flight = len(self._executor.in_flight)
        if in_flight and self._runs_scripts:
            grace = command.command_of(self._study.workload).stop_grace
            self._say(f"{in_flight} script{'s have' if in_flight > 1 else ' has'} {grace:g} s to save")
        for message in self._executor.drain(self.keep):
            self.keep()
            handler.hear(message)
            self._faults.passing("mid-drain")
        handler.save_curves()

    # ── tick ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _tick(self, handler: Handler) -> None:
        now = time.monotonic()
        self._busy = self._executor.busy
        self._mirror.check()
        self.keep()
        if now - self._committed_at > COMMIT_CURVES_EVERY:
            handler.save_curves()
            self._committed_at = time.monotonic()
        if now > self._show_at:
            self.show()
            took = time.monotonic() - now
            self._show_at = now + SHOW_EVERY * max(1.0, took / SHOW_SECONDS)

    def _progress(self) -> Progress:
        tally = self._tally
        in_flight = [tally.trainings[each] for each in self._executor.in_flight]
        running = [row for row in in_flight if row.status is Status.RUNNING] or in_flight[:1]
        return Progress(
            study=self._study.name,
            sweep_id=self._sweep.sweep_id,
            trials_told=tally.told,
            trials_wanted=None if self._study.budget.kind in TIMED else max(self._study.trials, self._tally.asked),
            trainings_ended=tally.ended,
            steps_done=tally.steps - self._steps_before,
            seconds=self.seconds,
            seconds_left=self._seconds_left(),
            families=tally.families,
            best=self._best_so_far(),
            running=[Running(row, tally.trials[row.trial]) for row in running],
            behind=self._mirror.behind,
            outage=self._mirror.outage,
            busy=self._busy,
            phase=self._phases.now,
            cost=Cost.of(self._study, steps=tally.steps, device_seconds=self._spent.device_seconds),
            rungs=self._state.rungs.trusts,
            finals=self._standings(),
        )

    def _seconds_left(self) -> float | None:
        """By the pace so far: of the budget, finals included, and in the finals of what is queued and a race may still
        order, which is the most that is to come. A clock ends all, and a search goes on until its share is over. Before
        this driver's first trial has ended there is no pace: its first updates take as long as the engine takes to
        start."""
        tally = self._tally
        by_the_clock = self._budget.seconds_left(self._spent)
        if by_the_clock is not None and self._phases.now is Phase.SEARCH:
            return by_the_clock
        if self._phases.now is Phase.SEARCH and tally.told == self._told_before:
            return None
        in_flight = sum(curve.steps for curve in self._state.curves.values())  # dozens at a time, that end together
        pace = (tally.steps + in_flight - self._steps_before) / self.seconds if self.seconds else 0.0
        if not pace:
            return by_the_clock
        queued = sum(row.horizon for row in tally.unsearched.values() if not row.status.is_outcome)
        if self._phases.now is Phase.FINALS:
            to_come = queued + self._phases.to_order(tally, self._budget, self._spent)
        else:  # a design is followed by finals
            to_come = max(queued, self._study.total_steps - tally.steps)
        found = max(0, to_come - in_flight) / pace
        return found if by_the_clock is None else min(found, by_the_clock)

    def _best_so_far(self) -> Best | None:
        """Built anew only when another trial leads: a curve may have to be read for it."""
        leader = self._tally.leader
        if leader is not None and (self._best is None or self._best.trial != leader.number):
            self._best = as_best(leader, self._tally.trainings.values(), self._study, self._store)
        return self._best

    def _standings(self) -> list[Finalist]:
        rows = self._tally.finals
        trials = [self._tally.trials[number] for number in sorted({row.trial for row in rows})]
        return standings(self._study, trials, rows)
