"""A training of a few steps, as the checks of a workload make it: at a rate that ought to train, and all heard."""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from lrsweep.engines.questions import Training
from lrsweep.engines.sequential import train
from lrsweep.records import Curve, Outcome, Record, Status, TrainingPlan
from lrsweep.schedules import schedule
from lrsweep.workloads.base import Workload

USUAL_RATE = 1e-3
"""For an optimizer of which the workload says nothing."""


@dataclass
class Watched:
    """One training as its records come in."""

    curve: Curve = field(default_factory=Curve.empty)
    outcome: Outcome | None = None
    updates: int = 0
    seconds: float = 0.0
    """of these updates alone: the first stretch, with the model being made, is left out"""
    heard_at: float | None = None
    resumed_at: int = 0
    """the step that a checkpoint took it to"""
    until_evaluated: bool = False
    """whether to leave it at its first evaluation"""

    def hear(self, record: Record) -> None:
        now = time.perf_counter()
        if self.heard_at is None:
            self.resumed_at = len(record.rates)
        if self.curve.steps and self.heard_at is not None and len(record.train_losses):
            self.updates += len(record.train_losses)
            self.seconds += now - self.heard_at
        self.curve, self.outcome, self.heard_at = self.curve.extended(record), record.outcome, now
        if self.until_evaluated and len(record.evaluation_steps):
            raise _Left

    @property
    def is_complete(self) -> bool:
        return self.outcome is not None and self.outcome.status is Status.COMPLETED

    @property
    def ending(self) -> str:
        assert self.outcome is not None
        told = (self.outcome.error or self.outcome.reason or "").strip().splitlines()
        return f"{self.outcome.status} after {self.outcome.steps} steps{': ' * bool(told)}{told[-1] if told else ''}"

    @property
    def trace(self) -> str:
        found = hashlib.sha256(repr(self.outcome and sorted(self.outcome.metrics.items())).encode())
        for values in (self.curve.rates, self.curve.train_losses, *self.curve.evaluations.values()):
            found.update(values.tobytes())
        return found.hexdigest()


class _Left(BaseException):
    """Through the engine, which takes every ``Exception`` for a failure of the training."""


def watch(
    workload: Workload,
    training: Training,
    seed: int,
    steps: int,
    *,
    checkpoints: Path | None = None,
    until_evaluated: bool = False,
) -> Watched:
    """By the sequential engine."""
    watched = Watched(until_evaluated=until_evaluated)
    plan = plan_of(workload, training, seed, steps, evaluations=2, checkpoints=checkpoints)
    with contextlib.suppress(_Left):
        train(plan, workload, watched.hear)
    return watched


def plan_of(
    workload: Workload,
    training: Training,
    seed: int,
    steps: int,
    *,
    name: str = "check",
    evaluations: int,
    checkpoints: Path | None = None,
) -> TrainingPlan:
    """At the lowest rate that the workload searches. Two evaluations make two stretches, the second for the clock."""
    lowest, _ = workload.facts.peak_lr.get(training.optimizer.name, (USUAL_RATE, USUAL_RATE))
    return TrainingPlan(
        training_id=name,
        attempt=1,
        workload=training.workload,
        schedule=schedule("constant"),
        peak_lr=lowest,
        optimizer=training.optimizer,
        horizon=steps,
        seed=seed,
        evaluations=evaluations,
        engine=training.engine,
        checkpoint_url=None if checkpoints is None else str(checkpoints),
    )
