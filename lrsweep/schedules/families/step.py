from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import ABOVE_ZERO, Interval
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Step(Schedule):
    """A staircase: times ``gamma`` at each multiple of ``every``, the one at 1 included."""

    family: ClassVar[str] = "step"
    formula: ClassVar[str] = "gamma^floor(u / every)"
    source: ClassVar[str] = "He et al. 2015, arXiv:1512.03385 (a tenth at fixed steps); PyTorch's StepLR"
    use: ClassVar[str] = "For convolutional networks with long trainings, and to repeat older published recipes."
    simplicity: ClassVar[int] = 60

    every: float = setting(
        1 / 3,
        allowed=Interval(low=1e-6, high=1),
        search=Search(0.1, 0.5),
        meaning="the fraction of the decay's own clock between two drops",
    )
    gamma: float = setting(
        0.1, allowed=ABOVE_ZERO, search=Search(0.05, 0.7, log=True), meaning="what each drop multiplies the rate by"
    )

    def decay(self, u: Floats) -> Floats:
        return np.power(self.gamma, np.floor((u + TIE) / self.every))
