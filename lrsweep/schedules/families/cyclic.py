from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import ABOVE_ZERO, UNIT, Choice, Interval, Whole
from lrsweep.schedules.momentum import MomentumCycling
from lrsweep.schedules.setting import Options, Search, setting

MODES = ("triangular", "triangular2", "exp_range")


@dataclass(frozen=True, kw_only=True, repr=False)
class Cyclic(MomentumCycling):
    """Straight up from ``low`` to the peak and straight down again, several times.

    The height of the cycles stays (triangular), halves from one to the next (triangular2), or falls exponentially all
    the time (exp_range). PyTorch's CyclicLR cycles the momentum unless told otherwise; this does when told.
    """

    family: ClassVar[str] = "cyclic"
    formula: ClassVar[str] = (
        "low + (1 - low)·a·h, h: up from 0 to 1 in the first `rise` of each cycle and down in the rest; "
        "a: 1, (1/2)^k in cycle k = 0, 1, … (triangular2), or final^u (exp_range)"
    )
    source: ClassVar[str] = "Smith 2017, arXiv:1506.01186; PyTorch's CyclicLR"
    use: ClassVar[str] = "When the right peak is uncertain: each cycle visits small and large rates."
    simplicity: ClassVar[int] = 76

    mode: str = setting(
        "triangular", allowed=Choice(MODES), search=Options(MODES), meaning="what becomes of the height of the cycles"
    )
    cycles: int = setting(
        4, allowed=Whole(low=1, high=1000), search=Search(1, 8, whole=True), meaning="how many times up and down"
    )
    low: float = setting(
        0.1, allowed=UNIT, search=Search(0.01, 0.5, log=True), meaning="the factor where each cycle begins and ends"
    )
    rise: float = setting(
        0.5,
        allowed=Interval(low=1e-6, high=1 - 1e-6),
        search=Search(0.1, 0.6),
        meaning="the share of a cycle in which the rate goes up",
    )
    final: float = setting(
        0.1,
        allowed=ABOVE_ZERO,
        search=Search(0.01, 0.5, log=True),
        meaning="the fraction of the height that is left at the end, in mode exp_range; others take no notice",
    )

    def decay(self, u: Floats) -> Floats:
        return self.low + (1.0 - self.low) * self.height(u)

    def height(self, u: Floats) -> Floats:
        # A cycle ends as low as the next one begins, so that it does not matter to which of them rounding puts a step.
        cycle = np.floor(u * self.cycles)
        return self._amplitude(u, cycle) * np.interp(u * self.cycles - cycle, [0.0, self.rise, 1.0], [0.0, 1.0, 0.0])

    def _amplitude(self, u: Floats, cycle: Floats) -> Floats:
        if self.mode == "triangular2":
            return np.power(0.5, cycle)
        return np.power(self.final, u) if self.mode == "exp_range" else np.ones_like(u)
