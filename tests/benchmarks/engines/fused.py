"""Many trainings at once, by ``FusedEngine`` as a sweep uses it: each slot at its own step, refilled when it ends."""

from __future__ import annotations

from collections.abc import Sequence

from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.fused.fitting import CannotFuse
from lrsweep.executors.process import capacity
from lrsweep.records import EVALUATIONS_PER_TRAINING, EngineSettings, Record, Status
from tests.benchmarks.engines.loops import WARM_UP_UPDATES, Clock, Counted, Plans, check, synchronize
from tests.benchmarks.engines.problem import Opened
from tests.benchmarks.engines.rungs import CannotRun


def staggered(horizon: int, slots: int) -> list[tuple[int, int]]:
    """Horizons and evaluations of the first trainings: they end one after the other, as in the middle of a sweep.

    >>> staggered(600, 4)
    [(150, 5), (300, 10), (450, 15), (600, 20)]
    """
    horizons = [max(1, horizon * (slot + 1) // slots) for slot in range(slots)]
    return [(each, max(1, EVALUATIONS_PER_TRAINING * each // horizon)) for each in horizons]


class Fused:
    """Slots that are never empty; the clock runs over some of their steps, with evaluations, endings and refills."""

    def __init__(self, opened: Opened, plans: Plans, slots: int, *, compiled: bool) -> None:
        self._device = opened.device
        self._plans = plans
        self._slots = slots
        self._horizon = 0
        self._here: set[str] = set()
        self._is_clearing = False
        self._compiled = compiled
        try:
            self._engine = FusedEngine(opened.workload, EngineSettings(compile=compiled), slots, self._hear)
        except CannotFuse as reason:
            raise CannotRun(str(reason)) from reason

    def begin(self, horizon: int) -> None:
        self._clear()
        self._horizon = horizon
        for each, evaluations in staggered(horizon, self._slots):
            self._submit(each, evaluations)
        for _ in range(capacity(self._slots) - self._slots):
            self._submit(horizon)
        before = self._engine.steps
        while self._engine.steps < before + WARM_UP_UPDATES:
            self._engine.advance()
        self._check_slots()
        synchronize(self._device)

    def run(self, seconds: float) -> Counted:
        clock = Clock(seconds)
        before = self._engine.slot_steps
        while not clock.is_over():
            self._engine.advance()
        counted = clock.counted(self._device)
        self._check_slots()
        return Counted(self._engine.slot_steps - before, counted.seconds)

    def _clear(self) -> None:
        """What an earlier clock has left over."""
        self._is_clearing = True
        for training_id in sorted(self._here):
            self._engine.stop(training_id)
        while not self._engine.is_idle:
            self._engine.advance()
        self._is_clearing = False

    def _submit(self, horizon: int, evaluations: int = EVALUATIONS_PER_TRAINING) -> None:
        plan = self._plans.next(horizon, evaluations, compiled=self._compiled)
        self._here.add(plan.training_id)
        self._engine.submit(plan)

    def _hear(self, record: Record) -> None:
        if record.outcome is None:
            return
        check(record)
        self._here.discard(record.training_id)
        if record.outcome.status is Status.COMPLETED and not self._is_clearing:
            self._submit(self._horizon)

    def _check_slots(self) -> None:
        if self._engine.slots != self._slots:
            raise CannotRun(f"memory was short: {self._engine.slots} slots are left")


def shares(recipes: Sequence[str], slots: int) -> list[str]:
    """Which recipe each of the slots has, side by side where they move in step: the recipes in equal parts, in order.

    >>> shares(["sgd", "adamw"], 4)
    ['sgd', 'sgd', 'adamw', 'adamw']
    """
    return sorted((recipes[slot % len(recipes)] for slot in range(slots)), key=list(recipes).index)
