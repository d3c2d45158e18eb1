"""What it costs to put a new training into a slot, beside one step of all slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch._dynamo.utils import counters

from lrsweep.engines.fused.bank import Bank
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.fused.fitting import CannotFuse
from lrsweep.engines.optimizers import trained_groups
from lrsweep.records import EngineSettings, Record
from tests.benchmarks.engines.loops import WARM_UP_UPDATES, Plans, check, synchronize
from tests.benchmarks.engines.problem import Opened
from tests.benchmarks.engines.rungs import CannotRun
from tests.benchmarks.sweep.figures import spread

REFILLS = 50
STEPS_PER_ROUND = 5


KINDS = ("traced", "compiled")


def of_a_bank(opened: Opened, plans: Plans, slots: int, horizons: Sequence[int], rounds: int) -> dict[str, Any]:
    """Milliseconds of the writes alone, of the model that the workload makes for them, and of a step.

    And what all refills take of the time of trainings so long, each of which is refilled once in its life.
    """
    workload, device = opened.workload, opened.device
    bank, feed = Bank(workload, EngineSettings(), slots), workload.feed()
    seeds, steps, active = list(range(slots)), np.zeros(slots, dtype=np.int64), np.ones(slots, dtype=bool)
    rates = np.full(slots, 1e-3)

    def put(slot: int) -> tuple[float, float]:
        plan = plans.next(100)
        with _timed(device) as making:
            model = workload.model(plan.seed)
        trained_groups(model, workload.groups(model), tensor_rates=False)
        with _timed(device) as writing:
            bank.put(slot, plan.seed, model, plan.optimizer, {}, 0)
        steps[slot], seeds[slot] = 0, plan.seed
        return making(), writing()

    def step() -> None:
        bank.step(*feed(seeds, steps.tolist()), rates, None, steps, active)
        steps[:] += 1

    for slot in range(slots):
        put(slot)
    for _ in range(WARM_UP_UPDATES):
        step()
    makings, writings, stepped = [], [], []
    for number in range(rounds):
        making, writing = put(number % slots)
        makings.append(1000 * making)
        writings.append(1000 * writing)
        with _timed(device) as stepping:
            for _ in range(STEPS_PER_ROUND):
                step()
        stepped.append(1000 * stepping() / STEPS_PER_ROUND)
    both = [writing + making for writing, making in zip(writings, makings, strict=True)]
    return {
        "writes_ms": spread(writings),
        "model_ms": spread(makings),
        "step_ms": spread(stepped),
        "writes_of_a_step": spread(_shares(writings, stepped)),
        "model_of_a_step": spread(_shares(makings, stepped)),
        "of_all_time": {
            str(horizon): spread([share_of_refills(slots, horizon, *each) for each in zip(both, stepped, strict=True)])
            for horizon in horizons
        },
    }


def share_of_refills(slots: int, horizon: int, refill: float, step: float) -> float:
    """While a slot is refilled, all wait; and there is one refill for each ``horizon / slots`` steps.

    >>> share_of_refills(slots=10, horizon=100, refill=1.0, step=0.9)
    0.1
    """
    return refill / (refill + step * horizon / slots)


def made(opened: Opened, plans: Plans, slots: int, *, compiled: bool) -> dict[str, Any]:
    """How often the engine has traced or compiled its program: before and after so many refills."""
    ended = 0

    def hear(record: Record) -> None:
        nonlocal ended
        check(record)
        if record.outcome is not None:
            ended += 1
            submit(2 + ended % 3)

    def submit(horizon: int) -> None:
        engine.submit(plans.next(horizon, 1, compiled=compiled))

    def count() -> int:
        compilations: int = counters["stats"]["unique_graphs"]
        return compilations if compiled else engine.traces

    try:
        engine = FusedEngine(opened.workload, EngineSettings(compile=compiled), slots, hear)
        for slot in range(slots):
            submit(2 + slot % 3)
        engine.advance()
        before = count()
        while ended < REFILLS:
            engine.advance()
    except (CannotRun, CannotFuse) as reason:
        return {"reason": str(reason)}
    return {"refills": ended, "before": before, "after": count()}


def _shares(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    return [part / whole for part, whole in zip(parts, wholes, strict=True)]


@contextmanager
def _timed(device: torch.device) -> Iterator[Callable[[], float]]:
    """Seconds of the block, of the device's work too; to be asked afterwards."""
    synchronize(device)
    times = [time.perf_counter()]
    yield lambda: times[1] - times[0]
    synchronize(device)
    times.append(time.perf_counter())
