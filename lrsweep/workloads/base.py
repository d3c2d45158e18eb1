"""What an engine asks of a workload; and how one is loaded by name.

A workload holds its data on one device and is used for many trainings in a row. Everything random in it comes from
``draw``: the weights from the training's seed, the examples of a step and what is done to them from the seed and the
step. So a training is a pure function of its plan; it can be begun anywhere, and resumed, and gives the same bits.
No built-in model has dropout; for your own there is ``lrsweep.workloads.dropout``, whose masks come from there too.

The data are cut into four parts, once for ever, by a seed of the workload's own: what is trained on, and three that are
held out (``Half``).
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from lrsweep.records import Json, WorkloadFacts, WorkloadSpec
from lrsweep.workloads import catalog
from lrsweep.workloads.draw import draw, uniform
from lrsweep.workloads.facts import peak_ranges as peak_ranges  # for workloads of one's own, which begin here
from lrsweep.workloads.facts import with_horizon as with_horizon
from lrsweep.workloads.fetching import at_hand

Half = Literal["search", "decide", "test"]
"""The search sees the first half of validation, the choice the second, promotion alone the test set."""

DATA = Path("~/.cache/lrsweep/data")
"""Where data sets lie unless ``LRSWEEP_DATA`` names another folder."""


@dataclass(frozen=True)
class ParamGroup:
    """Parameters with a rate of their own: the schedule's rate times ``rate``. What is in no group stays frozen."""

    name: str
    parameters: Sequence[nn.Parameter]
    rate: float = 1.0


Feed = Callable[[Sequence[int], Sequence[int]], tuple[Tensor, Tensor]]
"""From the seeds and the steps of K trainings to their inputs and targets, ``[K, batch, …]``."""
Forward = Callable[[Tensor], Tensor]
"""From inputs to the outputs of several models for all of them, ``[models, examples, …]``."""


class Workload(ABC):
    """Model + data + loss + metrics + batch size, on ``device``.

    Its constructor is a ``Maker``: it takes (settings, device, folder of data sets) and sets ``facts`` and ``device``.
    A workload of your own is such a subclass; ``lrsweep new workload`` writes one to begin with.
    """

    facts: WorkloadFacts
    device: torch.device

    @abstractmethod
    def model(self, seed: int) -> nn.Module:
        """A new model on the device, its weights drawn from the seed."""

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        """What is trained: by default one group of all that asks for gradients."""
        return [ParamGroup("all", [each for each in model.parameters() if each.requires_grad])]

    @abstractmethod
    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of update ``step``, counted from 0: the same bits whatever was asked for before."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean over the batch."""

    @abstractmethod
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        """``{"loss": …, "acc": …}`` on one part of the held-out data, the names those of ``facts.metrics``.

        The model comes back as it was: see ``evaluating``.
        """

    # ── many trainings at once: what the fused engine asks; a workload of your own may leave both as they are ────────

    def feed(self) -> Feed:
        """Batches of many trainings at once: the bits of ``batch``, stacked. Here one after the other."""

        def stacked(seeds: Sequence[int], steps: Sequence[int]) -> tuple[Tensor, Tensor]:
            batches = [self.batch(seed, step) for seed, step in zip(seeds, steps, strict=True)]
            return torch.stack([inputs for inputs, _ in batches]), torch.stack([targets for _, targets in batches])

        return stacked

    def evaluate_many(self, forward: Forward, half: Half) -> list[dict[str, float]] | None:
        """``evaluate`` of several models at once, which whoever calls has put in evaluation mode, without gradients;
        ``forward`` takes the inputs of one chunk. None: one model after the other, by ``evaluate``."""
        del forward, half
        return None

    # ── what finals ask beside it; a workload of your own may leave it as it is ─────────────────────────────────────

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        """The loss of each example of one part, ``[models, examples]``, always in the same order, whose means are the
        models' ``loss`` of ``evaluate``; as for ``evaluate_many``, whoever calls has put the models in evaluation mode.

        None where nobody is to know: the loss is no mean over examples that are independent of each other, or they are
        too many to be kept. An answer of another shape or with other means is not kept, and a line says so.
        """
        del forward, half
        return None


Maker = Callable[[Mapping[str, Json], torch.device, Path], Workload]


def load(spec: WorkloadSpec, device: torch.device, data: Path | None = None) -> Workload:
    """The workload of that name, with its data on the device; ``data`` is the folder where data sets lie.

    Raises InvalidInput for a name or a setting that cannot be meant, and for data that are not there.
    """
    complete = catalog.complete(spec)
    folder = at_hand((DATA if data is None else data).expanduser())
    if catalog.is_own(complete.name):
        from lrsweep.workloads.own import load_own

        return load_own(complete, device, folder)
    module, _, name = catalog.home(complete.name).partition(":")
    made: Maker = getattr(importlib.import_module(module), name)
    return made(complete.settings, device, folder)


def size_of(make: Callable[[], nn.Module]) -> int:
    """The parameters of the model that is made, counted without memory for them."""
    with torch.device("meta"):
        return sum(each.numel() for each in make().parameters())


def draw_weights(model: nn.Module, seed: int) -> nn.Module:
    """PyTorch's own default for linear and convolution layers, U(-1/√fan_in, 1/√fan_in), but from ``draw``.

    An embedding of n numbers gets U(-1/√n, 1/√n). A scale and a shift after normalisation keep their ones and zeros.
    What is a parameter under another name than ``weight`` or ``bias`` is not drawn here.
    """
    with torch.no_grad():
        for name, module in model.named_modules():
            weight = getattr(module, "weight", None)
            if not isinstance(weight, Tensor) or weight.dim() < 2:
                continue
            bound = math.prod(weight.shape[1:]) ** -0.5
            for part in ("weight", "bias"):
                parameter = getattr(module, part, None)
                if isinstance(parameter, Tensor):
                    integers = draw(seed, 0, f"init {name}.{part}", parameter.numel(), device=parameter.device)
                    parameter.copy_(uniform(integers).mul_(2).sub_(1).mul_(bound).view_as(parameter))
    return model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """No gradients, and every module in evaluation mode; afterwards each is in the mode it had.

    A part that is frozen stays in evaluation mode throughout, so that BatchNorm keeps a checkpoint's statistics.
    """
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in trained:
            module.training = True
