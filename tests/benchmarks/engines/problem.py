"""What every rung trains: a network and its data, from one of lrsweep's own workloads, and one recipe for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import TensorDataset

from lrsweep.records import Json, OptimizerSpec, WorkloadSpec
from lrsweep.workloads import tables
from lrsweep.workloads.base import Workload, load

SEED = 0
PEAK_LR = 0.05
OPTIMIZER = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})
"""With a cosine from ``PEAK_LR`` to 0: PyTorch's ``CosineAnnealingLR`` in the tutorial's loop, ours in the others."""

RECIPES = {
    "sgd": (OPTIMIZER, PEAK_LR),
    "adamw": (OptimizerSpec("adamw", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}), 0.003),
}
"""What a study searches unless it says otherwise, each with a peak rate at which every training runs to its end."""


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
    workload: str
    settings: dict[str, Json]
    size: Size
    """of a training on the serial ladder"""
    horizons: tuple[int, int] = (600, 200)
    """of the trainings in a list: the full one, and the rung below it, where evaluations and refills weigh more"""
    on_gpu: dict[str, Json] = field(default_factory=dict)
    """settings that only a GPU has"""
    needs_gpu: bool = False
    """it takes too long on a CPU, unless it is asked for by name"""

    def spec(self, device: torch.device) -> WorkloadSpec:
        return WorkloadSpec(self.workload, self.settings | (self.on_gpu if device.type == "cuda" else {}))

    def opened(self, device: torch.device, *, synthetic: bool = False) -> Opened:
        """``synthetic``: random pictures in place of scikit-learn's; the others are random in any case."""
        if synthetic and self.workload == "digits":
            _stand_in_for_scikit_learn()
        return Opened(self, load(self.spec(device), device))


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
            workload="digits",
            settings={"model": "mlp"},
            size=Size(cpu=1000, cuda=10_000),
        ),
        Problem(
            "digits-cnn",
            about="8x8 digits, convolutions 16 and 32 of size 3, linear 128-10",
            workload="digits",
            settings={"model": "cnn"},
            size=Size(cpu=1000, cuda=10_000),
        ),
        Problem(
            "mnist-cnn",
            about="random 28x28 images in MNIST's shapes, convolutions 10 and 20 of size 5, linear 320-50-10",
            workload="mnist",
            settings={"model": "cnn", "synthetic": True},
            size=Size(cpu=300, cuda=5000),
            on_gpu={"batch_size": 100},
        ),
        Problem(
            "cifar10-resnet20",
            about="random 32x32 colour images in CIFAR-10's shapes, cropped and mirrored, ResNet-20",
            workload="cifar10",
            settings={"model": "resnet20", "synthetic": True},
            size=Size(cpu=20, cuda=1000),
            needs_gpu=True,
        ),
        Problem(
            "cifar10-resnet18",
            about="random 32x32 colour images in CIFAR-10's shapes, cropped and mirrored, ResNet-18 of width 64",
            workload="cifar10",
            settings={"model": "resnet18", "synthetic": True, "batch_size": 512},
            size=Size(cpu=5, cuda=300),
            needs_gpu=True,
        ),
    )
}


def _stand_in_for_scikit_learn() -> None:
    """From now on ``digits`` reads random pictures, where no workload has read the real ones before.

    Their classes can be learnt, so that no training explodes.
    """

    def read(name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        del name
        numbers = np.random.default_rng(SEED)
        pixels = numbers.integers(0, 17, size=(1797, 64)).astype(np.float64)
        classes = (pixels - 8) @ numbers.standard_normal((64, 10))
        return pixels, classes.argmax(axis=1).astype(np.int64)

    tables.read = read
