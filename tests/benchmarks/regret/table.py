"""A table of trainings as a replay reads it: what a look at a point costs, and what it shows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lrsweep.records import Json

TRUTH = Path(__file__).parent / "truth"

Kind = Literal["full", "third", "ninth", "third_own", "ninth_own", "annealed_third", "annealed_ninth"]
"""A full training; a whole schedule compressed to a third or a ninth, at the raised rate or at the point's own; and one
that is cut off there and then cooled down in a short while."""

FULL_SEEDS = 5
SEARCH_SEEDS = 2
"""The first ones: those that a search sees. The others are the finalists' fresh ones."""
EVALUATIONS = 18
"""Of a full training: after each 20 updates, so that one falls on a third and one on a ninth."""
RATE_EXPONENTS = {"sgd": 0.5, "adamw": 0.15}
"""What rates were raised by in the compressed trainings of the tables; lrsweep's own may have changed since."""
FINAL_SEEDS = 9
"""Of the seeds that a table got later (``more.py``): finals have the first ones, the truth the others."""
ANNEAL = 0.2
"""The cool-down of a cut-off training's copy, as a share of what it has trained."""


@dataclass(frozen=True)
class Seen:
    """One training's end: its value, None where it diverged, and the updates that it took."""

    value: float | None
    steps: int


@dataclass(frozen=True, eq=False)
class Table:
    """All that was trained of one workload."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, name: str) -> Table:
        with np.load(TRUTH / f"{name}.npz", allow_pickle=False) as found:
            arrays = {key: found[key] for key in found.files if key != "meta"}
            return cls(json.loads(str(found["meta"])), arrays)

    @property
    def params(self) -> list[dict[str, Json]]:
        found: list[dict[str, Json]] = self.meta["params"]
        return found

    @property
    def horizon(self) -> int:
        found: int = self.meta["facts"]["horizon"]
        return found

    @cached_property
    def own_truth(self) -> NDArray[np.float64]:
        """By point: the mean loss at the end over the table's own seeds and both halves of validation; infinite where
        one diverged."""
        return _means(self._own)

    @cached_property
    def truth(self) -> NDArray[np.float64]:
        """The same by seeds that no search and no final sees, where the table has such (``more.py``)."""
        return _means(self._later) if self.has_later else self.own_truth

    @cached_property
    def noise(self) -> float:
        """The standard error of a good point's truth, as a part of the scale: the median over the better half."""
        by_seed = self._later if self.has_later else self._own
        better = np.argsort(self.truth, kind="stable")[: len(self.params) // 2]
        errors = by_seed[better].std(axis=1, ddof=1) / math.sqrt(by_seed.shape[1])
        return float(np.nanmedian(errors) / self.scale)

    @property
    def seeds_of_truth(self) -> int:
        """Of each point."""
        return int((self._later if self.has_later else self._own).shape[1])

    @property
    def has_later(self) -> bool:
        """Whether it got seeds later, so that finals have more than three fresh ones."""
        return "more" in self.arrays

    @property
    def _own(self) -> NDArray[np.float64]:
        """By point and seed of its own, the loss at the end over both halves of validation."""
        found: NDArray[np.float64] = (self.arrays["curves"][:, :, -1].astype(np.float64) + self.arrays["decide"]) / 2
        return found

    @property
    def _later(self) -> NDArray[np.float64]:
        """The same by the seeds that came later and that no final sees."""
        found: NDArray[np.float64] = self.arrays["more"][:, FINAL_SEEDS:].astype(np.float64).mean(axis=2)
        return found

    def fresh(self, number: int) -> int:
        """The seed for the n-th fresh one: those that no search has seen, and then, for want of more, all."""
        seeds = FULL_SEEDS + (FINAL_SEEDS if self.has_later else 0)
        return (SEARCH_SEEDS + number) % seeds

    @cached_property
    def scale(self) -> float:
        """What a regret of 1 is: from the pool's best point to its median."""
        return float(np.median(self.truth) - self.truth.min())

    def regret(self, point: int) -> float:
        return float((self.truth[point] - self.truth.min()) / self.scale)

    def compressed(self, point: int, seed: int, share: int, *, own_rate: bool = False) -> Seen:
        """A whole schedule in 1/``share`` of the horizon."""
        kind = {3: "third", 9: "ninth"}[share] + ("_own" if own_rate else "")
        return self._seen(self.arrays[kind][point, seed], self.arrays[f"{kind}_steps"][point, seed])

    def annealed(self, point: int, seed: int, share: int) -> Seen:
        """A cut-off training's copy after its cool-down; its steps are those of both."""
        kind = {3: "annealed_third", 9: "annealed_ninth"}[share]
        return self._seen(self.arrays[kind][point, seed], self.arrays[f"{kind}_steps"][point, seed])

    def cut(self, point: int, seed: int, share: int) -> Seen:
        """A full-length schedule as it stands after 1/``share`` of its horizon."""
        steps = min(self.horizon // share, int(self.arrays["steps"][point, seed]))
        return self._seen(self.arrays["curves"][point, seed, EVALUATIONS // share - 1], steps)

    def full(self, point: int, seed: int) -> Seen:
        """At the end of the horizon."""
        if seed >= FULL_SEEDS:
            later = seed - FULL_SEEDS
            return self._seen(self.arrays["more"][point, later, 0], self.arrays["more_steps"][point, later])
        return self._seen(self.arrays["curves"][point, seed, -1], self.arrays["steps"][point, seed])

    def decided(self, point: int, seed: int) -> Seen:
        """The same on the other half of validation; a seed beyond the first ones is one that all points got later."""
        if seed >= FULL_SEEDS:
            later = seed - FULL_SEEDS
            return self._seen(self.arrays["more"][point, later, 1], self.arrays["more_steps"][point, later])
        return self._seen(self.arrays["decide"][point, seed], self.arrays["steps"][point, seed])

    @staticmethod
    def _seen(value: Any, steps: Any) -> Seen:
        return Seen(float(value) if np.isfinite(value) else None, int(steps))


def _means(by_seed: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(by_seed).all(axis=1), by_seed.mean(axis=1), math.inf)
