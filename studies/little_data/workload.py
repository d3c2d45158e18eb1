"""Few digits, and of every seven labels one is drawn: a training has time to learn what is wrong, too.

The validation loss then rises again before the end, so that what is best at a third of a training is not at its end.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import WorkloadFacts
from lrsweep.workloads.base import Feed, Forward, Half, Workload, draw_weights, peak_ranges
from lrsweep.workloads.draw import draw
from lrsweep.workloads.labelled import METRICS, HeldOut, Parts, Shuffled, hash_of

TRAIN, HELD_OUT, BATCH_SIZE, EPOCHS = 256, 400, 32, 100
WRONG_OF = 7
SPLIT_SEED = 7


class FewDigits(Workload):
    def __init__(self, settings: Mapping[str, Any], device: torch.device, data: Path) -> None:
        del data  # scikit-learn brings them
        self.device = device
        pixels, digits = load_digits(return_X_y=True)
        parts = Parts.cut(
            torch.from_numpy(pixels).float() / 16,
            torch.from_numpy(digits).long(),
            train=TRAIN,
            held_out=HELD_OUT,
            seed=SPLIT_SEED,
            device=device,
        )
        inputs, labels = parts.train
        wrong = torch.arange(0, TRAIN, WRONG_OF, device=device)
        drawn = draw(SPLIT_SEED, 0, "wrong labels", len(wrong), device=device) % 10
        train = inputs, labels.index_copy(0, wrong, drawn)
        self._train = Shuffled(train, BATCH_SIZE)
        self._held_out = HeldOut(parts.held_out)
        self.facts = WorkloadFacts(
            name="few-digits",
            settings=dict(settings),
            version=1,
            data_hash=hash_of(*train),
            batch_size=BATCH_SIZE,
            horizon=EPOCHS * (TRAIN // BATCH_SIZE),
            peak_lr=peak_ranges(sgd=(0.01, 1.0), adam=(3e-4, 0.03)),
            metrics=METRICS,
            examples_per_epoch=TRAIN,
        )

    def model(self, seed: int) -> nn.Module:
        return draw_weights(nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to(self.device), seed)

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
