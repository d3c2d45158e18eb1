from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self, SupportsIndex

import numpy as np

from lrsweep.errors import ScheduleError
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import ABOVE_ZERO, Whole, as_number, listing
from lrsweep.schedules.setting import Search, setting

MOST_STAIRS = 1_000_000


@dataclass(frozen=True, kw_only=True, repr=False)
class Exponential(Schedule):
    """The same ratio from each step to the next, from the peak to ``final``.

    Where a recipe gives gamma per epoch or a rate constant k per step instead, there are ``from_gamma`` and ``from_k``.
    """

    family: ClassVar[str] = "exponential"
    formula: ClassVar[str] = "final^u; with stairs: final^(floor(stairs·u) / stairs)"
    source: ClassVar[str] = "common practice; PyTorch's ExponentialLR with gamma = final^(1/T)"
    use: ClassVar[str] = "When the right rate spans orders of magnitude and early fast decay does no harm."
    simplicity: ClassVar[int] = 30

    final: float = setting(
        0.01, allowed=ABOVE_ZERO, search=Search(1e-4, 0.5, log=True), meaning="the factor at the end of the decay"
    )
    # Not searched: `step` searches staircases.
    stairs: int = setting(
        0,
        allowed=Whole(low=0, high=MOST_STAIRS),
        implied=True,
        meaning="the number of equal stairs, the last drop at the end; 0 is a smooth curve",
    )

    def decay(self, u: Floats) -> Floats:
        reached = np.floor((u + TIE) * self.stairs) / self.stairs if self.stairs else u
        return np.power(self.final, reached)

    @classmethod
    def from_gamma(cls, gamma: float, epochs: float, *, staircase: bool = False, **shared: Any) -> Self:
        """Times ``gamma`` per epoch, over a decay of so many epochs; ``staircase``: at the end of each, not smoothly.

        A warm-up or a hold is not counted in ``epochs``.

        >>> Exponential.from_gamma(0.5, epochs=3, staircase=True).rates(6).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
        """
        ratio, count = as_number(gamma), as_number(epochs)
        problems = []
        if ratio not in ABOVE_ZERO:
            problems.append(f"gamma must be {ABOVE_ZERO}, not {gamma!r}: what one epoch multiplies the rate by")
        if not 0 < count < math.inf:
            problems.append(f"epochs must be a finite number above 0, not {epochs!r}: the length of the decay")
        elif staircase and not (count.is_integer() and count <= MOST_STAIRS):
            problems.append(f"epochs must be {Whole(low=1, high=MOST_STAIRS)} for a staircase, not {epochs!r}")
        final = 0.0 if problems else ratio**count
        if not problems and final == 0.0:
            problems.append(f"gamma {gamma!r} over {epochs!r} epochs ends below the smallest float: fewer epochs")
        return cls._ending_at(final, "from_gamma", problems, {"stairs": int(count)} if staircase else {}, shared)

    @classmethod
    def from_k(cls, k: float, total_steps: SupportsIndex, **shared: Any) -> Self:
        """e^(-k·t) with t in steps, over a decay of ``total_steps``; with ``stairs``, in so many equal stairs.

        A warm-up or a hold is not counted in ``total_steps``.

        >>> Exponential.from_k(0.01, total_steps=200).factor(0.5)
        0.36787944117144233
        """
        constant, steps = as_number(k), as_number(total_steps)
        problems = []
        if not 0 <= constant < math.inf:
            problems.append(f"k must be a finite number of 0 or more, not {k!r}: the rate is e^(-k·t) at step t")
        if not (steps.is_integer() and steps >= 1):
            problems.append(f"total_steps must be a whole number of 1 or more, not {total_steps!r}: the decay's steps")
        final = 0.0 if problems else math.exp(-constant * steps)
        if not problems and final == 0.0:
            problems.append(f"k {k!r} over {total_steps!r} steps ends below the smallest float: a smaller k")
        return cls._ending_at(final, "from_k", problems, {}, shared)

    @classmethod
    def _ending_at(
        cls, final: float, asked: str, problems: list[str], given: dict[str, Any], shared: dict[str, Any]
    ) -> Self:
        """The schedule, or all that is wrong with what was asked and with the settings beside it."""
        twice = [f"{name} is what {asked} works out; leave it out" for name in shared if name in {"final", *given}]
        problems = [*problems, *twice, *cls.problems_with(shared)]
        if problems:
            raise ScheduleError(listing(f"exponential {asked}", problems))
        return cls(final=final, **given, **shared)
