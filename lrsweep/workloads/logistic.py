"""``logistic``: logistic regression on a table that ships with scikit-learn, the smallest thing that can be trained.

Of n examples, 12 % are held out for each of searching, deciding and the test; each column is standardised by the mean
and the deviation that it has in what is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from sklearn import datasets
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import Json, WorkloadFacts
from lrsweep.workloads.base import Feed, Forward, Half, Workload, draw_weights, peak_ranges, with_horizon
from lrsweep.workloads.labelled import METRICS, HeldOut, Parts, Shuffled, hash_of

BATCH_SIZE = 16
SPLIT_SEED = 569


class Logistic(Workload):
    def __init__(self, settings: Mapping[str, Json], device: torch.device, data: Path) -> None:
        del data  # scikit-learn brings them
        self.device = device
        batch_size: int = settings.get("batch_size", BATCH_SIZE)
        columns, labels = getattr(datasets, f"load_{settings['table']}")(return_X_y=True)
        columns, labels = columns.astype("<f8"), labels.astype("<i8")
        self._shape = (columns.shape[1], int(labels.max()) + 1)

        held_out = len(labels) * 12 // 100
        train = len(labels) - 3 * held_out
        parts = Parts.cut(
            torch.from_numpy(columns),
            torch.from_numpy(labels),
            train=train,
            held_out=held_out,
            seed=SPLIT_SEED,
            device=device,
        )
        mean, deviation = parts.train[0].mean(dim=0), parts.train[0].std(dim=0, correction=0)
        deviation[deviation == 0] = 1.0  # a column that is always the same stays 0

        def standard(examples: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return ((examples[0] - mean) / deviation).float(), examples[1]

        self._train = Shuffled(standard(parts.train), batch_size)
        self._held_out = HeldOut({half: standard(examples) for half, examples in parts.held_out.items()})
        facts = WorkloadFacts(
            name="logistic",
            settings=dict(settings),
            version=1,
            data_hash=hash_of(columns, labels),
            batch_size=batch_size,
            horizon=1,
            peak_lr=peak_ranges(sgd=(1e-3, 1.0), adam=(3e-4, 0.3)),
            metrics=METRICS,
            examples_per_epoch=train,
        )
        self.facts = with_horizon(facts, "20 epochs")

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
