"""Whether the fused engine trains a workload as the sequential one does, and how fast.

Trainings that the sequential engine has done are done once more in slots: one from the beginning, and one that comes in
while others are half-way. Losses may differ by rounding, and how much that is differs from model to model, because it
grows from step to step. So the sequential engine shows it, by the same trainings with every weight changed by one unit
in its last place at the start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.fused.fitting import CannotFuse
from lrsweep.engines.questions import FusedSpeed, Training
from lrsweep.engines.watched import Watched, plan_of, watch
from lrsweep.records import Floats, Record
from lrsweep.workloads.base import Half, ParamGroup, Workload
from lrsweep.workloads.draw import draw

SLOTS = 4
TIMES_ROUNDING = 16
"""How much more is allowed than what the change in the last place does, and than one unit there of the loss itself."""
OTHER_METRICS = 0.1
"""Allowed of what is no loss: an accuracy jumps by an example where rounding decides between two classes."""
WARM_UP_STEPS = 3
TIMED_SECONDS = 1.0
MOST_TIMED_STEPS = 2000

INSTEAD = "until this is mended, train it with --engine sequential"


@dataclass(frozen=True)
class SideBySide:
    equal: bool | None
    """None where it cannot be fused, which is no fault"""
    text: str
    speed: FusedSpeed | None = None
    """None where it does not train so"""


def side_by_side(workload: Workload, training: Training, alone: Mapping[int, Watched]) -> SideBySide:
    """``alone`` has two trainings by the sequential engine, by their seeds."""
    heard: dict[str, Watched] = {}

    def emit(record: Record) -> None:
        heard.setdefault(record.training_id, Watched()).hear(record)

    try:
        engine = FusedEngine(workload, training.engine, SLOTS, emit)
    except CannotFuse as reason:
        return SideBySide(None, f"trained one after the other: {reason}")
    first, second = alone
    beside = [seed for seed in range(SLOTS + 2) if seed not in alone][: SLOTS - 1]
    half = max(1, training.steps // 2)
    for seed, steps in ((first, training.steps), *((seed, half) for seed in beside), (second, training.steps)):
        engine.submit(plan_of(workload, training, seed, steps, name=f"seed {seed}", evaluations=2))
    while not engine.is_idle:
        engine.advance()
    nudged = _Nudged(workload)
    largest = 0.0
    for seed, expected in alone.items():
        given = heard[f"seed {seed}"]
        if not given.is_complete:
            return SideBySide(False, f"seed {seed} trains alone, and beside others it {given.ending}; {INSTEAD}")
        moved = watch(nudged, training, seed, training.steps)
        if not moved.is_complete:
            return SideBySide(
                None, f"it cannot be compared: with its weights changed in their last place it {moved.ending}"
            )
        found = _compare(given, expected, moved, nudged.eps)
        if isinstance(found, str):
            return SideBySide(
                False,
                f"seed {seed} beside others is another training than alone: {found}. What a model or a loss keeps "
                f"outside of parameters and buffers may do that, or an evaluate_many of your own; {INSTEAD}",
            )
        largest = max(largest, found)
    text = (
        f"{engine.slots} trainings side by side give what each gives alone, up to rounding ({largest:.1g} in the loss)"
    )
    return SideBySide(True, text, _speed(workload, training, engine))


def _compare(given: Watched, alone: Watched, nudged: Watched, eps: float) -> float | str:
    """The largest distance of a loss; or where it is more than rounding does."""
    largest = 0.0
    for (name, one), (_, other), (_, moved) in zip(_series(given), _series(alone), _series(nudged), strict=True):
        distance = np.abs(one - other)
        allowed = TIMES_ROUNDING * (np.maximum.accumulate(np.abs(moved - other)) + eps * np.abs(other))
        if name.endswith("loss"):
            largest = max(largest, float(distance.max()))
        else:
            allowed += OTHER_METRICS * np.maximum(np.abs(other), 1.0)
        if (wrong := ~(distance <= allowed)).any():
            place = int(np.argmax(wrong))
            return f"{name} number {place + 1} is {one[place]:.8g}, and alone {other[place]:.8g}"
    return largest


def _series(watched: Watched) -> Iterator[tuple[str, Floats]]:
    yield "train_loss", watched.curve.train_losses
    yield from sorted(watched.curve.evaluations.items())
    assert watched.outcome is not None
    for name, value in sorted(watched.outcome.metrics.items()):
        yield name, np.array([value])


class _Nudged(Workload):
    """Another workload, each weight of its models one unit in the last place larger or smaller."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.facts = workload.facts
        self.device = workload.device
        self.eps = torch.finfo(torch.float32).eps
        """the unit in the last place of 1, as losses are written down or as they are computed, whichever is larger"""

    def model(self, seed: int) -> nn.Module:
        model = self._workload.model(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                eps = torch.finfo(parameter.dtype).eps
                self.eps = max(self.eps, eps)
                up = draw(seed, 0, f"nudge {name}", parameter.numel(), device=parameter.device).view_as(parameter) % 2
                parameter.mul_(1 + eps * (2 * up - 1).to(parameter.dtype))
        return model

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        return self._workload.groups(model)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return self._workload.batch(seed, step)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._workload.loss(outputs, targets)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return self._workload.evaluate(model, half)


def _speed(workload: Workload, training: Training, engine: FusedEngine) -> FusedSpeed | None:
    """Updates of all slots together, without evaluations."""
    for seed in range(engine.slots):
        name = f"timed {seed}"
        engine.submit(plan_of(workload, training, seed, MOST_TIMED_STEPS, name=name, evaluations=1))
    for _ in range(WARM_UP_STEPS):
        engine.advance()
    before, begun = engine.slot_steps, _now(workload)
    while time.perf_counter() < begun + TIMED_SECONDS and engine.slot_steps < MOST_TIMED_STEPS * engine.slots:
        engine.advance()
    seconds = _now(workload) - begun
    return FusedSpeed(engine.slots, (engine.slot_steps - before) / seconds) if seconds > 0 else None


def _now(workload: Workload) -> float:
    """When all that the GPU has been given is done."""
    if workload.device.type == "cuda":
        torch.cuda.synchronize(workload.device)
    return time.perf_counter()
