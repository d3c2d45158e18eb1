from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.cooldowns import COOLDOWNS
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import ABOVE_ZERO, Choice, Length
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Wsd(Schedule):
    """Warm-up, stable, decay: the peak for most of the training, then down to 0 along a line or another shape."""

    family: ClassVar[str] = "wsd"
    formula: ClassVar[str] = (
        "1, then with x = (u - 1 + cooldown) / cooldown: "
        "1 - x (linear), (1 + cos(πx)) / 2, 1 - √x or 2·(1/2)^x - 1 (exponential)"
    )
    source: ClassVar[str] = (
        "Hu et al. 2024, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392 (1-sqrt); Megatron-LM (exponential)"
    )
    use: ClassVar[str] = (
        "When one long training shall give results at several horizons: only the cool-down is repeated."
    )
    simplicity: ClassVar[int] = 40

    cooldown: float | str = setting(
        0.2,
        allowed=Length(ABOVE_ZERO),
        search=Search(0.05, 0.6),
        meaning="how much of the decay's own clock the final descent to 0 takes",
    )
    # Not searched: a search of the shape would be another generation of every study that has this family.
    shape: str = setting(
        "linear", allowed=Choice(tuple(COOLDOWNS)), implied=True, meaning="the curve along which the cool-down falls"
    )

    def decay(self, u: Floats) -> Floats:
        cooldown = float(self.cooldown)
        # The quotient of two numbers that are at most `cooldown`: it cannot overflow however short the cool-down is.
        x = 1.0 - np.minimum(1.0 - u, cooldown) / cooldown
        # A root makes much of the little that rounding leaves at the beginning.
        begins = (x * cooldown < TIE) & (x < 0.5)
        return COOLDOWNS[self.shape](np.where(begins, 0.0, x))
