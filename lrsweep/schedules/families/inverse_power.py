from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.families.inverse_time import DECAY
from lrsweep.schedules.kinds import Interval
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class InversePower(Schedule):
    """One over a power of the time: with ``p`` above 1 it holds at first, falls, and flattens; 1 is inverse_time."""

    family: ClassVar[str] = "inverse_power"
    formula: ClassVar[str] = "1 / (1 + d·u^p)"
    source: ClassVar[str] = "inverse_time with a power of its time; we know of no library that has it"
    use: ClassVar[str] = "When inverse_time falls too early: p moves the fall, d says how deep it goes."
    simplicity: ClassVar[int] = 38

    d: float = setting(
        10.0,
        allowed=DECAY,
        search=Search(1.0, 1000.0, log=True),
        meaning="how far it falls: the factor at the end is 1 / (1 + d)",
    )
    p: float = setting(
        2.0,
        allowed=Interval(low=0, high=100, open_low=True),
        search=Search(0.5, 4.0, log=True),
        meaning="the power of the time: the larger, the later and steeper the fall",
    )

    def decay(self, u: Floats) -> Floats:
        return 1.0 / (1.0 + self.d * np.power(u, self.p))
