"""Workloads whose trainings take a fraction of a second, each of another nature; ``WORKLOADS`` are the ones that the
benchmark replays.

A study names them as it names anybody's own workload. Their data come with scikit-learn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.records import Json, WorkloadFacts, WorkloadSpec
from lrsweep.workloads.base import Feed, Forward, Half, Workload, draw_weights, peak_ranges
from lrsweep.workloads.draw import draw, epoch_order
from lrsweep.workloads.labelled import METRICS, Examples, HeldOut, Parts, Shuffled, hash_of

HORIZON = 360
"""Steps of a full training: a third and a ninth of it are whole numbers, and so are their shares of it."""

SPLIT_SEED = 1797
CONTEXT, VOCABULARY = 8, 64


class Small(Workload):
    """Labelled examples, a network, and cross-entropy; a subclass says which."""

    batch_size = 64
    peak_lr = peak_ranges(sgd=(0.01, 3.0), adam=(3e-4, 0.1))

    def __init__(self, settings: Mapping[str, Json], device: torch.device, data: Path) -> None:
        del data
        self.device = device
        parts = self.parts()
        self._train = Shuffled(parts.train, self.batch_size)
        self._held_out = HeldOut(parts.held_out)
        self.facts = WorkloadFacts(
            name=type(self).__name__,
            settings=dict(settings),
            version=1,
            data_hash=hash_of(*parts.train),
            batch_size=self.batch_size,
            horizon=HORIZON,
            peak_lr=self.peak_lr,
            metrics=METRICS,
            examples_per_epoch=len(parts.train[1]),
        )

    def parts(self) -> Parts:
        raise NotImplementedError

    def make(self) -> nn.Module:
        raise NotImplementedError

    def model(self, seed: int) -> nn.Module:
        return draw_weights(self.make(), seed)

    def batch(self, seed: int, step: int) -> Examples:
        return self._train.batch(seed, step)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        return self._held_out.evaluate(model, half)

    def feed(self) -> Feed:
        return self._train.feed()

    def evaluate_many(self, forward: Forward, half: Half) -> list[dict[str, float]]:
        return self._held_out.evaluate_many(forward, half)


class WrongLabels(Small):
    """Too few digits, and of every seven labels one is drawn: whoever trains for long learns them by heart."""

    batch_size = 32
    train, wrong_of = 384, 7

    def parts(self) -> Parts:
        parts = _digits(self.train)
        inputs, labels = parts.train
        places = torch.arange(0, self.train, self.wrong_of)
        drawn = draw(SPLIT_SEED, 0, "wrong labels", len(places)).remainder(10)
        return Parts((inputs, labels.index_copy(0, places, drawn)), parts.held_out)

    def make(self) -> nn.Module:
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


class SmallCnn(Small):
    """Two convolutions that halve the picture."""

    def parts(self) -> Parts:
        return _digits(1152)

    def make(self) -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 10),
        )


class NextCharacter(Small):
    """Which character follows eight others, in the descriptions of scikit-learn's data sets."""

    held_out = 1000

    def parts(self) -> Parts:
        """The text's last stretches are held out, so that no held-out window overlaps one that is trained on."""
        tokens = _text()
        windows = tokens.unfold(0, CONTEXT + 1, 1)
        stretch = self.held_out + CONTEXT
        train = len(windows) - 3 * stretch
        halves: tuple[Half, ...] = ("search", "decide", "test")

        def part(begin: int, length: int) -> Examples:
            chosen = windows[begin : begin + length].contiguous()
            return chosen[:, :CONTEXT].contiguous(), chosen[:, CONTEXT].contiguous()

        held_out = {half: part(train + CONTEXT + place * stretch, self.held_out) for place, half in enumerate(halves)}
        return Parts(part(0, train), held_out)

    def make(self) -> nn.Module:
        return nn.Sequential(
            nn.Embedding(VOCABULARY, 16),
            nn.Flatten(),
            nn.Linear(CONTEXT * 16, 64),
            nn.ReLU(),
            nn.Linear(64, VOCABULARY),
        )


class SmallTransformer(NextCharacter):
    """The same characters, and one block with attention."""

    batch_size = 32

    def make(self) -> nn.Module:
        return _Transformer()


class _Transformer(nn.Module):
    """One head, written out; the last place's state says which character follows."""

    width = 16

    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(VOCABULARY, self.width)
        self.places = nn.Embedding(CONTEXT, self.width)
        self.first, self.second, self.last = (nn.LayerNorm(self.width) for _ in range(3))
        self.query, self.key, self.value, self.out = (nn.Linear(self.width, self.width) for _ in range(4))
        self.mlp = nn.Sequential(
            nn.Linear(self.width, 4 * self.width), nn.GELU(), nn.Linear(4 * self.width, self.width)
        )
        self.head = nn.Linear(self.width, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        state = self.characters(tokens) + self.places.weight
        seen = self.first(state)
        scores = self.query(seen[..., -1:, :]) @ self.key(seen).transpose(-2, -1) / self.width**0.5
        end = state[..., -1:, :] + self.out(scores.softmax(dim=-1) @ self.value(seen))
        end = (end + self.mlp(self.second(end))).squeeze(-2)
        logits: Tensor = self.head(self.last(end))
        return logits


def _digits(train: int) -> Parts:
    pixels, labels = load_digits(return_X_y=True)
    order = epoch_order(SPLIT_SEED, 0, len(labels))
    inputs = (torch.from_numpy(pixels).float() / 16.0)[order]
    targets = torch.from_numpy(labels.astype(np.int64))[order]
    halves: tuple[Half, ...] = ("search", "decide", "test")
    ends = [1152 + 215 * place for place in range(4)]
    held_out = {
        half: (inputs[begin:end], targets[begin:end])
        for half, begin, end in zip(halves, ends[:-1], ends[1:], strict=True)
    }
    return Parts((inputs[:train], targets[:train]), held_out)


def _text() -> Tensor:
    """Its characters as numbers: the most frequent ones, and the last number for all others."""
    folder = files("sklearn.datasets.descr")
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(".rst"))
    text = "".join((folder / name).read_text(encoding="utf-8") for name in names)
    known = {character: place for place, (character, _) in enumerate(Counter(text).most_common(VOCABULARY - 1))}
    return torch.tensor([known.get(character, VOCABULARY - 1) for character in text])


def _own(kind: type[Small]) -> WorkloadSpec:
    return WorkloadSpec(f"{__name__}:{kind.__name__}")


WORKLOADS: Mapping[str, WorkloadSpec] = MappingProxyType(
    {
        "logistic": WorkloadSpec("logistic", {"table": "breast_cancer"}),
        "digits-mlp": WorkloadSpec("digits", {"model": "mlp", "noise": 0.0}),
        "wrong-labels": _own(WrongLabels),
        "small-cnn": _own(SmallCnn),
        "next-character": _own(NextCharacter),
        "transformer": _own(SmallTransformer),
    }
)
