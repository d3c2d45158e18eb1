"""``digits``: 1,797 handwritten digits of 8 x 8 pixels (UCI; they ship with scikit-learn). Trains on a CPU in seconds.

1,152 examples to train on (18 batches of 64), 215 to search by, 215 to decide by, 215 for the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import Json
from lrsweep.workloads import tables
from lrsweep.workloads.base import Feed, Forward, Half, Workload, draw_weights
from lrsweep.workloads.draw import normal
from lrsweep.workloads.labelled import HeldOut, Parts, Shuffled

PIXELS = 8 * 8
SPLIT_SEED = 1797
"""One split for ever: another one would make two values incomparable."""


class Digits(Workload):
    def __init__(self, settings: Mapping[str, Json], device: torch.device, data: Path) -> None:
        del data  # scikit-learn brings them
        self.device = device
        self._kind: str = settings["model"]
        self._noise: float = settings["noise"]
        table = tables.digits(settings)
        self.facts = table.facts
        parts = Parts.cut(
            torch.from_numpy(table.columns).float() / 16.0,
            torch.from_numpy(table.labels),
            train=table.train,
            held_out=table.held_out,
            seed=SPLIT_SEED,
            device=device,
        )
        self._train = Shuffled(parts.train, self.facts.batch_size)
        self._held_out = HeldOut(parts.held_out)

    def model(self, seed: int) -> nn.Module:
        model = _mlp() if self._kind == "mlp" else _cnn()
        return draw_weights(model.to(self.device), seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self._train.batch(seed, step)
        return self._noisy(inputs, seed, step), targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return self._held_out.evaluate(model, half)

    def feed(self) -> Feed:
        clean = self._train.feed()

        def batches(seeds: Sequence[int], steps: Sequence[int]) -> tuple[Tensor, Tensor]:
            inputs, targets = clean(seeds, steps)
            return self._noisy(inputs, seeds, steps), targets

        return batches

    def evaluate_many(self, forward: Forward, half: Half) -> list[dict[str, float]]:
        return self._held_out.evaluate_many(forward, half)

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        return self._held_out.example_losses(forward, half)

    def _noisy(self, inputs: Tensor, seed: int | Sequence[int], step: int | Sequence[int]) -> Tensor:
        """Of one training, or of each of several its own."""
        if not self._noise:
            return inputs
        noise = normal(seed, step, "noise", self.facts.batch_size * PIXELS, device=self.device)
        return inputs + self._noise * noise.view_as(inputs).float()


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
