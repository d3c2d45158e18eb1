from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.cooldowns import falling_cosine
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import ABOVE_ZERO, Interval, Whole
from lrsweep.schedules.setting import Search, setting

SHORTEST = 1e-6
"""A cycle on the decay's own clock: much shorter ones could not be told apart."""


@dataclass(frozen=True, kw_only=True, repr=False)
class CosineRestarts(Schedule):
    """Several cosines one after the other, each from its top to 0. The last ends where the training ends."""

    family: ClassVar[str] = "cosine_restarts"
    formula: ClassVar[str] = (
        "shrink^k·(1 + cos(πx)) / 2, x: progress in cycle k = 0, 1, …, "
        "whose length is multiplier^k / (1 + multiplier + … + multiplier^(cycles - 1))"
    )
    source: ClassVar[str] = (
        "Loshchilov, Hutter 2017, arXiv:1608.03983; PyTorch's CosineAnnealingWarmRestarts; "
        "Keras's CosineDecayRestarts (shrink)"
    )
    use: ClassVar[str] = "When models from the end of each cycle are wanted too, for an ensemble or to look at early."
    simplicity: ClassVar[int] = 73

    cycles: int = setting(
        3, allowed=Whole(low=1, high=1000), search=Search(2, 6, whole=True), meaning="how many cosines"
    )
    multiplier: float = setting(
        1.0,
        allowed=Interval(low=1, high=100),
        search=Search(1.0, 3.0),
        meaning="the length of each cycle as a multiple of the one before",
    )
    shrink: float = setting(
        1.0,
        allowed=ABOVE_ZERO,
        search=Search(0.3, 1.0),
        meaning="the height of each restart as a fraction of the one before",
    )

    def decay(self, u: Floats) -> Floats:
        lengths = cycle_lengths(self.cycles, self.multiplier)
        starts = np.cumsum(lengths) - lengths
        cycle = np.searchsorted(starts, u + TIE, side="right") - 1
        x = np.clip((u - starts[cycle]) / lengths[cycle], 0.0, 1.0)
        return np.power(self.shrink, np.arange(self.cycles))[cycle] * falling_cosine(x)

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        cycles, multiplier = values["cycles"], values["multiplier"]
        first = float(cycle_lengths(cycles, multiplier)[0])
        if first >= SHORTEST:
            return []
        return [
            f"cycles {cycles} with multiplier {multiplier:g} leave {first:.1g} of the decay's own clock "
            f"to the first cycle; wanted {SHORTEST:g} or more: fewer cycles, or a smaller multiplier"
        ]


def cycle_lengths(cycles: int, multiplier: float) -> Floats:
    """The cycles' shares of the clock. Counted from the last: powers of what is at most 1 cannot overflow."""
    relative = np.power(1.0 / multiplier, np.arange(cycles - 1, -1, -1))
    shares: Floats = relative / relative.sum()
    return shares
