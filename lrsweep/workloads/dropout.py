"""Dropout whose mask is a function of the training's seed and step, as everything random in a training is.

    from lrsweep.workloads.dropout import Dropout

    nn.Sequential(nn.Linear(64, 64), nn.ReLU(), Dropout(0.1), nn.Linear(64, 10))

So a training can be resumed, or trained beside others, and drops the same numbers; with ``nn.Dropout`` a model is
trained alone. The engines say which seed and step it is: a ``Clock`` for one model, rows of the buffers for several.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lrsweep.errors import InvalidInput
from lrsweep.workloads.draw import draw


class Dropout(nn.Module):
    """In training each number is 0 with probability ``p``, and what is left is divided by 1 - p; in evaluation mode
    nothing is changed. Two modules drop other numbers; one that is called twice in a step drops the same ones twice.

    Without a clock seed and step stay 0.
    """

    seed: Tensor
    step: Tensor

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise InvalidInput(f"Dropout({p!r}): wanted is the share that is dropped, from 0 to less than 1.")
        self.p = p
        self.place = ""
        """the module's name in the model, set by ``clocked``"""
        for name in ("seed", "step"):  # on the model's device; no part of a checkpoint, which knows both
            self.register_buffer(name, torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        numbers = draw(self.seed, self.step, f"dropout {self.place}", x.numel(), device=x.device)
        return (x / (1.0 - self.p)).masked_fill((numbers < int(self.p * 2**63)).view(x.shape), 0.0)

    def buffer(self, name: str) -> str:
        """What the model calls ``seed`` or ``step`` of this module."""
        return f"{self.place}.{name}" if self.place else name

    def extra_repr(self) -> str:
        return f"p={self.p}"


def clocked(model: nn.Module) -> list[Dropout]:
    """The model's Dropouts, each told its place, so that no two draw the same mask."""
    found = []
    for name, module in model.named_modules():
        if isinstance(module, Dropout):
            module.place = name
            found.append(module)
    return found


class Clock:
    """Tells the Dropouts of one model whose training it is, and at which update it is. Costs nothing without any."""

    def __init__(self, model: nn.Module, seed: int) -> None:
        self._dropouts = clocked(model)
        for each in self._dropouts:
            each.seed.fill_(seed)

    def set(self, step: int) -> None:
        """In place, because a CUDA graph reads where the step lies."""
        for each in self._dropouts:
            each.step.fill_(step)
