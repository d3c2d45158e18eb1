from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats


@dataclass(frozen=True, kw_only=True, repr=False)
class Constant(Schedule):
    """The peak, all the way."""

    family: ClassVar[str] = "constant"
    formula: ClassVar[str] = "1"
    source: ClassVar[str] = "the baseline: no decay at all"
    use: ClassVar[str] = "To see what any decay is worth, or where the end of the training is not known."
    simplicity: ClassVar[int] = 0

    def decay(self, u: Floats) -> Floats:
        return np.ones_like(u)
