"""What workloads say of themselves is put together with these; loads no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import InvalidInput
from lrsweep.records import Direction, WorkloadFacts
from lrsweep.workloads.horizon import steps_of

METRICS: Mapping[str, Direction] = {
    "loss": "minimize",
    "acc": "maximize",
    "recall": "maximize",
    "precision": "maximize",
}
"""Of examples with a label each."""


def with_horizon(facts: WorkloadFacts, horizon: str) -> WorkloadFacts:
    """The facts with their default horizon written as ``"30 epochs"``, ``"1e6 samples"`` or ``"2M tokens"``."""
    return replace(facts, horizon=steps_of(horizon, facts))


def peak_ranges(*, sgd: tuple[float, float], adam: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """A range of peak rates for every optimizer, from one for SGD with momentum 0.9 and one for Adam.

    Momentum 0.9 adds up ten gradients, so SGD without it, or with a dampening of 0.9, wants rates ten times as large.
    """
    low, high = sgd
    plain = (10 * low, 10 * high)
    return {
        "sgd": sgd,
        "nesterov": sgd,
        "sgd_plain": plain,
        "sgd_dampened": plain,
        "adamw": adam,
        "adam": adam,
        "rmsprop": adam,
    }


def check_batch_size(batch_size: int, examples: int) -> None:
    """Raises InvalidInput where not even one batch could be filled."""
    if batch_size > examples:
        raise InvalidInput(
            f"batch_size {batch_size} is more than the {examples} examples to train on. Give a smaller one."
        )


def hash_of_arrays(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 of the bytes, one array after the other."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
