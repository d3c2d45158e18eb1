from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.course import Floats, State
from lrsweep.schedules.kinds import ABOVE_ZERO, BELOW_ONE, UNIT, Kind, Whole
from lrsweep.schedules.reactive.base import BETWEEN, Heard, Reactive, improved
from lrsweep.schedules.reactive.columns import Columns
from lrsweep.schedules.setting import Search, setting

SMALLEST = float(np.finfo(np.float64).tiny)
"""A multiplier that went down to 0 could not come up again."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Greedy(Reactive):
    """Up, by 1/``gamma``, while the metric improves on the best so far, and down, by ``gamma``, while it does not.

    The multiplier lies between the floor and 1. It stops at the floor and does not sink on unseen below it, so that the
    first improvement after a bad stretch raises the rate. The first finite metric counts as an improvement.
    """

    family: ClassVar[str] = "greedy"
    formula: ClassVar[str] = "base·m; m ← min(1, m / gamma) after an improvement, else max(floor, m·gamma)"
    source: ClassVar[str] = "GreedyLR: Subramanian et al. 2025, arXiv:2512.14527; without its smoothing and its reset"
    use: ClassVar[str] = "When the right size of the rate is not known, or changes, as in fine-tuning on a new task."
    simplicity: ClassVar[int] = 240

    start: float = setting(
        0.5,
        allowed=ABOVE_ZERO,
        search=Search(0.1, 1.0, log=True),
        meaning="the multiplier before the first metric: the fraction of the peak to begin at",
    )
    gamma: float = setting(
        0.8,
        allowed=BETWEEN,
        search=Search(0.5, 0.98),
        meaning="what a step down multiplies by, and a step up divides by",
    )
    patience: int = setting(
        0,
        allowed=Whole(low=0, high=1_000_000),
        search=Search(0, 5, whole=True),
        meaning="how many evaluations of one kind in a row change nothing; the next one moves the rate",
    )
    threshold: float = setting(
        0.0,
        allowed=BELOW_ONE,
        search=Search(0.0, 0.01),
        meaning="by what fraction of the best a metric must be better to count as an improvement",
    )

    def begin(self) -> State:
        return {"best": None, "good": 0, "bad": 0, "multiplier": max(self.start, self.floor)}

    def state_kinds(self) -> Mapping[str, Kind]:
        row = Whole(low=0, high=self.patience)
        return {"best": Heard(), "good": row, "bad": row, "multiplier": UNIT}

    def constants(self) -> Mapping[str, float | tuple[float, ...]]:
        return {
            "direction": self.direction,
            "gamma": self.gamma,
            "patience": self.patience,
            "threshold": self.threshold,
            "lowest": max(self.floor, SMALLEST),
        }

    @classmethod
    def advanced(cls, own: Columns, state: Columns, metric: Floats) -> Columns:
        better = improved(metric, state["best"], own["direction"], own["threshold"], relative=True)
        good = np.where(better, state["good"] + 1, 0)
        bad = np.where(better, 0, state["bad"] + 1)
        rises, sinks = good > own["patience"], bad > own["patience"]
        with np.errstate(over="ignore"):  # a quotient beyond the largest float is above 1 all the same
            risen = np.minimum(1.0, state["multiplier"] / own["gamma"])
        sunk = np.maximum(own["lowest"], state["multiplier"] * own["gamma"])
        return {
            "best": np.where(better, metric, state["best"]),
            "good": np.where(rises, 0, good),
            "bad": np.where(sinks, 0, bad),
            "multiplier": np.where(rises, risen, np.where(sinks, sunk, state["multiplier"])),
        }
