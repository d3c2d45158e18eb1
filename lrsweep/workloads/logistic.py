"""``logistic``: logistic regression on a table that ships with scikit-learn, the smallest thing that can be trained.

Of n examples, 12 % are held out for each of searching, deciding and the test; each column is standardised by the mean
and the deviation that it has in what is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import Json
from lrsweep.workloads import tables
from lrsweep.workloads.base import Feed, Forward, Half, Workload, draw_weights
from lrsweep.workloads.labelled import HeldOut, Parts, Shuffled

SPLIT_SEED = 569


class Logistic(Workload):
    def __init__(self, settings: Mapping[str, Json], device: torch.device, data: Path) -> None:
        del data  # scikit-learn brings them
        self.device = device
        table = tables.logistic(settings)
        self.facts = table.facts
        self._shape = (table.columns.shape[1], int(table.labels.max()) + 1)

        parts = Parts.cut(
            torch.from_numpy(table.columns),
            torch.from_numpy(table.labels),
            train=table.train,
            held_out=table.held_out,
            seed=SPLIT_SEED,
            device=device,
        )
        mean, deviation = parts.train[0].mean(dim=0), parts.train[0].std(dim=0, correction=0)
        deviation[deviation == 0] = 1.0  # a column that is always the same stays 0

        def standard(examples: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return ((examples[0] - mean) / deviation).float(), examples[1]

        self._train = Shuffled(standard(parts.train), self.facts.batch_size)
        self._held_out = HeldOut({half: standard(examples) for half, examples in parts.held_out.items()})

    def model(self, seed: int) -> nn.Module:
        return draw_weights(nn.Linear(*self._shape, device=self.device), seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return self._train.batch(seed, step)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return self._held_out.evaluate(model, half)

    def feed(self) -> Feed:
        return self._train.feed()

    def evaluate_many(self, forward: Forward, half: Half) -> list[dict[str, float]]:
        return self._held_out.evaluate_many(forward, half)

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        return self._held_out.example_losses(forward, half)
