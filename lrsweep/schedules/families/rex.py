from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import ABOVE_ZERO
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Rex(Schedule):
    """Reflected exponential: holds the rate up for long, then falls ever faster to 0. ``beta`` 1 is linear.

    The paper's form is (1 - u) / (1/2 + (1 - u)/2), which is ``beta`` 1/2; some programs use 0.1 under the same name.
    """

    family: ClassVar[str] = "rex"
    formula: ClassVar[str] = "(1 - u) / (1 - u·(1 - beta))"
    source: ClassVar[str] = "Chen, Wolfe, Kyrillidis 2022, arXiv:2107.04197"
    use: ClassVar[str] = "When the budget is short: late decay keeps learning fast for as long as it pays."
    simplicity: ClassVar[int] = 50

    beta: float = setting(
        0.5,
        allowed=ABOVE_ZERO,
        search=Search(0.1, 1.0),
        meaning="how far the curve is from holding the peak to the end (near 0) towards a straight line (1)",
    )

    def decay(self, u: Floats) -> Floats:
        left = 1.0 - u
        # The formula's denominator, written so that it is above 0 at u = 1 however small beta is.
        return left / (left + self.beta * u)
