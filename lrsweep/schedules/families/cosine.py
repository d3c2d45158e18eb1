from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.cooldowns import falling_cosine
from lrsweep.schedules.course import Floats


@dataclass(frozen=True, kw_only=True, repr=False)
class Cosine(Schedule):
    """Half a period of a cosine, from the peak to 0: slow at both ends."""

    family: ClassVar[str] = "cosine"
    formula: ClassVar[str] = "(1 + cos(πu)) / 2"
    source: ClassVar[str] = "Loshchilov, Hutter 2017, arXiv:1608.03983, without restarts"
    use: ClassVar[str] = "The common default for networks that are trained once, to a known horizon."
    simplicity: ClassVar[int] = 20

    def decay(self, u: Floats) -> Floats:
        return falling_cosine(u)
