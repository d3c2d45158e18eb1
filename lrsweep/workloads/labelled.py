"""Examples with a label each, all of them on the device: how they are cut into parts, shuffled and evaluated.

Parts.cut(inputs, targets, …) ──train──> Shuffled.batch(seed, step), and of many trainings at once Shuffled.feed()
                              └─held out──> HeldOut.evaluate(model, half), HeldOut.evaluate_many(forward, half),
                                            HeldOut.example_losses(forward, half)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lrsweep.workloads.base import Feed, Forward, Half, evaluating
from lrsweep.workloads.draw import epoch_order, uploaded
from lrsweep.workloads.facts import METRICS as METRICS
from lrsweep.workloads.facts import check_batch_size, hash_of_arrays

Examples = tuple[Tensor, Tensor]
"""Inputs and targets, as many of one as of the other."""
Ready = Callable[[Tensor], Tensor]
"""From inputs as they lie on the device to what the model takes: bytes become numbers only where they are used."""
Orders = Callable[[Sequence[int], Sequence[int]], Tensor]
"""From the seeds and the epochs of several trainings to the orders of their examples, one in each row."""

CHUNK = 1000
"""Examples that are evaluated at once: enough to fill a device, few enough for its memory."""
MOST_EXAMPLES = 50_000
"""Of which the losses are kept one by one: 200 kB a training. Where there are more, what other examples would say
differs less than what other seeds would."""


def as_they_are(inputs: Tensor) -> Tensor:
    return inputs


@dataclass(frozen=True)
class Parts:
    train: Examples
    held_out: Mapping[Half, Examples]

    @classmethod
    def cut(
        cls, inputs: Tensor, targets: Tensor, *, train: int, held_out: int, seed: int, device: torch.device
    ) -> Parts:
        """One set in four: ``train`` examples, and three times ``held_out``. The seed is the workload's, for ever."""
        order = epoch_order(seed, 0, len(targets))
        inputs, targets = inputs[order].to(device), targets[order].to(device)

        def part(begin: int, length: int) -> Examples:
            return inputs[begin : begin + length], targets[begin : begin + length]

        halves: tuple[Half, ...] = ("search", "decide", "test")
        return cls(part(0, train), {half: part(train + k * held_out, held_out) for k, half in enumerate(halves)})


class Epochs:
    """Which examples a step takes: a fresh permutation per seed and epoch, its last part dropped."""

    def __init__(self, examples: int, batch_size: int, device: torch.device) -> None:
        check_batch_size(batch_size, examples)
        self.steps = examples // batch_size
        """per epoch"""
        self._batch_size = batch_size
        self._examples = examples
        self._device = device

        @lru_cache(maxsize=1)  # hundreds of steps take the same
        def order(seed: int, epoch: int) -> Tensor:
            return epoch_order(seed, epoch, examples, device=device)

        self.order = order

    def place(self, step: int) -> tuple[int, slice]:
        """The epoch of the step, and its stretch of the epoch's order."""
        epoch, position = divmod(step, self.steps)
        return epoch, slice(position * self._batch_size, (position + 1) * self._batch_size)

    def orders(self, seeds: Sequence[int], epochs: Sequence[int]) -> Tensor:
        return epoch_order(seeds, epochs, self._examples, device=self._device)

    def many(self, orders: Orders | None = None) -> Callable[[Sequence[int], Sequence[int]], Tensor]:
        """From the seeds and the steps of K trainings to what each of them takes: ``[K, batch]``.

        The orders lie in one table. A training's row is made again when its seed or its epoch is another one; the rows
        that are due at the same step, together.
        """
        made = self.orders if orders is None else orders
        held: list[tuple[int, int]] = []
        table = torch.empty(0)

        def chosen(seeds: Sequence[int], steps: Sequence[int]) -> Tensor:
            nonlocal held, table
            places = [divmod(step, self.steps) for step in steps]
            wanted = [(seed, epoch) for seed, (epoch, _) in zip(seeds, places, strict=True)]
            if len(wanted) != len(held):
                held, table = wanted, self._stretches(made(*zip(*wanted, strict=True)))
            elif wanted != held:
                due = [slot for slot, (new, old) in enumerate(zip(wanted, held, strict=True)) if new != old]
                rows = self._stretches(made(*zip(*(wanted[slot] for slot in due), strict=True)))
                table.index_copy_(0, uploaded(np.array(due), self._device), rows)
                held = wanted
            stretches = [slot * self.steps + position for slot, (_, position) in enumerate(places)]
            return table.flatten(0, 1).index_select(0, uploaded(np.array(stretches), self._device))

        return chosen

    def _stretches(self, rows: Tensor) -> Tensor:
        """One after the other along a dimension of their own, without the last part: ``[rows, steps, batch]``."""
        return rows[:, : self.steps * self._batch_size].reshape(len(rows), self.steps, self._batch_size)


class Shuffled:
    """Batches of examples that need nothing done to them."""

    def __init__(self, examples: Examples, batch_size: int, ready: Ready = as_they_are) -> None:
        self._inputs, self._targets = inputs, targets = examples
        self._ready = ready
        self._epochs = epochs = Epochs(len(targets), batch_size, targets.device)

        # Once an epoch: slices are cheaper than two gathers at each step. It costs a copy of the part as the model
        # takes it, on the device, and two while the next one is made: for mnist's bytes, which become floats, 157 MB
        # each beside the 39 MB of the part itself.
        @lru_cache(maxsize=1)
        def shuffled(seed: int, epoch: int) -> Examples:
            order = epochs.order(seed, epoch)
            return ready(inputs[order]), targets[order]

        self._shuffled = shuffled

    def batch(self, seed: int, step: int) -> Examples:
        epoch, place = self._epochs.place(step)
        inputs, targets = self._shuffled(seed, epoch)
        return inputs[place], targets[place]

    def feed(self) -> Feed:
        chosen = self._epochs.many()

        def batches(seeds: Sequence[int], steps: Sequence[int]) -> Examples:
            places = chosen(seeds, steps)
            inputs = self._ready(self._inputs.index_select(0, places.flatten()))
            return inputs.view(*places.shape, *inputs.shape[1:]), self._targets[places]

        return batches


class HeldOut:
    """The parts that are never trained on."""

    def __init__(self, parts: Mapping[Half, Examples], ready: Ready = as_they_are) -> None:
        self._parts = parts
        self._ready = ready

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        with evaluating(model):
            [metrics] = self.evaluate_many(lambda inputs: model(inputs).unsqueeze(0), half)
        return metrics

    def evaluate_many(self, forward: Forward, half: Half) -> list[dict[str, float]]:
        """Of each model loss and accuracy over the examples; recall and precision as means over the classes."""
        inputs, targets = self._parts[half]
        sums: Tensor | None = None
        classes = 0
        for begin in range(0, len(targets), CHUNK):
            outputs = forward(self._ready(inputs[begin : begin + CHUNK])).float()
            labels = targets[begin : begin + CHUNK]
            said = outputs.argmax(dim=-1)
            losses = torch.stack([functional.cross_entropy(each, labels) for each in outputs])
            of_chunk = torch.stack([losses, (said == labels).float().mean(dim=-1)], dim=1)
            models, classes = len(outputs), outputs.shape[-1]
            row = torch.arange(models, device=labels.device).unsqueeze(1) * classes + labels
            pairs = (row * classes + said).flatten()
            counts = torch.zeros(models * classes**2, dtype=torch.float64, device=labels.device)
            counts.scatter_add_(0, pairs, torch.ones_like(pairs, dtype=torch.float64))  # bincount would wait for a GPU
            means = of_chunk.double() * (len(labels) / len(targets))
            found = torch.cat([means, counts.view(models, classes**2)], dim=1)
            sums = found + (0.0 if sums is None else sums)
        assert sums is not None
        return [_metrics(each, classes) for each in sums.cpu().numpy()]

    def example_losses(self, forward: Forward, half: Half) -> Tensor | None:
        """Of each model and example; None where there are more than ``MOST_EXAMPLES``."""
        inputs, targets = self._parts[half]
        if len(targets) > MOST_EXAMPLES:
            return None
        chunks = []
        for begin in range(0, len(targets), CHUNK):
            outputs = forward(self._ready(inputs[begin : begin + CHUNK])).float()
            labels = targets[begin : begin + CHUNK]
            chunks.append(torch.stack([functional.cross_entropy(each, labels, reduction="none") for each in outputs]))
        return torch.cat(chunks, dim=1)


def _metrics(sums: NDArray[np.float64], classes: int) -> dict[str, float]:
    """Loss, accuracy and the confusion of one model, as they lie side by side."""
    recall, precision = macro(sums[2:].astype(np.int64).reshape(classes, classes))
    return {"loss": float(sums[0]), "acc": float(sums[1]), "recall": recall, "precision": precision}


def macro(confusion: NDArray[np.int64]) -> tuple[float, float]:
    """Recall and precision, means over the classes that are there; ``confusion`` counts [what it is, what was said].

    The precision of a class that was never said is 0.

    >>> macro(np.array([[3, 1], [0, 4]]))  # recalls 3/4 and 4/4, precisions 3/3 and 4/5
    (0.875, 0.9)
    """
    hits, there, said = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    is_there = there > 0
    recalls = hits[is_there] / there[is_there]
    precisions = hits[is_there] / np.maximum(said[is_there], 1)
    return float(recalls.mean()), float(precisions.mean())


def hash_of(*arrays: NDArray[np.generic] | Tensor) -> str:
    """SHA-256 of the bytes, one array after the other."""
    return hash_of_arrays(*(array.cpu().numpy() if isinstance(array, Tensor) else array for array in arrays))
