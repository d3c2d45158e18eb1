from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats


@dataclass(frozen=True, kw_only=True, repr=False)
class Linear(Schedule):
    """A straight line from the peak to 0."""

    family: ClassVar[str] = "linear"
    formula: ClassVar[str] = "1 - u"
    source: ClassVar[str] = "Li, Yumer, Ramanan 2020, arXiv:1905.04753; Defazio et al. 2023, arXiv:2310.07831"
    use: ClassVar[str] = "The first decay to try: nothing to tune, and hard to beat when the horizon is known."
    simplicity: ClassVar[int] = 10

    def decay(self, u: Floats) -> Floats:
        return 1.0 - u
