"""``digits``: 1,797 handwritten digits of 8 x 8 pixels (UCI; they ship with scikit-learn). Trains on a CPU in seconds.

1,152 examples to train on (18 batches of 64), 215 to search by, 215 to decide by, 215 for the test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import Json, WorkloadFacts
from lrsweep.workloads.base import Half, Workload, draw_weights
from lrsweep.workloads.draw import epoch_order, normal

BATCH_SIZE = 64
TRAIN, HELD_OUT = 1152, 215
STEPS_PER_EPOCH = TRAIN // BATCH_SIZE
SPLIT_SEED = 1797
"""One split for ever: another one would make two values incomparable."""


class Digits(Workload):
    def __init__(self, settings: Mapping[str, Json], device: torch.device) -> None:
        self.device = device
        self._kind: str = settings["model"]
        self._noise: float = settings["noise"]
        pixels, labels = load_digits(return_X_y=True)
        self.facts = WorkloadFacts(
            name="digits",
            settings=dict(settings),
            version=1,
            data_hash=hashlib.sha256(
                np.ascontiguousarray(pixels, "<f8").tobytes() + np.ascontiguousarray(labels, "<i8").tobytes()
            ).hexdigest(),
            batch_size=BATCH_SIZE,
            horizon=600,
            peak_lr={"sgd": (0.01, 2.0), "adamw": (3e-4, 0.1)},
        )
        order = epoch_order(SPLIT_SEED, 0, len(labels))
        inputs = (torch.from_numpy(pixels).float() / 16.0)[order].to(device)
        targets = torch.from_numpy(labels).long()[order].to(device)
        bounds = [0, TRAIN, TRAIN + HELD_OUT, TRAIN + 2 * HELD_OUT, TRAIN + 3 * HELD_OUT]
        parts = [(inputs[a:b], targets[a:b]) for a, b in pairwise(bounds)]
        self._train = parts[0]
        self._held_out: dict[Half, tuple[Tensor, Tensor]] = {"search": parts[1], "decide": parts[2], "test": parts[3]}
        self._epoch: tuple[int, int] | None = None
        self._shuffled = self._train

    def model(self, seed: int) -> nn.Module:
        model = _mlp() if self._kind == "mlp" else _cnn()
        return draw_weights(model.to(self.device), seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        epoch, position = divmod(step, STEPS_PER_EPOCH)
        if self._epoch != (seed, epoch):  # shuffled once an epoch: slices are cheaper than two gathers at each step
            order = epoch_order(seed, epoch, TRAIN, device=self.device)
            self._shuffled = (self._train[0][order], self._train[1][order])
            self._epoch = (seed, epoch)
        chosen = slice(position * BATCH_SIZE, (position + 1) * BATCH_SIZE)
        inputs, targets = self._shuffled[0][chosen], self._shuffled[1][chosen]
        if self._noise:
            noise = normal(seed, step, "noise", inputs.numel(), device=self.device)
            inputs = inputs + self._noise * noise.view_as(inputs).float()
        return inputs, targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        inputs, targets = self._held_out[half]
        outputs = model(inputs)
        return {
            "loss": functional.cross_entropy(outputs, targets).item(),
            "acc": (outputs.argmax(dim=1) == targets).float().mean().item(),
        }


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
