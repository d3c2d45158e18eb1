"""A schedule on a longer horizon: what it was, and then its last value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.compositions.inner import AnySchedule, Composition, floor_of, momenta_side_by_side
from lrsweep.schedules.course import Course, Floats
from lrsweep.schedules.kinds import Interval
from lrsweep.schedules.setting import REQUIRED, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Extended(Composition):
    """The schedule compressed into the first 1/ratio of the horizon; its value at 1 holds for the rest."""

    family: ClassVar[str] = "extended"
    formula: ClassVar[str] = "factor_inside(min(1, u·ratio))"
    source: ClassVar[str] = "the defined value past the end; PyTorch's CosineAnnealingLR rises again there"
    use: ClassVar[str] = "When a training goes on after the horizon that its schedule was made for."
    simplicity: ClassVar[int] = 310

    schedule: Schedule = setting(REQUIRED, allowed=AnySchedule(), meaning="what has the rate until its own end")
    ratio: float = setting(
        REQUIRED,
        allowed=Interval(low=1, high=1e6),
        meaning="how many times as long the horizon is as the schedule's own",
    )

    def inner(self) -> tuple[Schedule, ...]:
        return (self.schedule,)

    def lowest(self) -> float:
        return floor_of(self.schedule)

    def own_steps(self, steps: int) -> int:
        """How many of ``steps`` whole steps are its own: rounded, halves up, and at least 1 where there are any."""
        return max(min(1, steps), math.floor((1.0 / self.ratio + TIE) * steps + 0.5))

    def decay(self, u: Floats) -> Floats:
        return self.schedule.factor(np.asarray(u) * self.ratio)

    def decay_course(self, steps: int) -> Course:
        own = self.own_steps(steps)
        return self.schedule.course(own).extended(steps - own)

    def decay_momenta(self, steps: int) -> Floats | None:
        own = self.own_steps(steps)
        return momenta_side_by_side([(self.schedule.momenta(own), own), *([(None, steps - own)] * (steps > own))])

    def _with_own_fractions(self, decay_steps: int) -> Self:
        if not self.schedule.has_counts:
            return self
        return replace(self, schedule=self.schedule.in_fractions(self.own_steps(decay_steps)))

    def __repr__(self) -> str:
        return f"{self.schedule!r}.extended({self.ratio!r}){self._settled()}"
