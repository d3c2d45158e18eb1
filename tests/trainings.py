"""Plans and workloads for tests of engines, and trainings in processes of their own that are killed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.engines.device import open_device
from lrsweep.engines.sequential import train
from lrsweep.records import Curve, Outcome, Record, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.study import OPTIMIZERS
from lrsweep.workloads.base import Half, Workload, draw_weights, load
from lrsweep.workloads.draw import normal

P = ParamSpec("P")
R = TypeVar("R")

PLAN = TrainingPlan(
    training_id="t",
    attempt=1,
    workload=WorkloadSpec("digits"),
    schedule=schedule("cosine", warmup=0.1),
    peak_lr=0.2,
    optimizer=OPTIMIZERS["sgd"],
    horizon=60,
    seed=3,
)


def digits(model: str = "mlp") -> Workload:
    """As an engine's process loads it: one thread trains."""
    return load(WorkloadSpec("digits", {"model": model}), open_device("cpu"))


def trained(plan: TrainingPlan, workload: Workload) -> tuple[Curve, list[Record]]:
    records: list[Record] = []
    train(plan, workload, records.append)
    return joined(records), records


def joined(records: list[Record]) -> Curve:
    curve = Curve.empty()
    for record in records:
        curve = curve.extended(record)
    return curve


def outcome_of(plan: TrainingPlan, workload: Workload) -> Outcome:
    outcome = trained(plan, workload)[1][-1].outcome
    assert outcome is not None
    return outcome


def assert_same_curve(one: Curve, other: Curve) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(one.rates, other.rates)
    np.testing.assert_array_equal(one.train_losses, other.train_losses)
    np.testing.assert_array_equal(one.evaluation_steps, other.evaluation_steps)
    assert list(one.evaluations) == list(other.evaluations)
    for metric, values in one.evaluations.items():
        np.testing.assert_array_equal(values, other.evaluations[metric])


class Constant(Workload):
    """One weight, nothing random, for numbers that can be checked by hand."""

    device = torch.device("cpu")

    def model(self, seed: int) -> nn.Module:
        layer = nn.Linear(1, 1, bias=False)
        nn.init.ones_(layer.weight)
        return layer

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return torch.ones(1, 1), torch.zeros(1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs**2).mean()

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return {"loss": 1.0, "acc": 0.0}


class Line(Constant):
    """Loss = w: the gradient is 1 whatever the weight is."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sum()


class Images(Constant):
    """Small random images; statistics in buffers, and a mask from PyTorch's own generator."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = open_device(device)

    def model(self, seed: int) -> nn.Module:
        layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, 3)]
        return draw_weights(nn.Sequential(*layers).to(self.device), seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        inputs = normal(seed, step, "images", 16 * 3 * 8 * 8, device=self.device).float().view(16, 3, 8, 8)
        return inputs, (inputs.mean(dim=(1, 2, 3)) > 0).long()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        model.eval()
        inputs, targets = self.batch(99, {"search": 0, "decide": 1, "test": 2}[half])
        loss = self.loss(model(inputs), targets).item()
        model.train()
        return {"loss": loss}


# ── trainings in processes that die ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Fate:
    """What happens to one attempt of a training. Checkpoints are written after every update."""

    batches: int | None = None
    """killed as it asks for one batch more"""
    syncs: int | None = None
    """killed as it syncs for one time more: a checkpoint is synced twice, the file and its folder"""
    largest_file: int | None = None
    """bytes that a file may have: beyond them the disk is full"""


@dataclass(frozen=True)
class Attempt:
    records: list[Record]
    said: list[str]
    """to the log"""
    exit_code: int | None


def attempt(plan: TrainingPlan, model: str, fate: Fate) -> Attempt:
    """Trains in a new process, forked from one that has loaded PyTorch already, and waits for its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.trainings_warmed_up"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_live, args=(theirs, plan, model, fate))
    process.start()
    theirs.close()
    records: list[Record] = []
    said: list[str] = []
    while True:
        try:
            message = ours.recv()
        except EOFError:
            break
        if isinstance(message, Record):
            records.append(message)
        else:
            said.append(message)
    process.join()
    return Attempt(records, said, process.exitcode)


def _live(connection: Connection[object, object], plan: TrainingPlan, model: str, fate: Fate) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    handler = logging.Handler()
    handler.emit = lambda record: connection.send(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("lrsweep").addHandler(handler)
    workload = digits(model)
    if fate.batches is not None:
        patch.setattr(workload, "batch", _deadly(workload.batch, fate.batches))
    if fate.syncs is not None:
        patch.setattr(os, "fsync", _deadly(os.fsync, fate.syncs))
    if fate.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fate.largest_file, fate.largest_file))
    train(plan, workload, connection.send)


def _deadly(call: Callable[P, R], times: int) -> Callable[P, R]:
    left = times

    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return call(*args, **kwargs)

    return called


def files(folder: Path) -> list[str]:
    """Names without their checksums."""
    return sorted(path.name.rpartition("-")[0] or path.name for path in folder.iterdir())
