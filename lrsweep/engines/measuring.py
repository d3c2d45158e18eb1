"""How fast an engine trains: trainings again and again for a while, with their beginnings, evaluations and endings.

What comes once in a process does not count: before the first stretch that is measured, the engine trains up to its
first evaluation. Records are pickled, as they are for the pipe to the driver, and dropped.
"""

from __future__ import annotations

import gc
import itertools
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch

from lrsweep.engines import machine
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.machine import available_bytes
from lrsweep.engines.memory import OUT_OF_MEMORY
from lrsweep.engines.sequential import Alive, train
from lrsweep.errors import InvalidInput
from lrsweep.records import EngineSettings, Record, Status, TrainingPlan
from lrsweep.workloads.base import Workload

WARM_UP_STEPS = 3
WARM_UP_SECONDS = 2.0
"""After those steps, if no evaluation comes within that time."""
KEPT = 3
"""Arrangements that stay warm: those that are compared in turn."""


class CannotMeasure(InvalidInput):
    """Its text is the reason, in a line."""


class OutOfMemory(CannotMeasure):
    """The memory holds fewer trainings than were to be measured at once, or not even one."""


class OneByOne:
    """The sequential engine. A training goes on in the next stretch where it was, in a thread that waits meanwhile:
    else each stretch would be the beginning of a long one, without an evaluation."""

    def __init__(self, workload: Workload, alive: Alive = nullcontext) -> None:
        self._workload = workload
        self._alive = alive
        self._plans: Sequence[TrainingPlan] = ()
        self._heard = _Heard()
        self._numbers = itertools.count()
        self._is_warm = self._is_closed = False
        self._is_over: Callable[[], bool] = lambda: True
        self._updates = 0
        self._has_ended = False
        self._error: BaseException | None = None
        self._gpu = torch.cuda.current_device() if workload.device.type == "cuda" else None
        self._goes_on, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._thread.start()

    def run(self, plans: Sequence[TrainingPlan], seconds: float) -> tuple[int, float]:
        """Raises CannotMeasure."""
        self._plans = plans
        if not self._is_warm:
            give_up = _now(self._workload.device) + WARM_UP_SECONDS
            self._stretch(
                lambda: self._heard.has_evaluated or (time.monotonic() >= give_up and self._updates >= WARM_UP_STEPS)
            )
            self._is_warm = True
        begun_at = _now(self._workload.device)
        self._stretch(lambda: time.monotonic() - begun_at >= seconds)
        return self._updates, _now(self._workload.device) - begun_at

    def close(self) -> None:
        self._is_closed = True
        self._goes_on.release()
        self._thread.join()

    def _stretch(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._updates = 0
        if not self._has_ended:
            self._goes_on.release()
            self._waits.acquire()
        if self._error is not None:
            raise self._error
        self._heard.check()

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────────────

    def _train(self) -> None:
        try:
            if self._gpu is not None:
                torch.cuda.set_device(self._gpu)
            self._goes_on.acquire()
            while not (self._is_closed or self._heard.has_failed):
                plan = _again(self._plans, next(self._numbers))
                train(plan, self._workload, self._heard, self._alive, self._stopped)
        except BaseException as error:  # a workload may want to end the process: that is for the thread that waits
            self._error = error
        finally:
            self._has_ended = True
            self._waits.release()

    def _stopped(self) -> bool:
        """Asked once after each update; it answers when there is time for the next one."""
        self._updates += 1
        if self._is_over():
            self._waits.release()
            self._goes_on.acquire()
        return self._is_closed


class ManyAtOnce:
    """The fused engine. Its trainings stay in their slots from one stretch to the next, so that the evaluations in all
    stretches together are as many as the steps ask for, however short one of them is."""

    def __init__(self, workload: Workload, settings: EngineSettings, slots: int, alive: Alive = nullcontext) -> None:
        """Raises InvalidInput where the workload's trainings cannot be fused."""
        self._device = workload.device
        self._wanted = slots
        self._heard = _Heard()
        self._numbers = itertools.count()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._engine = FusedEngine(workload, settings, slots, self._heard, alive)
        self._is_warm = False

    def run(self, plans: Sequence[TrainingPlan], seconds: float) -> tuple[int, float]:
        """Raises CannotMeasure."""
        if not self._is_warm:
            for _ in range(WARM_UP_STEPS):
                self._advance(plans)
            give_up = _now(self._device) + WARM_UP_SECONDS
            while not self._heard.has_evaluated and time.monotonic() < give_up:
                self._advance(plans)
            self._is_warm = True
        before = self._engine.slot_steps
        begun_at = _now(self._device)
        while time.monotonic() - begun_at < seconds:
            self._advance(plans)
        return self._engine.slot_steps - before, _now(self._device) - begun_at

    def close(self) -> None:
        """Its trainings are dropped as they are."""

    def _advance(self, plans: Sequence[TrainingPlan]) -> None:
        while self._heard.inside < self._wanted:
            self._engine.submit(_again(plans, next(self._numbers)))
            self._heard.inside += 1
        self._engine.advance()
        self._heard.check()
        if self._engine.slots < self._wanted:
            raise OutOfMemory(f"{OUT_OF_MEMORY}: it holds no more than {self._engine.slots} trainings at once")


class Benches:
    """One for each arrangement that was measured lately: the next measurement of it begins warm.

    The newest alone, because each holds all the numbers of its trainings.
    """

    def __init__(self, alive: Alive = nullcontext) -> None:
        self._alive = alive
        self._made: dict[object, OneByOne | ManyAtOnce] = {}

    def run(
        self, workload: Workload, plans: Sequence[TrainingPlan], slots: int | None, seconds: float
    ) -> tuple[int, float]:
        """Updates of trainings, and the seconds that they took. Raises whatever stands in the way."""
        kind = _kind(workload, plans, slots)
        bench = self._made.pop(kind, None)
        if bench is None:
            while len(self._made) >= KEPT:
                self._made.pop(next(iter(self._made))).close()
            give_back_memory(workload.device)
            if slots is None:
                bench = OneByOne(workload, self._alive)
            else:
                bench = ManyAtOnce(workload, plans[0].engine, slots, self._alive)
        self._made[kind] = bench
        return bench.run(plans, seconds)

    def give_back(self, workload: Workload, plans: Sequence[TrainingPlan], slots: int | None) -> None:
        """This one is not measured again."""
        if bench := self._made.pop(_kind(workload, plans, slots), None):
            bench.close()
        give_back_memory(workload.device)

    def close(self) -> None:
        while self._made:
            self._made.popitem()[1].close()


def _kind(workload: Workload, plans: Sequence[TrainingPlan], slots: int | None) -> object:
    return workload, plans[0].engine, slots


class _Heard:
    """Takes the records."""

    def __init__(self) -> None:
        self.has_evaluated = False
        self.inside = 0
        """trainings in the engine"""
        self._error: str | None = None

    def __call__(self, record: Record) -> None:
        pickle.dumps(record)
        self.has_evaluated |= len(record.evaluation_steps) > 0
        if record.outcome is not None:
            self.inside -= 1
            if record.outcome.status is Status.FAILED:
                self._error = (record.outcome.error or "it failed").strip()

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def check(self) -> None:
        if self._error is not None:
            first, *_, last = [self._error, *self._error.splitlines()]
            if first.startswith("Traceback"):
                raise CannotMeasure(last)
            raise (OutOfMemory if first.startswith(OUT_OF_MEMORY) else CannotMeasure)(first.splitlines()[0])


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has held so far; on a GPU its tensors there, since they were last measured."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return machine.peak_bytes()


def free_bytes(device: torch.device) -> int:
    """Of memory there that nobody uses, what this process may have; 0 where nobody says."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def give_back_memory(device: torch.device) -> None:
    """What PyTorch keeps for later of a device's memory, other processes can have."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _again(plans: Sequence[TrainingPlan], number: int) -> TrainingPlan:
    """The plans in turn, each time as another training that nobody keeps."""
    plan = plans[number % len(plans)]
    return replace(plan, training_id=f"{plan.training_id}-{number}", checkpoint_url=None)


def _now(device: torch.device) -> float:
    """When all that the device was told to do is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
