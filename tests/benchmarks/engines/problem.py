"""What every rung trains: a network and its data, from one of lrsweep's own workloads, and one recipe for all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.utils.data import TensorDataset

from lrsweep.records import OptimizerSpec, WorkloadSpec
from lrsweep.workloads.base import Workload, load

SEED = 0
PEAK_LR = 0.05
OPTIMIZER = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})
"""With a cosine from ``PEAK_LR`` to 0: PyTorch's ``CosineAnnealingLR`` in the tutorial's loop, ours in the others."""


@dataclass(frozen=True)
class Size:
    """Updates of one training: long enough that its set-up hardly counts."""

    cpu: int
    cuda: int

    def on(self, device: torch.device) -> int:
        return self.cuda if device.type == "cuda" else self.cpu


@dataclass(frozen=True)
class Problem:
    name: str
    about: str
    spec: WorkloadSpec
    size: Size

    def opened(self, device: torch.device) -> Opened:
        return Opened(self, load(self.spec, device))


@dataclass(frozen=True)
class Opened:
    """A problem with its data on the device."""

    problem: Problem
    workload: Workload

    @property
    def device(self) -> torch.device:
        return self.workload.device

    @property
    def updates_per_epoch(self) -> int:
        facts = self.workload.facts
        assert facts.examples_per_epoch is not None, f"{facts.name} does not say how long an epoch is"
        return facts.examples_per_epoch // facts.batch_size

    @cached_property
    def dataset(self) -> TensorDataset:
        """The examples of the first epoch in host memory, in the order in which that epoch takes them."""
        batches = [self.workload.batch(SEED, step) for step in range(self.updates_per_epoch)]
        inputs, targets = zip(*batches, strict=True)
        return TensorDataset(torch.cat(inputs).cpu(), torch.cat(targets).cpu())


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "digits-mlp",
            about="8x8 digits, linear layers 64-64-10",
            spec=WorkloadSpec("digits", {"model": "mlp"}),
            size=Size(cpu=1000, cuda=10_000),
        ),
        Problem(
            "digits-cnn",
            about="8x8 digits, convolutions 16 and 32 of size 3, linear 128-10",
            spec=WorkloadSpec("digits", {"model": "cnn"}),
            size=Size(cpu=1000, cuda=10_000),
        ),
        Problem(
            "mnist-cnn",
            about="random 28x28 images in MNIST's shapes, convolutions 10 and 20 of size 5, linear 320-50-10",
            spec=WorkloadSpec("mnist", {"model": "cnn", "synthetic": True}),
            size=Size(cpu=300, cuda=5000),
        ),
    )
}
