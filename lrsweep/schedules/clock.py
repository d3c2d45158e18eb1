"""A horizon in whole steps, and where a step stands in progress."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import steps_in

TIE = 1e-12
"""Two places that differ by less are one: step 3 of 10 stands at 0.3, but 3 times 0.1 is 0.30000000000000004."""

HAIR = 2.0**-52
"""The least that can be left of 1."""


class Clock(NamedTuple):
    """A horizon in whole steps: the warm-up, the hold, and the rest, which is the decay's own clock."""

    warmup: int
    hold: int
    decay: int

    @property
    def laid_out(self) -> Clock:
        """What is held is the beginning of a decay: where a hold takes all that is left, its last step is the decay's,
        whose end comes after all steps."""
        return Clock(self.warmup, self.hold - 1, 1) if self.hold and not self.decay else self


def in_steps(length: float | str, total_steps: int) -> int:
    """A length in whole steps: a count as it is, a fraction rounded, halves up."""
    count = steps_in(length)
    return count if count is not None else math.floor((float(length) + TIE) * total_steps + 0.5)


def progress_of(steps: int) -> Floats:
    """Where each of ``steps`` steps stands on its clock, and the end."""
    return np.arange(steps + 1) / steps if steps else np.ones(1)
