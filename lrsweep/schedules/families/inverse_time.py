from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import Interval
from lrsweep.schedules.setting import Search, setting

DECAY = Interval(low=0, high=1e9)
"""At 1e9 the first of a million steps already takes all but a thousandth of the rate."""


@dataclass(frozen=True, kw_only=True, repr=False)
class InverseTime(Schedule):
    """Falls as one over the time: fast at first, ever slower, and never to 0."""

    family: ClassVar[str] = "inverse_time"
    formula: ClassVar[str] = "1 / (1 + d·u)"
    source: ClassVar[str] = "Robbins, Monro 1951 (steps that fall as 1/t); Keras's InverseTimeDecay with d = rate·T"
    use: ClassVar[str] = "For convex problems and online learning, where theory asks for a rate that falls as 1/t."
    simplicity: ClassVar[int] = 33

    d: float = setting(
        10.0,
        allowed=DECAY,
        search=Search(1.0, 1000.0, log=True),
        meaning="how far it falls: the factor at the end is 1 / (1 + d)",
    )

    def decay(self, u: Floats) -> Floats:
        return 1.0 / (1.0 + self.d * u)
