"""Labelled pictures from one of torchvision's data sets: what ``mnist``, ``fashion_mnist``, ``cifar10`` and
``cifar100`` have in common. Each of them is a ``PictureSet``.

What is published for training is cut into the part that is trained on and the two halves of validation; the test part
is the published one. The bytes lie on the device, and are normalised there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.errors import InvalidInput
from lrsweep.records import Json, WorkloadFacts
from lrsweep.workloads import downloads
from lrsweep.workloads.base import Feed, Forward, Half, ParamGroup, Workload, draw_weights, size_of, with_horizon
from lrsweep.workloads.draw import draw, epoch_order
from lrsweep.workloads.fine_tuning import FineTuning
from lrsweep.workloads.labelled import METRICS, Epochs, Examples, HeldOut, Shuffled, hash_of

SPLIT_SEED = 28
"""One split for ever: another one would make two values incomparable."""
PADDING = 4
"""Pixels around a picture, from which a crop of the old size is cut."""
STREAM = "crop and flip"


@dataclass(frozen=True)
class PictureSet:
    name: str
    version: int
    source: Callable[[], downloads.Source]
    """asked when the data are read"""
    published: tuple[int, int]
    """examples for training and for the test; a synthetic workload has as many"""
    shape: tuple[int, int, int]
    """channels, height, width"""
    classes: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    """per channel, of pixels from 0 to 1"""
    held_out_share: int
    """each half of validation is this part of what is published for training: 12 for a twelfth"""
    crops: bool
    """whether each picture is shifted by up to four pixels and mirrored at random"""
    models: Mapping[str, Callable[[], nn.Module]]
    batch_size: int
    horizon: str
    peak_lr: Mapping[str, tuple[float, float]]


class Pictures(Workload):
    def __init__(self, of: PictureSet, settings: Mapping[str, Json], device: torch.device, data: Path) -> None:
        self.device = device
        self._make = of.models[settings["model"]]
        self._tuning = FineTuning(settings, self._make, device)
        batch_size: int = settings.get("batch_size", of.batch_size)
        if settings.get("synthetic", False):
            known, test = (_random_examples(n, of.shape, of.classes, seed=n) for n in of.published)
            data_hash = "synthetic"
        else:
            known, test = downloads.read(of.source(), data, of.name)
            data_hash = self._tuning.data_hash(hash_of(*known, *test))
        held_out = len(known[1]) // of.held_out_share
        train = len(known[1]) - 2 * held_out
        if held_out == 0:
            raise InvalidInput(f"workload {of.name!r}: {len(known[1])} pictures are too few to hold some out.")

        order = epoch_order(SPLIT_SEED, 0, len(known[1]))

        def part(begin: int, end: int) -> Examples:
            return known[0][order[begin:end]].to(device), known[1][order[begin:end]].to(device)

        # The mean and the deviation of the channels, as one product and one sum for pixels from 0 to 255.
        column = partial(torch.tensor, dtype=torch.float32, device=device)
        self._scale = (1 / (255 * column(of.deviation))).view(-1, 1, 1)
        self._shift = (-column(of.mean) / column(of.deviation)).view(-1, 1, 1)
        made: type[Crops] | type[Shuffled] = Crops if of.crops else Shuffled
        self._train = made(part(0, train), batch_size, self._normalised)
        halves: dict[Half, Examples] = {
            "search": part(train, train + held_out),
            "decide": part(train + held_out, len(order)),
            "test": (test[0].to(device), test[1].to(device)),
        }
        self._held_out = HeldOut(halves, self._normalised)

        facts = WorkloadFacts(
            name=of.name,
            settings=dict(settings),
            version=of.version,
            data_hash=data_hash,
            batch_size=batch_size,
            horizon=1,
            peak_lr=of.peak_lr,
            metrics=METRICS,
            examples_per_epoch=train,
            parameters=size_of(self._make),
        )
        self.facts = with_horizon(facts, of.horizon)

    def model(self, seed: int) -> nn.Module:
        return self._tuning.begin(draw_weights(self._make().to(self.device), seed))

    def groups(self, model: nn.Module) -> list[ParamGroup]:
        return self._tuning.groups(model)

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

    def _normalised(self, pixels: Tensor) -> Tensor:
        return (pixels * self._scale).add_(self._shift)


class Crops:
    """Batches of pictures, each shifted by up to four pixels, with black coming in, and mirrored half of the time."""

    def __init__(self, examples: Examples, batch_size: int, normalised: Callable[[Tensor], Tensor]) -> None:
        pixels, self._targets = examples
        self._padded = functional.pad(pixels, (PADDING,) * 4)  # once: 56 % more memory, and no copy at each step
        self._normalised = normalised
        self._epochs = Epochs(len(self._targets), batch_size, self._targets.device)
        device = pixels.device
        self._channels = torch.arange(pixels.shape[1], device=device).view(1, -1, 1, 1)
        self._rows = torch.arange(pixels.shape[2], device=device)
        self._columns = torch.arange(pixels.shape[3], device=device)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        epoch, place = self._epochs.place(step)
        chosen = self._epochs.order(seed, epoch)[place]
        numbers = draw(seed, step, STREAM, len(chosen), device=chosen.device)
        return self._cropped(chosen, numbers), self._targets[chosen]

    def feed(self) -> Feed:
        many = self._epochs.many()

        def batches(seeds: Sequence[int], steps: Sequence[int]) -> Examples:
            chosen = many(seeds, steps)
            numbers = draw(seeds, steps, STREAM, chosen.shape[1], device=chosen.device)
            pixels = self._cropped(chosen.flatten(), numbers.flatten())
            return pixels.view(*chosen.shape, *pixels.shape[1:]), self._targets[chosen]

        return batches

    def _cropped(self, chosen: Tensor, numbers: Tensor) -> Tensor:
        """Shift and mirror are ways to count rows and columns, so that one gather does both."""
        places = 2 * PADDING + 1
        down = numbers % places
        right = numbers // places % places
        mirrored = numbers // places**2 % 2 == 1
        rows = self._rows + down.unsqueeze(1)
        columns = torch.where(mirrored.unsqueeze(1), self._columns.flip(0), self._columns) + right.unsqueeze(1)
        return self._normalised(
            self._padded[chosen.view(-1, 1, 1, 1), self._channels, rows[:, None, :, None], columns[:, None, None, :]]
        )


def _random_examples(n: int, shape: tuple[int, int, int], classes: int, *, seed: int) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(0, classes, (n,), generator=generator)
