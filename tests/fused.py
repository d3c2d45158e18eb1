"""Trainings of small workloads by both engines, and how far apart they are: for tests that fused equals sequential.

Equality in float64 is the sharp tool: what is only rounded differently differs by 1e-16 of a tensor's largest number,
and what is computed wrongly by far more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lrsweep.engines.checkpoints import Checkpoint, Checkpoints
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.sequential import Stopped, never, train
from lrsweep.records import Curve, EngineSettings, OptimizerSpec, Outcome, Record, TrainingPlan, WorkloadSpec
from lrsweep.schedules import Schedule, schedule
from lrsweep.workloads.base import Workload
from tests.fused_workloads import small

SPECS: Mapping[str, OptimizerSpec] = {
    spec.name: spec
    for spec in (
        OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 1e-3}),
        OptimizerSpec("sgd_plain", {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0}),
        OptimizerSpec("sgd_dampened", {"momentum": 0.8, "dampening": 0.8, "weight_decay": 3e-3}),
        OptimizerSpec("nesterov", {"momentum": 0.85, "dampening": 0.0, "weight_decay": 2e-3}),
        OptimizerSpec("rmsprop", {"alpha": 0.97, "eps": 1e-6, "momentum": 0.5, "weight_decay": 5e-3}),
        OptimizerSpec("adam", {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 4e-3}),
        OptimizerSpec("adamw", {"beta1": 0.8, "beta2": 0.999, "eps": 1e-7, "weight_decay": 0.02}),
    )
}
"""Each with settings of its own, so that one that is taken from a neighbour shows."""

PLAN = TrainingPlan(
    training_id="t",
    attempt=1,
    workload=WorkloadSpec("small"),
    schedule=schedule("cosine", warmup=0.1),
    peak_lr=0.05,
    optimizer=SPECS["sgd"],
    horizon=200,
    seed=3,
    evaluations=20,
)


@dataclass(frozen=True)
class Ended:
    """A training that is over, with the states of it that were asked for, by the number of updates done."""

    curve: Curve
    outcome: Outcome
    records: Sequence[Record]
    states: Mapping[int, Checkpoint] = field(default_factory=dict)


def ended(records: Sequence[Record], states: Mapping[int, Checkpoint] | None = None) -> Ended:
    curve = Curve.empty()
    for record in records:
        curve = curve.extended(record)
    outcome = records[-1].outcome
    assert outcome is not None
    assert [record for record in records if record.outcome] == [records[-1]]
    return Ended(curve, outcome, records, states or {})


def sequentially(
    plan: TrainingPlan, workload: Workload, wanted: Collection[int] = (), *, stopped: Stopped = never
) -> Ended:
    records: list[Record] = []
    if not wanted:
        train(plan, workload, records.append, stopped=stopped)
        return ended(records)
    opened: list[Checkpoints] = []
    updates = count(1)

    def none_yet(self: Checkpoints) -> None:
        opened.append(self)

    def due_or_stopped() -> bool:
        if next(updates) in wanted:
            opened[0].due = -math.inf
        return stopped()

    with remembered(wanted) as states, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "newest", none_yet)
        train(kept(plan), workload, records.append, stopped=due_or_stopped)
    return ended(records, states.get(plan.training_id))


@contextmanager
def remembered(
    wanted: Collection[int], given: Mapping[str, Checkpoint] = MappingProxyType({})
) -> Iterator[dict[str, dict[int, Checkpoint]]]:
    """Checkpoints after so many updates, by the plan's ``checkpoint_url``; with ``given`` a training begins.

    They are due by the clock; here they are due then, and are kept instead of written.
    """
    kept: dict[str, dict[int, Checkpoint]] = {}
    step, save_if_due = FusedEngine._step, FusedEngine._save_if_due

    def looked_at(self: FusedEngine) -> None:
        if any(int(self._done[slot]) + 1 in wanted for slot in self._running):
            self._due = -math.inf
        step(self)

    def save_if_wanted(self: FusedEngine, slot: int) -> None:
        if int(self._done[slot]) in wanted:
            self._in(slot).checkpoints.due = -math.inf
        save_if_due(self, slot)

    def save(self: Checkpoints, checkpoint: Checkpoint) -> None:
        kept.setdefault(str(self._folder), {})[checkpoint.curve.steps] = copied(checkpoint)
        self.due = math.inf

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FusedEngine, "_step", looked_at)
        patch.setattr(FusedEngine, "_save_if_due", save_if_wanted)
        patch.setattr(Checkpoints, "save", save)
        patch.setattr(Checkpoints, "newest", lambda self: given.get(str(self._folder)))
        yield kept


@contextmanager
def checkpoints_in_memory() -> Iterator[None]:
    """One after every update, and the newest is found again: a double of the disk, whose syncs take longer than all
    else. ``test_fused_checkpoints`` has real files."""
    newest: dict[str, Checkpoint] = {}

    def save(self: Checkpoints, checkpoint: Checkpoint) -> None:
        newest[str(self._folder)] = copied(checkpoint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
        patch.setattr(Checkpoints, "save", save)
        patch.setattr(Checkpoints, "newest", lambda self: newest.get(str(self._folder)))
        yield


def copied(state: Checkpoint) -> Checkpoint:
    """With tensors of its own."""

    def copies(held: Mapping[Any, Any]) -> dict[Any, Any]:
        return {name: each.clone() if isinstance(each, Tensor) else each for name, each in held.items()}

    optimizer = {index: copies(held) for index, held in state.optimizer.items()}
    return replace(state, model=copies(state.model), optimizer=optimizer)


# ── by the fused engine ──────────────────────────────────────────────────────────────────────────────────────────────

During = Mapping[int, Callable[[FusedEngine], object]]
"""What happens to the engine from outside, before its so-many-th ``advance``."""


def stop(*plans: TrainingPlan) -> Callable[[FusedEngine], object]:
    def stops(engine: FusedEngine) -> None:
        for plan in plans:
            engine.stop(plan.training_id)

    return stops


def submit(*plans: TrainingPlan) -> Callable[[FusedEngine], object]:
    """With their checkpoints remembered."""

    def submits(engine: FusedEngine) -> None:
        for plan in plans:
            engine.submit(kept(plan))

    return submits


class Heard:
    """The records of many trainings, by their ids."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}

    def __call__(self, record: Record) -> None:
        self.records.setdefault(record.training_id, []).append(record)


@lru_cache
def engine_of(workload: Workload, slots: int, settings: EngineSettings) -> tuple[FusedEngine, Heard]:
    """One for all tests, which takes a second to trace."""
    return fresh_engine(workload, slots, settings)


def fresh_engine(workload: Workload, slots: int, settings: EngineSettings) -> tuple[FusedEngine, Heard]:
    """Whether the model can be fused, which takes another second, is known of all that are here."""
    heard = Heard()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrsweep.engines.fused.fitting.why_not", lambda *_: None)
        return FusedEngine(workload, settings, slots, heard), heard


def fused(
    plans: Sequence[TrainingPlan],
    workload: Workload,
    slots: int,
    *,
    during: During = MappingProxyType({}),
    wanted: Collection[int] = (),
) -> dict[str, Ended]:
    """The trainings by their ids, those too that are submitted ``during`` it."""
    if not wanted:
        return _fused(plans, workload, slots, during, {})
    with remembered(wanted) as states:
        return _fused([kept(plan) for plan in plans], workload, slots, during, states)


def _fused(
    plans: Sequence[TrainingPlan],
    workload: Workload,
    slots: int,
    during: During,
    states: Mapping[str, Mapping[int, Checkpoint]],
) -> dict[str, Ended]:
    engine, heard = engine_of(workload, slots, plans[0].engine)
    if not engine.is_idle:  # a test has failed in the middle of it
        engine_of.cache_clear()
        engine, heard = engine_of(workload, slots, plans[0].engine)
    heard.records = {}
    for plan in plans:
        engine.submit(plan)
    advances = 0
    while not engine.is_idle or advances <= max(during, default=-1):
        if advances in during:
            during[advances](engine)
        engine.advance()
        advances += 1
    return {each: ended(of_one, states.get(each)) for each, of_one in heard.records.items()}


def kept(plan: TrainingPlan) -> TrainingPlan:
    """Its checkpoints are found by its id."""
    return replace(plan, checkpoint_url=plan.training_id)


# ── the seven optimizers on each model ───────────────────────────────────────────────────────────────────────────────

DIVERGES: Mapping[str, Mapping[str, float]] = {
    "mlp": {"sgd": 0.256, "sgd_plain": 0.512, "sgd_dampened": 4.096, "nesterov": 0.512}
    | {"rmsprop": 0.128, "adam": 0.512, "adamw": 0.512},
    "cnn": {"sgd": 0.064, "sgd_plain": 0.512, "sgd_dampened": 1.024, "nesterov": 0.128}
    | {"rmsprop": 0.064, "adam": 0.064, "adamw": 0.064},
    "transformer": {"sgd": 0.256, "sgd_plain": 1.024, "sgd_dampened": 2.048, "nesterov": 0.512}
    | {"rmsprop": 0.064, "adam": 0.256, "adamw": 0.512},
    "dropping": {"sgd": 0.256, "adamw": 0.128},
    "tuned": {"sgd": 0.016, "adamw": 0.128},
}
"""The peak rate at which 200 updates of ``PLAN`` begin to go wrong, found by doubling from 0.001 on: an evaluation is
above 1.2 times the first training loss, or a training that learned at half the rate ends no better than one answer to
all examples would. The engine's own rule (4 times, at 3 evaluations in a row) needs rates some ten times as large; far
below them a model is dead, or one unit in the last place of its weights has grown to another training.
"""
STATES = range(0, 200, 4)
"""The updates of a trajectory from which both engines make a step."""
SHARE = 0.25
"""Of that rate: the peak of the trainings here. Half of it went well, so the rate at which they diverge is above that,
and a quarter is below half of it."""

CASES = [(workload, optimizer) for workload, rates in DIVERGES.items() for optimizer in rates]
CLIPPED = ("transformer", "tuned")
"""Workloads whose gradients are clipped."""

CYCLING = schedule("one_cycle", cycle_momentum=True, momentum_low=0.5, momentum_high=0.9)
SCHEDULES: Mapping[str, Schedule] = {
    "sgd": CYCLING,
    "sgd_plain": schedule("cosine", warmup=0.1),
    "sgd_dampened": schedule("plateau", patience=0, threshold=0.1, gamma=0.5, warmup=0.1),
    "nesterov": schedule("step", gamma=0.3),
    "rmsprop": schedule("slope", rate=0.5, window=2, gamma=0.7, noise=0.3),
    "adam": CYCLING,
    "adamw": schedule("greedy", threshold=0.1, warmup="7 steps"),
}
"""Curves that fall smoothly and in steps, momenta that cycle, and three that react to what they hear."""


def plan_of(workload: str, optimizer: str) -> TrainingPlan:
    return replace(
        PLAN,
        training_id=f"{workload}-{optimizer}",
        schedule=SCHEDULES[optimizer],
        peak_lr=SHARE * DIVERGES[workload][optimizer],
        optimizer=SPECS[optimizer],
        seed=1 + list(SPECS).index(optimizer),
        engine=EngineSettings(clip_norm=0.5) if workload in CLIPPED else EngineSettings(),
    )


@dataclass(frozen=True)
class Trajectory:
    plan: TrainingPlan
    ended: Ended
    losses: Sequence[float]
    """of training, not rounded to the curve's float32"""


@lru_cache
def trajectory(workload: str, optimizer: str) -> Trajectory:
    """By the sequential engine, with its states at ``STATES`` and after the update there."""
    wanted = {*STATES, *(step + 1 for step in STATES)}
    plan, trained = plan_of(workload, optimizer), small(workload)
    losses: list[float] = []
    loss_of = trained.loss

    def heard(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = loss_of(outputs, targets)
        losses.append(loss.item())
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "loss", heard)
        return Trajectory(plan, sequentially(plan, trained, wanted), losses)


# ── how far two trainings are apart ──────────────────────────────────────────────────────────────────────────────────


def apart(one: Tensor | float, other: Tensor | float) -> float:
    """The largest difference, relative to the largest number of ``other``; what is not a fraction is equal or not."""
    one, other = torch.as_tensor(one), torch.as_tensor(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return math.inf
    if torch.equal(one, other):
        return 0.0
    if not one.is_floating_point():
        return math.inf
    far = (one - other).abs().max() / other.abs().max()
    return math.inf if far.isnan() else far.item()


def states_apart(one: Checkpoint, other: Checkpoint) -> float:
    """Parameters, buffers and what the optimizer holds."""
    ours, theirs = tensors(one), tensors(other)
    assert ours.keys() == theirs.keys()
    return max(apart(ours[name], theirs[name]) for name in ours)


def tensors(state: Checkpoint) -> dict[str, Tensor]:
    optimizer = {
        f"{name} {index}": tensor
        for index, held in state.optimizer.items()
        for name, tensor in held.items()
        if tensor is not None
    }
    return dict(state.model) | optimizer


def curves_apart(one: Ended, other: Ended) -> float:
    """Rates and evaluations. Training losses are kept in float32, and so are either that near or not equal."""
    ours, theirs = one.curve, other.curve
    assert (one.outcome.status, one.outcome.steps) == (other.outcome.status, other.outcome.steps)
    np.testing.assert_array_equal(ours.evaluation_steps, theirs.evaluation_steps)
    assert ours.evaluations.keys() == theirs.evaluations.keys()
    pairs = [
        (ours.rates, theirs.rates),
        *((ours.evaluations[name], theirs.evaluations[name]) for name in ours.evaluations),
    ]
    pairs += [(np.array(each), np.array(other.outcome.metrics[name])) for name, each in one.outcome.metrics.items()]
    rounded = np.abs(ours.train_losses - theirs.train_losses) > 1.5 * np.spacing(theirs.train_losses.astype(np.float32))
    return max(math.inf if rounded.any() else 0.0, *(apart(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs))
