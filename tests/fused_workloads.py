"""Small workloads in float64: the models whose parts behave differently when they are trained among others.

``Mlp``, ``Cnn`` with BatchNorm, ``Transformer``; ``Dropping`` draws masks, and ``Tuned`` has layers at rates of their
own and a frozen part with BatchNorm in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import WorkloadFacts
from lrsweep.workloads.base import Half, ParamGroup, Workload, draw_weights, evaluating
from lrsweep.workloads.draw import normal
from lrsweep.workloads.dropout import Dropout

BATCH, CLASSES, HELD_OUT = 8, 3, 24
DRAWN_AT_ONCE = 40
"""Steps: to draw one batch takes as long as to draw so many, and as long as a step."""


class Small(Workload):
    """Fresh examples at each step; their class is the third that has the largest sum, which a small model can learn."""

    example: tuple[int, ...] = (6,)
    device = torch.device("cpu")

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        torch.set_num_threads(1)
        self.dtype = dtype
        self.facts = WorkloadFacts("small", {}, 1, "drawn", BATCH, 200, {}, {"loss": "minimize", "acc": "maximize"})
        self._batches = cache(self._drawn_at_once)
        self._held_out = cache(self._drawn_held_out)

    def make(self) -> nn.Module:
        raise NotImplementedError

    def model(self, seed: int) -> nn.Module:
        return draw_weights(self.make().to(self.dtype), seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return self._batches(seed, step // DRAWN_AT_ONCE)[step % DRAWN_AT_ONCE]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        inputs, targets = self._held_out(half)
        with evaluating(model):
            return _metrics(model(inputs), targets)

    def _drawn_held_out(self, half: Half) -> tuple[Tensor, Tensor]:
        [examples] = self._examples(-1, [{"search": 0, "decide": 1, "test": 2}[half]], HELD_OUT)
        return examples

    def _drawn_at_once(self, seed: int, part: int) -> list[tuple[Tensor, Tensor]]:
        return self._examples(seed, range(part * DRAWN_AT_ONCE, (part + 1) * DRAWN_AT_ONCE), BATCH)

    def _examples(self, seed: int, steps: Sequence[int], count: int) -> list[tuple[Tensor, Tensor]]:
        width = math.prod(self.example)
        numbers = normal(seed, steps, "examples", count * width).view(len(steps), count, width)
        rule = functional.one_hot(torch.arange(width) * CLASSES // width, CLASSES).double()
        inputs = numbers.view(len(steps), count, *self.example).to(self.dtype)
        return list(zip(inputs, (numbers @ rule).argmax(dim=-1), strict=True))


def _metrics(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    right = outputs.argmax(dim=-1) == targets
    return {"loss": functional.cross_entropy(outputs, targets).item(), "acc": right.double().mean().item()}


class Mlp(Small):
    """It leaves ``evaluate_many`` as it is, and so is evaluated one model after the other."""

    def make(self) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, CLASSES))


class Together(Small):
    """All models at once are evaluated."""

    def evaluate_many(self, forward: Callable[[Tensor], Tensor], half: Half) -> list[dict[str, float]]:
        inputs, targets = self._held_out(half)
        return [_metrics(outputs, targets) for outputs in forward(inputs)]


class Cnn(Together):
    """No bias before BatchNorm: its gradient is 0 but for rounding, which Adam would make a step of."""

    example = (1, 6, 6)

    def make(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )


class Tuned(Cnn):
    """Its first layers are frozen, with other statistics than those of new ones; the head learns thrice as fast."""

    def model(self, seed: int) -> nn.Module:
        model = super().model(seed)
        assert isinstance(model, nn.Sequential)
        norm = model[1]
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.fill_(0.25)
        norm.running_var.fill_(2.0)
        for part in (model[0], norm):
            part.eval()
            part.requires_grad_(False)
        return model

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        assert isinstance(model, nn.Sequential)
        body = [*model[3].parameters(), *model[4].parameters()]
        return [ParamGroup("head", list(model[7].parameters()), 3.0), ParamGroup("body", body, 0.5)]


class Transformer(Together):
    """One block, with attention written out as in ``char_lm``; it says the class of the whole."""

    example = (3, 5)

    def make(self) -> nn.Module:
        return Attends()


class Attends(nn.Module):
    WIDTH, HEADS, LENGTH = 8, 2, 5
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.known = nn.Linear(3, self.WIDTH)
        self.place = nn.Embedding(self.LENGTH, self.WIDTH)
        self.norm1 = nn.LayerNorm(self.WIDTH)
        self.mixed = nn.Linear(self.WIDTH, 3 * self.WIDTH, bias=False)  # a key's would have a gradient of 0
        self.attended = nn.Linear(self.WIDTH, self.WIDTH)
        self.norm2 = nn.LayerNorm(self.WIDTH)
        self.wide = nn.Linear(self.WIDTH, 2 * self.WIDTH)
        self.narrow = nn.Linear(2 * self.WIDTH, self.WIDTH)
        self.head = nn.Linear(self.WIDTH, CLASSES)
        later = torch.ones(self.LENGTH, self.LENGTH, dtype=torch.bool).triu(diagonal=1)
        self.register_buffer("mask", later, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.known(inputs.transpose(1, 2)) + self.place.weight
        x = x + self._attention(self.norm1(x))
        x = x + self.narrow(functional.gelu(self.wide(self.norm2(x))))
        outputs: Tensor = self.head(x.mean(dim=1))
        return outputs

    def _attention(self, x: Tensor) -> Tensor:
        batch, each = len(x), self.WIDTH // self.HEADS
        query, key, value = self.mixed(x).view(batch, self.LENGTH, 3, self.HEADS, each).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-2, -1) / math.sqrt(each)
        weights = scores.masked_fill(self.mask, float("-inf")).softmax(dim=-1)
        mixed: Tensor = self.attended((weights @ value).transpose(1, 2).reshape(batch, self.LENGTH, self.WIDTH))
        return mixed


class Dropping(Together):
    """Two masks, each with a stream of its own."""

    def make(self) -> nn.Module:
        layers = [nn.Linear(6, 16), nn.ReLU(), Dropout(0.3), nn.Linear(16, 16), nn.ReLU(), Dropout(0.1)]
        return nn.Sequential(*layers, nn.Linear(16, CLASSES))


WORKLOADS: Mapping[str, type[Small]] = {
    "mlp": Mlp,
    "cnn": Cnn,
    "transformer": Transformer,
    "dropping": Dropping,
    "tuned": Tuned,
}


@lru_cache
def small(name: str, dtype: torch.dtype = torch.float64) -> Small:
    return WORKLOADS[name](dtype)
