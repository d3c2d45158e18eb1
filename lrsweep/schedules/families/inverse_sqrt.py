from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import Interval
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class InverseSqrt(Schedule):
    """Falls as one over the root of the time.

    Noam's rate, with a warm-up of w steps and a decay of D, is ``timescale`` w/D: it goes on from the warm-up as if the
    clock had begun with that.
    """

    family: ClassVar[str] = "inverse_sqrt"
    formula: ClassVar[str] = "√(timescale / (timescale + u))"
    source: ClassVar[str] = "Vaswani et al. 2017, arXiv:1706.03762 (Noam); transformers' inverse_sqrt"
    use: ClassVar[str] = "For transformers whose horizon is not known yet: it hardly depends on where the end is."
    simplicity: ClassVar[int] = 36

    timescale: float = setting(
        0.1,
        allowed=Interval(low=0, high=1e6, open_low=True),
        search=Search(0.01, 1.0, log=True),
        meaning="the stretch of the decay's own clock after which the rate is down to √(1/2)",
    )

    def decay(self, u: Floats) -> Floats:
        return np.sqrt(self.timescale / (self.timescale + u))
