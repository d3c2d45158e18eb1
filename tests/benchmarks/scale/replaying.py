"""A simulated engine: trainings that end when real ones would, with real curves, and of which nothing is computed.

It is an ``OpenedExecutor`` in the process that makes it, so it stands in the place of ``LocalExecutor``: in a driver's
own process, or in the actors of a cluster (``stations``). Each slot makes an update in ``step_seconds`` of the
wall clock; with 0 a training has ended before it is asked for, and what is measured is whoever asks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Busy, Lost, Measured
from lrsweep.executors.process import capacity
from lrsweep.records import Crew, Curve, Outcome, Record, Status, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.study import ResolvedStudy
from tests.benchmarks.scale.curves import curve_of, diverges
from tests.sweeps import FACTS

DIVERGED_AFTER = 0.05
"""Of the horizon."""
CHUNK_SECONDS = 1.0
"""About as long as an engine gathers what it tells."""
STEPS_PER_SECOND = 1000.0
"""What a replayed training says it took, where the clock does not say it."""


@dataclass
class _Slot:
    plan: TrainingPlan
    curve: Curve
    last: int
    """after so many updates it ends"""
    began: float
    told: int = 0
    told_at: float = 0.0


@dataclass
class Filled:
    """For a mean over time: what slots could have done, and did."""

    since: float
    at: float
    slot_seconds: float = 0.0

    def share(self, slots: int) -> float:
        seconds = (self.at - self.since) * slots
        return self.slot_seconds / seconds if seconds else 0.0


class ReplayExecutor:
    """Keeps as many plans as an engine's process with so many slots."""

    def __init__(self, device: str = "simulated", *, slots: int = 16, step_seconds: float = 0.0, **_: object) -> None:
        """What else a ``LocalExecutor`` takes has no meaning here."""
        self.slots = slots
        self.step_seconds = step_seconds
        self._device = device
        self._waiting: deque[TrainingPlan] = deque()
        self._running: dict[str, _Slot] = {}
        self._stopped: list[Record] = []
        self.ended = 0
        self.filled: Filled | None = None

    # ── the driver's side ────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def free(self) -> int:
        return capacity(self.slots) - len(self._waiting) - len(self._running)

    @property
    def in_flight(self) -> Sequence[str]:
        return (*self._running, *(plan.training_id for plan in self._waiting))

    @property
    def busy(self) -> Busy | None:
        if self.filled is None or not self.step_seconds:
            return None
        steps = max(1, round((self.filled.at - self.filled.since) / self.step_seconds))
        return Busy(self.slots, steps, round(self.filled.slot_seconds / self.step_seconds))

    @property
    def pids(self) -> Sequence[int]:
        return ()

    @property
    def arrangement(self) -> str:
        return f"fused:{self.slots}"

    @property
    def device_count(self) -> int:
        return 1

    far_device = None

    @property
    def pace_factor(self) -> int:
        return 1

    def submit(self, plan: TrainingPlan) -> None:
        self._waiting.append(plan)

    def stop(self, training_id: str) -> None:
        plans = [plan for plan in self._waiting if plan.training_id == training_id]
        for plan in plans:
            self._waiting.remove(plan)
            self._stopped.append(Record.empty(plan, self._device, Outcome(Status.STOPPED, 0, 0.0, {})))

    def poll(self, seconds: float) -> list[Record | Lost]:
        until = time.monotonic() + seconds
        while True:
            told = [*self._stopped, *self._advance()]
            self._stopped.clear()
            left = until - time.monotonic()
            if told or left <= 0:
                return told
            time.sleep(min(left, self._until_next()))

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        tick()
        self.close()
        return []

    def close(self) -> None:
        self._waiting.clear()
        self._running.clear()

    # ── its slots ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _advance(self) -> list[Record | Lost]:
        now = time.monotonic()
        self._count(now)
        told: list[Record | Lost] = []
        for slot in list(self._running.values()):
            done = slot.last if not self.step_seconds else int((now - slot.began) / self.step_seconds)
            if done >= slot.last:
                del self._running[slot.plan.training_id]
                told.append(self._record(slot, slot.last, now))
                self.ended += 1
            elif now - slot.told_at > CHUNK_SECONDS and done > slot.told:
                told.append(self._record(slot, done, now))
        while self._waiting and len(self._running) < self.slots:
            told.append(self._begin(self._waiting.popleft(), now))
        return told

    def _begin(self, plan: TrainingPlan, now: float) -> Record:
        last = max(1, int(DIVERGED_AFTER * plan.horizon)) if diverges(plan) else plan.horizon
        self._running[plan.training_id] = _Slot(plan, curve_of(plan), last, began=now, told_at=now)
        return Record.empty(plan, self._device, engine=f"fused/{self.slots}")

    def _record(self, slot: _Slot, done: int, now: float) -> Record:
        """The stretch since the last one; with the outcome where it is the last."""
        plan, curve, since = slot.plan, slot.curve, slot.told
        slot.told, slot.told_at = done, now
        outcome = self._outcome(slot, now) if done == slot.last else None
        heard = (curve.evaluation_steps > since) & (curve.evaluation_steps <= done)
        return Record(
            training_id=plan.training_id,
            attempt=plan.attempt,
            device=self._device,
            first_step=since,
            rates=curve.rates[since:done],
            train_losses=curve.train_losses[since:done],
            evaluation_steps=curve.evaluation_steps[heard],
            evaluations={name: values[heard] for name, values in curve.evaluations.items()},
            outcome=outcome,
            engine=f"fused/{self.slots}",
        )

    def _outcome(self, slot: _Slot, now: float) -> Outcome:
        seconds = now - slot.began if self.step_seconds else slot.last / STEPS_PER_SECOND
        if slot.last < slot.plan.horizon:
            return Outcome(Status.DIVERGED, slot.last, seconds, {}, reason="the loss is not finite")
        value = float(slot.curve.evaluations[slot.plan.metric][-1])
        return Outcome(Status.COMPLETED, slot.last, seconds, {slot.plan.metric: value, "decide_loss": 1.02 * value})

    def _count(self, now: float) -> None:
        if self.filled is None:
            if self._waiting:
                self.filled = Filled(now, now)
            return
        self.filled.slot_seconds += (now - self.filled.at) * len(self._running)
        self.filled.at = now

    def _until_next(self) -> float:
        """Seconds until a slot has something to tell."""
        now = time.monotonic()
        ends = [slot.began + slot.last * self.step_seconds - now for slot in self._running.values()]
        chunks = [slot.told_at + CHUNK_SECONDS - now for slot in self._running.values()]
        return max(0.001, min([*ends, *chunks, 0.1]))

    # ── what is asked before there is a driver ───────────────────────────────────────────────────────────────────────
    def start(self, workload: WorkloadSpec | None = None) -> None:
        """Nothing is to be loaded."""

    def describe(self, workload: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        return FACTS

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None] = lambda: None
    ) -> list[Measured]:
        return []

    def fit(
        self, asked: EngineOption, study: ResolvedStudy, rest: Rest, *, tick: Callable[[], None] = lambda: None
    ) -> None:
        """It has the slots that it was made with."""
