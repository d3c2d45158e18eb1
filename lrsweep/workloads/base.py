"""What an engine asks of a workload; and how one is loaded by name.

A workload holds its data on one device and is used for many trainings in a row. Everything random in it comes from
``draw``, so a training is a pure function of its plan.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from lrsweep.records import WorkloadFacts, WorkloadSpec
from lrsweep.workloads import catalog
from lrsweep.workloads.draw import draw, uniform

Half = Literal["search", "decide", "test"]
"""The search sees the first half of validation, the choice the second, promotion alone the test set."""


@dataclass(frozen=True)
class ParamGroup:
    """Parameters with a rate of their own: the schedule's rate times ``rate``. What is in no group stays frozen."""

    name: str
    parameters: Sequence[nn.Parameter]
    rate: float = 1.0


class Workload(ABC):
    """Model + data + loss + metrics + batch size, on ``device``."""

    facts: WorkloadFacts
    device: torch.device

    @abstractmethod
    def model(self, seed: int) -> nn.Module:
        """A new model, its weights drawn from the seed."""

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        """What is trained: by default one group of all that asks for gradients."""
        return [ParamGroup("all", [each for each in model.parameters() if each.requires_grad])]

    @abstractmethod
    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of update ``step``, counted from 0."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch."""

    @abstractmethod
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        """``{"loss": …, "acc": …}`` on one part of the held-out data."""


def load(spec: WorkloadSpec, device: torch.device, data: Path | None = None) -> Workload:
    """The workload of that name, with its data on the device; ``data`` is the folder where data sets lie."""
    del data
    complete = catalog.complete(spec)
    module, _, name = catalog.home(spec.name).partition(":")
    workload: Workload = getattr(importlib.import_module(module), name)(complete.settings, device)
    return workload


def draw_weights(model: nn.Module, seed: int) -> nn.Module:
    """PyTorch's own default for linear and convolution layers, U(-1/√fan_in, 1/√fan_in), but from ``draw``."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor):
            continue
        bound = weight[0].numel() ** -0.5
        for part in ("weight", "bias"):
            parameter = getattr(module, part, None)
            if isinstance(parameter, Tensor):
                numbers = uniform(draw(seed, 0, f"init {name}.{part}", parameter.numel(), device=parameter.device))
                with torch.no_grad():
                    parameter.copy_(((2 * numbers - 1) * bound).view_as(parameter))
    return model
