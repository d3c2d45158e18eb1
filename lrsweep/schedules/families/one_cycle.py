from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.cooldowns import falling_cosine
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import UNIT, Interval
from lrsweep.schedules.momentum import MomentumCycling
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class OneCycle(MomentumCycling):
    """Up along a cosine from ``start`` to the peak, then down along another to ``final``.

    The shape and the defaults are those of PyTorch's OneCycleLR, whose own clock differs: there the last step, T - 1,
    is the end, and the peak lies at step rise·T - 1. There the momentum cycles unless told otherwise; here when told.
    """

    family: ClassVar[str] = "one_cycle"
    formula: ClassVar[str] = (
        "u < rise: start + (1 - start)·(1 - cos(πu/rise))/2; "
        "then final + (1 - final)·(1 + cos(π(u - rise)/(1 - rise)))/2"
    )
    source: ClassVar[str] = "Smith, Topin 2018, arXiv:1708.07120; PyTorch's OneCycleLR"
    use: ClassVar[str] = "For short trainings at a high peak rate; it brings its own warm-up."
    simplicity: ClassVar[int] = 70

    rise: float = setting(
        0.3,
        allowed=Interval(low=1e-6, high=1 - 1e-6),
        search=Search(0.1, 0.6),
        meaning="where on the decay's own clock the peak lies",
    )
    start: float = setting(
        0.04, allowed=UNIT, search=Search(0.004, 0.4, log=True), meaning="the factor at the beginning"
    )
    # Not searched: it stands for 0, and `floor` lifts it as in every family.
    final: float = setting(4e-6, allowed=UNIT, meaning="the factor at the end")

    def decay(self, u: Floats) -> Floats:
        foot = np.where(u < self.rise, self.start, self.final)
        return foot + (1.0 - foot) * self.height(u)

    def height(self, u: Floats) -> Floats:
        below_peak = np.interp(u, [0.0, self.rise, 1.0], [1.0, 0.0, 1.0])
        return falling_cosine(below_peak)
