from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import UNIT, Interval, Numbers
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Piecewise(Schedule):
    """One factor per interval: the first until the first border, each next one from its border on."""

    family: ClassVar[str] = "piecewise"
    formula: ClassVar[str] = "values[n], n: how many of `at` are u or less, counted from 0"
    source: ClassVar[str] = "Keras's PiecewiseConstantDecay; optax's piecewise_constant_schedule"
    use: ClassVar[str] = "When a recipe names the rate of each stage, the same ratio from one to the next or not."
    simplicity: ClassVar[int] = 67

    # Open ends: a border at 0 or at 1 would leave a value without an interval.
    at: tuple[float, ...] = setting(
        (0.5, 0.8),
        allowed=Numbers(each=Interval(low=0, high=1, open_low=True, open_high=True), ascending=True),
        search=Search(0.05, 0.95),
        meaning="the borders between the intervals, on the decay's own clock",
    )
    values: tuple[float, ...] = setting(
        (1.0, 0.3, 0.05),
        allowed=Numbers(each=UNIT, least=2),
        search=Search(0.001, 1.0, log=True),
        meaning="the factor in each interval, one more than there are borders",
    )

    def decay(self, u: Floats) -> Floats:
        interval = np.searchsorted(self.at, u + TIE, side="right")
        return np.asarray(self.values)[interval]

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        borders, given = len(values["at"]), len(values["values"])
        if given == borders + 1:
            return []
        return [f"at has {borders} and values has {given}; wanted one value more than there are borders, {borders + 1}"]
