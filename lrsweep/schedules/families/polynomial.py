from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import Interval
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Polynomial(Schedule):
    """A power of what is left: above 1 it falls early, below 1 late, and 1 is linear."""

    family: ClassVar[str] = "polynomial"
    formula: ClassVar[str] = "(1 - u)^power"
    source: ClassVar[str] = "Caffe's 'poly' policy, known from DeepLab with power 0.9; PyTorch's PolynomialLR"
    use: ClassVar[str] = "When linear is nearly right: one number says how early the rate falls; usual in segmentation."
    simplicity: ClassVar[int] = 25

    power: float = setting(
        2.0,
        allowed=Interval(low=0, high=100, open_low=True),
        search=Search(0.5, 4.0, log=True),
        meaning="the exponent: the larger, the earlier the rate falls",
    )

    def decay(self, u: Floats) -> Floats:
        return np.power(1.0 - u, self.power)
