"""A cool-down branched off another schedule, on the same horizon."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import ScheduleError
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.compositions.inner import AnySchedule, Composition, floor_of, momenta_side_by_side
from lrsweep.schedules.cooldowns import COOLDOWNS
from lrsweep.schedules.course import Course, Floats
from lrsweep.schedules.kinds import ABOVE_ZERO, BELOW_ONE, Choice, Length, steps_in
from lrsweep.schedules.setting import REQUIRED, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class CooledDown(Composition):
    """The schedule until ``at``, then from its value there down to its floor, or to 0, which then holds.

    As everywhere, a border between two steps is not rounded: the value that the cool-down leaves from is that of the
    last step at or before ``at``. An evaluation after ``at`` moves nothing any more.
    """

    family: ClassVar[str] = "cooled_down"
    formula: ClassVar[str] = (
        "u ≤ at: factor_inside(u); then floor + (factor_inside(at) - floor)·shape(min(1, (u - at)/over))"
    )
    source: ClassVar[str] = "Hägele et al. 2024, arXiv:2405.18392"
    use: ClassVar[str] = "When a checkpoint of a running training shall become a finished model now."
    simplicity: ClassVar[int] = 320

    schedule: Schedule = setting(REQUIRED, allowed=AnySchedule(), meaning="what has the rate until the cool-down")
    at: float | str = setting(
        REQUIRED,
        allowed=Length(BELOW_ONE),
        meaning="where the cool-down begins, as a fraction of the horizon",
    )
    over: float | str = setting(
        REQUIRED, allowed=Length(ABOVE_ZERO), meaning="the fraction of the horizon that the cool-down takes"
    )
    shape: str = setting("linear", allowed=Choice(tuple(COOLDOWNS)), meaning="the curve along which it falls")

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        at, over = values["at"], values["over"]
        if isinstance(at, str) or isinstance(over, str) or at + over <= 1 + TIE:
            return []
        return [f"at {at:g} and over {over:g} are {at + over:g} of the horizon; wanted at most 1 together"]

    def inner(self) -> tuple[Schedule, ...]:
        return (self.schedule,)

    def lowest(self) -> float:
        return floor_of(self.schedule)

    def decay(self, u: Floats) -> Floats:
        u = np.asarray(u, dtype=np.float64)
        start, over = float(self.at), float(self.over)
        # Asked once for all: twice here would be twice as often with every level of schedules inside one another.
        *inside, top = self.schedule.factor([*np.minimum(u, start).ravel(), start])
        bottom = min(top, self.lowest())
        cooled = np.minimum(top, bottom + (top - bottom) * self._fallen((u - start) / over))
        return np.where(u <= start + TIE, np.reshape(inside, u.shape), cooled)

    def decay_course(self, steps: int) -> Course:
        if not steps:
            return Course.of(np.full(1, self.lowest()))
        start, over = self.in_steps(steps)
        last = step_at(start, steps)
        source = np.minimum(np.arange(steps + 1), last)
        course = self.schedule.course(steps)
        fixed, gain, low, whose = course.fixed[source], course.gain[source], course.low[source], course.whose[source]
        tail = slice(last + 1, None)
        fallen = self._fallen((np.arange(last + 1, steps + 1) - start) / over)
        # A step that was below the floor, in a warm-up say, must not rise to it.
        bottom = min(self.lowest(), float(fixed[last] if whose[last] < 0 else low[last]))
        if whose[last] < 0:
            fixed[tail] = np.minimum(fixed[last], bottom + (fixed[last] - bottom) * fallen)
            low[tail] = 0.0
        else:
            fixed[tail] = bottom * (1.0 - fallen) + fixed[tail] * fallen
            gain[tail] *= fallen
            low[tail] = bottom + (low[last] - bottom) * fallen
        reactors = tuple(replace(one, end=min(one.end, last + 1)) for one in course.reactors)
        return Course(fixed, gain, low, whose, reactors)

    def decay_momenta(self, steps: int) -> Floats | None:
        """Those of the schedule until the cool-down, in which the last one stays."""
        last = step_at(self.in_steps(steps)[0], steps)
        own = self.schedule.momenta(steps)
        return momenta_side_by_side(
            [(None if own is None else own[: last + 1], last + 1), *([(None, steps - last - 1)] * (steps > last + 1))]
        )

    def _fallen(self, x: NDArray[np.floating[Any]]) -> Floats:
        """1 before the cool-down, 0 after it."""
        inside = np.clip(x, 0.0, 1.0)
        return COOLDOWNS[self.shape](np.where(inside > 1.0 - TIE, 1.0, inside))

    def in_steps(self, steps: int) -> tuple[float, float]:
        """Start and length of the cool-down in steps; a fraction of a horizon may end between two of them."""
        counts = steps_in(self.at), steps_in(self.over)
        start = counts[0] if counts[0] is not None else float(self.at) * steps
        over = counts[1] if counts[1] is not None else float(self.over) * steps
        if start + over > steps * (1 + TIE):
            raise ScheduleError(
                f"schedule {self.family!r}: at {self.at!r} and over {self.over!r} end at step {start + over:g}, "
                f"and there are {steps}: a longer horizon is needed, or an earlier or a shorter cool-down"
            )
        return start, over

    def _with_own_fractions(self, decay_steps: int) -> Self:
        if not self.has_counts:
            return self
        inside = self.schedule.in_fractions(decay_steps)
        if not decay_steps:
            return replace(self, schedule=inside, at=0.5, over=0.5)
        start, over = self.in_steps(decay_steps)
        return replace(self, schedule=inside, at=start / decay_steps, over=over / decay_steps)

    def __repr__(self) -> str:
        own = [f"at={self.at!r}", f"over={self.over!r}", *([f"shape={self.shape!r}"] * (self.shape != "linear"))]
        return f"{self.schedule!r}.cooled_down({', '.join(own)}){self._settled()}"


def step_at(start: float, steps: int) -> int:
    """The last step at or before ``start``, which is counted in steps and lies before the end."""
    return min(math.floor(start + TIE * steps), steps - 1)
