from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import ABOVE_ZERO, Numbers
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class MultiStep(Schedule):
    """Times ``gamma`` at each of the given places; at a place that is given twice, twice."""

    family: ClassVar[str] = "multistep"
    formula: ClassVar[str] = "gamma^n, n: how many of `at` are u or less"
    source: ClassVar[str] = "He et al. 2015, arXiv:1512.03385 (a tenth at 1/2 and 3/4); PyTorch's MultiStepLR"
    use: ClassVar[str] = "To repeat a published recipe that says where the rate drops."
    simplicity: ClassVar[int] = 64

    at: tuple[float, ...] = setting(
        (0.5, 0.75),
        allowed=Numbers(each=ABOVE_ZERO, ascending=True),
        search=Search(0.2, 0.95),
        meaning="where on the decay's own clock the rate drops",
    )
    gamma: float = setting(
        0.1, allowed=ABOVE_ZERO, search=Search(0.05, 0.7, log=True), meaning="what each drop multiplies the rate by"
    )

    def decay(self, u: Floats) -> Floats:
        drops = np.searchsorted(self.at, u + TIE, side="right")
        return np.power(self.gamma, np.arange(len(self.at) + 1))[drops]
