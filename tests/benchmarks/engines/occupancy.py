"""How full the slots are over a whole sweep with halving, from its first ask to its last.

A driver as small as it can be stands before ``FusedEngine``: trials begin at the lowest rung, the best third of those
that came so far goes on, and for the search at most a sixth of the trials are in flight. It answers at once, or like a
real one, which has one result after the other: it writes it to a database and asks its sampler before it looks at the
next, so results that come together wait for each other.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.fused.fitting import CannotFuse
from lrsweep.executors.process import capacity
from lrsweep.records import EngineSettings, Record, TrainingPlan
from tests.benchmarks.engines.loops import Plans, check
from tests.benchmarks.engines.problem import Opened
from tests.benchmarks.engines.rungs import CannotRun
from tests.benchmarks.sweep.figures import spread

REDUCTION_FACTOR = 3
TRAININGS_PER_SLOT = 10


def trials_of(slots: int, rungs: int) -> int:
    """As many as make ten trainings for each slot, and let the search fill all slots and the queue before them.

    With two rungs the search fills no more than these, so the slots are as many as ``auto`` takes at most.

    >>> trials_of(8, rungs=2), trials_of(16, rungs=2), trials_of(2, rungs=2)
    (60, 120, 24)
    >>> [most_in_flight(trials_of(slots, rungs=2)) == capacity(slots) for slots in (8, 16, 24, 64)]
    [True, True, True, True]
    """
    per_trial = sum(float(REDUCTION_FACTOR) ** -rung for rung in range(rungs))
    return max(math.ceil(TRAININGS_PER_SLOT * slots / per_trial), 6 * capacity(slots))


def most_in_flight(trials: int) -> int:
    return max(4, trials // 6)


class Halving:
    """Which training comes next, as ``(trial, rung)``."""

    def __init__(self, trials: int, rungs: int) -> None:
        self._trials = trials
        self._rungs = rungs
        self._most = most_in_flight(trials)
        self._asked = 0
        self._open: set[int] = set()
        """trials that were asked for, and have more to run"""
        self._promoted: deque[tuple[int, int]] = deque()
        self._values: list[list[float]] = [[] for _ in range(rungs)]

    @property
    def is_asked_out(self) -> bool:
        return self._asked == self._trials

    @property
    def is_over(self) -> bool:
        return self.is_asked_out and not self._open

    def next(self) -> tuple[int, int] | None:
        """None while the search has as many trials in flight as it may."""
        if self._promoted:
            return self._promoted.popleft()
        if self.is_asked_out or len(self._open) >= self._most:
            return None
        trial = self._asked
        self._asked += 1
        self._open.add(trial)
        return trial, 0

    def told(self, trial: int, rung: int, value: float) -> None:
        rivals = self._values[rung]
        better = sum(rival < value for rival in rivals)
        rivals.append(value)
        if rung + 1 < self._rungs and better < max(1, len(rivals) // REDUCTION_FACTOR):
            self._promoted.append((trial, rung + 1))
        else:
            self._open.discard(trial)


class Desk:
    """The driver as the slots see it: it takes what came first, and is busy with it for so many seconds.

    >>> desk = Desk(seconds=2.0)
    >>> desk.came("a", at=10.0); desk.came("b", at=10.5); desk.came("c", at=20.0)
    >>> desk.done(by=11.9), desk.done(by=13.9), desk.done(by=14.0), desk.done(by=21.0), desk.done(by=22.0)
    ([], ['a'], ['b'], [], ['c'])
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._queue: deque[tuple[float, Any]] = deque()
        self._free_at = -math.inf

    def came(self, what: Any, at: float) -> None:
        self._queue.append((at, what))

    def done(self, by: float) -> list[Any]:
        """What it has done since it was asked last."""
        found = []
        while self._queue:
            at, what = self._queue[0]
            finished = max(at, self._free_at) + self._seconds
            if finished > by:
                break
            self._free_at = finished
            self._queue.popleft()
            found.append(what)
        return found


@dataclass(frozen=True)
class Busy:
    """What the slots did, until the last ask and until the end."""

    by_steps: float
    """slots with a training, over all steps until the last ask"""
    by_time: float
    """the same by the clock: a step of few slots is shorter, and waiting for the driver is no step at all"""
    by_steps_to_the_end: float
    trainings: int
    seconds: float


class Slots:
    """A sweep's engine and driver in one process."""

    def __init__(self, opened: Opened, plans: Plans, slots: int) -> None:
        self._plans = plans
        self._slots = slots
        self._desk = Desk(0.0)
        try:
            self._engine = FusedEngine(opened.workload, EngineSettings(), slots, self._hear)
        except CannotFuse as reason:
            raise CannotRun(str(reason)) from reason

    def sweep(self, trials: int, rungs: Sequence[int], delay: float) -> Busy:
        """``delay``: seconds that the driver is busy with one result and the training that it asks for then; and with
        each of the first trainings, before which there is no result."""
        engine, halving = self._engine, Halving(trials, len(rungs))
        self._desk = desk = Desk(delay)
        here: dict[str, tuple[int, int]] = {}
        steps, slot_steps = engine.steps, engine.slot_steps
        trainings, busy_seconds = 0, 0.0
        at_last_ask: tuple[float, float] | None = None
        begin = before = time.perf_counter()
        for _ in range(capacity(self._slots)):
            desk.came(None, at=begin)
        while not halving.is_over:
            for result in desk.done(by=before):
                if result is not None:
                    training_id, value = result
                    halving.told(*here.pop(training_id), value)
                if (job := halving.next()) is not None:
                    plan = self._plan(job, rungs)
                    here[plan.training_id] = job
                    engine.submit(plan)
                    trainings += 1
            done = engine.steps, engine.slot_steps
            if halving.is_asked_out and at_last_ask is None and done[0] > steps:
                share = (done[1] - slot_steps) / ((done[0] - steps) * self._slots)
                at_last_ask = share, busy_seconds / (before - begin)
            if engine.is_idle:
                time.sleep(0.001)
            else:
                engine.advance()
            now = time.perf_counter()
            busy_seconds += (now - before) * (engine.slot_steps - done[1]) / self._slots
            before = now
        if engine.slots != self._slots:
            raise CannotRun(f"memory was short: {engine.slots} slots are left")
        all_steps = engine.steps - steps
        assert at_last_ask is not None
        return Busy(
            *at_last_ask,
            (engine.slot_steps - slot_steps) / (all_steps * self._slots),
            trainings,
            time.perf_counter() - begin,
        )

    def _plan(self, job: tuple[int, int], rungs: Sequence[int]) -> TrainingPlan:
        """Peak rates from a hundredth to the whole, so that trials differ."""
        trial, rung = job
        plan = self._plans.next(rungs[rung])
        return replace(plan, peak_lr=plan.peak_lr * 10 ** (-2 * ((trial * 0.618) % 1)))

    def _hear(self, record: Record) -> None:
        if record.outcome is not None:
            check(record)
            value = record.outcome.metrics.get("val_loss", math.inf)
            self._desk.came((record.training_id, value), at=time.perf_counter())


def figures(found: Sequence[Busy]) -> dict[str, Any]:
    """Of the sweeps of several rounds."""
    return {
        "trainings": found[0].trainings,
        "occupancy": spread([each.by_steps for each in found]),
        "occupancy_by_time": spread([each.by_time for each in found]),
        "occupancy_to_the_end": spread([each.by_steps_to_the_end for each in found]),
        "trainings_per_hour": spread([3600 * each.trainings / each.seconds for each in found]),
    }
