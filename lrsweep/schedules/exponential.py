from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Floats, Schedule
from lrsweep.schedules.setting import ABOVE_ZERO, Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Exponential(Schedule):
    """The same ratio from each step to the next, from the peak to ``final``."""

    family: ClassVar[str] = "exponential"
    formula: ClassVar[str] = "final^u"
    source: ClassVar[str] = "common practice; PyTorch's ExponentialLR with gamma = final^(1/T)"
    use: ClassVar[str] = "When the right rate spans orders of magnitude and early fast decay does no harm."
    simplicity: ClassVar[int] = 30

    final: float = setting(
        0.01, allowed=ABOVE_ZERO, search=Search(1e-4, 0.5, log=True), meaning="the factor at the end of the decay"
    )

    def decay(self, u: Floats) -> Floats:
        return np.power(self.final, u)
