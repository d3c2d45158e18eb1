from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import Interval
from lrsweep.schedules.setting import Search, setting

ARGUMENTS = Interval(low=-100, high=100)


@dataclass(frozen=True, kw_only=True, repr=False)
class Tanh(Schedule):
    """A stretch of a falling hyperbolic tangent: near the peak for long, then a fast fall that flattens out.

    It begins and ends a little inside 1 and 0, at (1 - tanh(low)) / 2 and (1 - tanh(high)) / 2.
    """

    family: ClassVar[str] = "tanh"
    formula: ClassVar[str] = "(1 - tanh(low·(1 - u) + high·u)) / 2"
    source: ClassVar[str] = "Hsueh et al. 2018, arXiv:1806.01593; timm's TanhLRScheduler (lb, ub)"
    use: ClassVar[str] = "For image classifiers in long trainings, as a cosine whose fall can be moved."
    simplicity: ClassVar[int] = 55

    low: float = setting(
        -7.0,
        allowed=ARGUMENTS,
        search=Search(-10.0, -2.0),
        meaning="the argument of tanh at the beginning: the smaller, the longer the rate stays near the peak",
    )
    high: float = setting(
        3.0,
        allowed=ARGUMENTS,
        search=Search(0.0, 5.0),
        meaning="the argument of tanh at the end: the larger, the nearer to 0 the rate ends",
    )

    def decay(self, u: Floats) -> Floats:
        return 0.5 * (1.0 - np.tanh(self.low * (1.0 - u) + self.high * u))

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        low, high = values["low"], values["high"]
        if low < high:
            return []
        return [f"low {low:g} is not below high {high:g}; wanted low below high, so that the rate falls"]
