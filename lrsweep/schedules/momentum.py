"""Families whose cycle may move the momentum too: low where the rate is high, and high where it is low."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from lrsweep.schedules.base import Schedule, shared_names
from lrsweep.schedules.clock import progress_of
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import BELOW_ONE, Flag
from lrsweep.schedules.setting import Setting, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class MomentumCycling(Schedule):
    """A rate that goes up and down between a foot and a peak. A search leaves the momentum to the optimizer."""

    cycle_momentum: bool = setting(
        False, allowed=Flag(), implied=True, meaning="whether the momentum (beta1 of Adam) moves against the rate"
    )
    momentum_low: float = setting(
        0.85, allowed=BELOW_ONE, implied=True, meaning="the momentum where a cycle has its full height"
    )
    momentum_high: float = setting(
        0.95, allowed=BELOW_ONE, implied=True, meaning="the momentum where a cycle begins and ends"
    )

    @abstractmethod
    def height(self, u: Floats) -> Floats:
        """How high the cycle stands at progress ``u`` on the decay's own clock: 0 is its foot, 1 its full height."""

    def first_momentum(self) -> float | None:
        at_the_beginning = np.zeros(1)
        return self._momentum(at_the_beginning).item() if self.cycle_momentum else None

    def decay_momenta(self, steps: int) -> Floats | None:
        """``momentum_high - (momentum_high - momentum_low)·height`` where the momentum cycles."""
        return self._momentum(progress_of(steps)[:-1]) if self.cycle_momentum else None

    def _momentum(self, u: Floats) -> Floats:
        return self.momentum_high - (self.momentum_high - self.momentum_low) * self.height(u)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """What a family has of its own stands before the momentum."""
        cycling, shared = {declared.name for declared in fields(MomentumCycling)}, shared_names()
        return tuple(sorted(super().settings(), key=lambda one: (one.name in shared, one.name in cycling)))

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        low, high = values["momentum_low"], values["momentum_high"]
        if low <= high:
            return []
        return [f"momentum_low {low:g} is above momentum_high {high:g}; wanted momentum_low at most momentum_high"]
