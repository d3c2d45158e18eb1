from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.course import Floats, State
from lrsweep.schedules.kinds import UNIT, Interval, Kind, Numbers, Whole
from lrsweep.schedules.reactive.base import BETWEEN, Reactive
from lrsweep.schedules.reactive.columns import Columns
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True)
class Levels:
    """A set of numbers, the largest first: the order in which they were given carries no meaning."""

    numbers: Numbers

    def __str__(self) -> str:
        return str(self.numbers)

    def read(self, given: object) -> tuple[float, ...]:
        return tuple(sorted(self.numbers.read(given), reverse=True))


@dataclass(frozen=True, kw_only=True, repr=False)
class Threshold(Reactive):
    """Times ``gamma`` for each level that the metric reaches for the first time.

    A metric that passes two levels at once drops the rate twice; one that falls back behind a level raises nothing.
    """

    family: ClassVar[str] = "threshold"
    formula: ClassVar[str] = "base·gamma^n, n: levels that the metric has reached"
    source: ClassVar[str] = "common practice by hand: lower the rate once a known loss or accuracy is reached"
    use: ClassVar[str] = "When earlier trainings have shown at which losses a smaller rate begins to pay."
    simplicity: ClassVar[int] = 220

    levels: tuple[float, ...] = setting(
        (1.0, 0.5, 0.25),
        allowed=Levels(Numbers(each=Interval(low=-1e12, high=1e12), most=1000)),
        search=Search(0.02, 3.0, log=True),
        meaning="the metrics at which the rate drops, in any order; the default suits a cross-entropy loss",
    )
    gamma: float = setting(
        0.3, allowed=BETWEEN, search=Search(0.05, 0.7, log=True), meaning="what each drop multiplies the rate by"
    )

    def begin(self) -> State:
        return {"reached": 0, "multiplier": 1.0}

    def state_kinds(self) -> Mapping[str, Kind]:
        return {"reached": Whole(low=0, high=len(self.levels)), "multiplier": UNIT}

    def constants(self) -> Mapping[str, float | tuple[float, ...]]:
        return {"direction": self.direction, "gamma": self.gamma, "levels": self.levels}

    @classmethod
    def advanced(cls, own: Columns, state: Columns, metric: Floats) -> Columns:
        direction = own["direction"][:, np.newaxis]
        attained = (direction * metric[:, np.newaxis] >= direction * own["levels"]).sum(axis=1)
        reached = np.maximum(state["reached"], attained)
        multiplier = state["multiplier"]
        # One after the other, as single drops would: a power rounds differently, and not the same on every machine.
        for place in range(own["levels"].shape[1]):
            multiplier = np.where(place < reached - state["reached"], multiplier * own["gamma"], multiplier)
        return {"reached": reached, "multiplier": multiplier}
