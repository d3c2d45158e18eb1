from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Floats, Schedule
from lrsweep.schedules.setting import ABOVE_ZERO, Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Wsd(Schedule):
    """Warm-up, stable, decay: the peak for most of the training, then a straight line to 0."""

    family: ClassVar[str] = "wsd"
    formula: ClassVar[str] = "min(1, (1 - u) / cooldown)"
    source: ClassVar[str] = "Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392"
    use: ClassVar[str] = (
        "When one long training shall give results at several horizons: only the cool-down is repeated."
    )
    simplicity: ClassVar[int] = 40

    cooldown: float = setting(
        0.2,
        allowed=ABOVE_ZERO,
        search=Search(0.05, 0.6),
        meaning="the fraction of the decay's own clock that the final descent to 0 takes",
    )

    def decay(self, u: Floats) -> Floats:
        # The quotient of two numbers that are at most `cooldown`: it cannot overflow however short the cool-down is.
        return np.minimum(1.0 - u, self.cooldown) / self.cooldown
