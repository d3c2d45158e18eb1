"""What trains models in the engine's process: one training after the other, or many at once.

    submit ──> waits ──> advance ──> the sequential engine: a whole training
                             └─────> the fused engine: one update of all its slots

One engine has trainings at a time; a plan for another waits until it is idle.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrsweep.executors.gathering import Gathering
from lrsweep.executors.heartbeat import Heartbeat
from lrsweep.executors.messages import Alive, Busy, Measure, Measured, Use
from lrsweep.records import EngineSettings, Record, TrainingPlan, WorkloadFacts, WorkloadSpec

if TYPE_CHECKING:
    from lrsweep.engines.fused.engine import FusedEngine
    from lrsweep.engines.measuring import Benches
    from lrsweep.workloads.base import Workload

BUSY_EVERY = 2.0
"""Seconds between two words on how full the slots are."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Kind:
    """What trainings have in common that one engine trains."""

    workload: str
    engine: EngineSettings
    slots: int | None


class Trainer:
    """The one of a process. Torch is imported when it is made."""

    def __init__(
        self,
        device_name: str,
        data: Path | None,
        send: Callable[[object], None],
        is_stopped: Callable[[str], bool],
        is_drained: Callable[[], bool],
    ) -> None:
        self._alive = Heartbeat(lambda: send(Alive()))
        with self._alive():
            import lrsweep.engines.device
            import lrsweep.engines.sequential

        self._is_gpu_lost = lrsweep.engines.device.is_gpu_lost
        self._train = lrsweep.engines.sequential.train
        self._drained = lrsweep.engines.sequential.Drained
        self._end_unbegun = lrsweep.engines.sequential.end_unbegun
        self._device_name = device_name
        self._data = data
        self._send = send
        self._records = Gathering(send)
        self._is_stopped = is_stopped
        self._is_drained = is_drained
        self._loaded: dict[str, Workload] = {}
        self._slots: int | None = None
        self._waiting: deque[TrainingPlan] = deque()
        self._fused: tuple[_Kind, FusedEngine] | None = None
        self._benches: Benches | None = None
        self._in_slots = 0
        """trainings that the fused engine has, those that wait for a slot too"""
        self.is_broken = False
        """whether the GPU has failed a training in a way that it will fail all others in this process"""
        self._told = (0, 0)
        """its ``steps`` and ``slot_steps``, as they were told last"""
        self._told_at = 0.0

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────

    def facts(self, spec: WorkloadSpec) -> WorkloadFacts:
        return self._workload(spec).facts

    def use(self, slots: int | None) -> None:
        """How trainings are trained from the next one on; those that run are not touched."""
        self._slots = slots

    def submit(self, plan: TrainingPlan) -> None:
        self._waiting.append(plan)

    def stop(self, training_id: str) -> None:
        """Ends it as ``stopped`` if it waits, or is in a slot. The sequential engine asks by itself."""
        for plan in [plan for plan in self._waiting if plan.training_id == training_id]:
            self._waiting.remove(plan)
            workload = self._workload(plan.workload)
            with self._alive():
                self._end_unbegun(plan, workload, self._heard)
        if self._fused and not self._fused[1].is_idle:
            self._fused[1].stop(training_id)

    def drain(self) -> None:
        """Lets go of all that is here; checkpoints hold what it has done. The sequential engine asks by itself."""
        self._waiting.clear()
        if self._fused:
            self._fused[1].drain()
            self._in_slots = 0
        self._records.flush()

    def measure(self, message: Measure) -> Measured:
        """How fast trainings are trained; nothing else is trained meanwhile."""
        from lrsweep.engines import measuring
        from lrsweep.engines.memory import OUT_OF_MEMORY, shortage

        plans = message.plans
        workload = self._workload(plans[0].workload)
        self._fused = None
        self._benches = self._benches or measuring.Benches(self._alive)
        updates, seconds, reason, is_short = 0, 0.0, None, False
        try:
            updates, seconds = self._benches.run(workload, plans, message.slots, message.seconds)
        except Exception as error:  # of whatever kind: it is a reason to train in another way
            reason, is_short = _line(error), isinstance(error, measuring.OutOfMemory)
            if shortage(error, workload.device) is not None:
                reason, is_short = f"{OUT_OF_MEMORY}: {reason}", True
        if reason is not None:  # outside, because the error holds on to tensors
            self._benches.give_back(workload, plans, message.slots)
        device = workload.device
        peak, free = measuring.peak_bytes(device), measuring.free_bytes(device)
        return Measured(updates, seconds, peak, reason, measuring.name_of(device), free, not is_short)

    # ── training ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting) or (self._fused is not None and not self._fused[1].is_idle)

    def advance(self) -> None:
        """Lets begin what may begin, and trains a little: all slots by one update, or one training to its end."""
        if self._waiting and self._benches:
            self._benches.close()
            self._benches = None
        while self._waiting:
            plan = self._waiting[0]
            kind = _kind(plan, self._slots)
            if self._fused and self._fused[0] != kind:
                if not self._fused[1].is_idle:
                    break
                self._fused = None
            if self._slots is not None:
                self._open(plan, self._slots)
            self._waiting.popleft()
            if self._fused is None:
                self._train_alone(plan)
                return
            self._in_slots += 1
            self._fused[1].submit(plan)
        if self._fused and not self._fused[1].is_idle:
            self._fused[1].advance()
            self._records.tick()
            self._tell_of_fewer_slots()
            if time.monotonic() - self._told_at >= BUSY_EVERY:
                self._say_how_busy()

    def _open(self, plan: TrainingPlan, slots: int) -> None:
        """Makes the fused engine for the plan, unless it is there; from here on there is none if it cannot be made."""
        from lrsweep.engines.fused.engine import FusedEngine

        if self._fused:
            return
        workload = self._workload(plan.workload)
        self._told = (0, 0)
        try:
            self._fused = (
                _kind(plan, slots),
                FusedEngine(workload, plan.engine, slots, self._emit, self._alive),
            )
            self._tell_of_fewer_slots()
        except Exception as error:
            _log.warning("trained one after the other: %s", _line(error))
            self._slots = None
            self._send(Use(None))

    def _tell_of_fewer_slots(self) -> None:
        """Memory ran out: from here on the driver sends no more than the engine's slots take."""
        assert self._fused is not None
        kind, engine = self._fused
        if engine.slots != kind.slots:
            self._fused = replace(kind, slots=engine.slots), engine
            self._slots = engine.slots
            self._send(Use(engine.slots))

    def _train_alone(self, plan: TrainingPlan) -> None:
        workload = self._workload(plan.workload)

        def is_stopped() -> bool:
            self._records.tick()  # it is asked after each update
            return self._is_stopped(plan.training_id)

        with suppress(self._drained):
            self._train(plan, workload, self._heard, self._alive, is_stopped, self._is_drained)

    def _emit(self, record: Record) -> None:
        """What the fused engine tells; before its last outcome, after which nobody may listen, how busy it was."""
        if record.outcome is not None:
            self._in_slots -= 1
            if self._in_slots == 0:
                self._say_how_busy()
        self._heard(record)

    def _heard(self, record: Record) -> None:
        if record.outcome is not None and record.outcome.error is not None:
            self.is_broken = self.is_broken or self._is_gpu_lost(record.outcome.error)
        self._records.add(record)

    def _say_how_busy(self) -> None:
        assert self._fused is not None
        _, engine = self._fused
        steps, slot_steps = self._told
        self._told = engine.steps, engine.slot_steps
        self._told_at = time.monotonic()
        self._send(Busy(engine.slots, engine.steps - steps, engine.slot_steps - slot_steps))

    def _workload(self, spec: WorkloadSpec) -> Workload:
        from lrsweep.engines.device import open_device
        from lrsweep.engines.sequential import warm_up
        from lrsweep.workloads.base import load

        key = _name(spec)
        if key not in self._loaded:
            with self._alive():
                self._loaded[key] = load(spec, open_device(self._device_name), self._data)
                warm_up(self._loaded[key])
        return self._loaded[key]


def _name(spec: WorkloadSpec) -> str:
    return repr((spec.name, sorted(spec.settings.items())))


def _kind(plan: TrainingPlan, slots: int | None) -> _Kind:
    return _Kind(_name(plan.workload), plan.engine, slots)


def _line(error: Exception) -> str:
    from lrsweep.errors import InvalidInput

    text = str(error).partition("\n")[0]
    return text if isinstance(error, InvalidInput) else f"{type(error).__name__}: {text}"
