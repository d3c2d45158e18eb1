"""What all schedules share: warm-up, floor, the two clocks, checks, and the forms as JSON and as code.

A family adds ``decay`` alone. With warm-up fraction f, progress u and ``d = floor + (1 - floor)·decay``::

    factor(u)       u < f:  u / f                u >= f:  d((u - f) / (1 - f))              the limit of many steps
    rates(T)[i]     i < w:  (i + 1) / (w + 1)    i >= w:  d((i - w) / (T - w))              w = f·T in whole steps

Both are times the peak. The first step is above 0 and the end of the decay is where step T would be, so that the last
step still learns something.
"""

from __future__ import annotations

import json
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from reprlib import repr as shortened
from typing import Any, ClassVar, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import ScheduleError, did_you_mean
from lrsweep.schedules.setting import BELOW_ONE, UNIT, Setting, as_number, listing, setting, setting_of

Floats = NDArray[np.float64]

JSON_VERSION = 1

TIE = 1e-12
"""Two places that differ by less are one: step 3 of 10 stands at 0.3, but 3 times 0.1 is 0.30000000000000004."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Schedule(ABC):
    """A learning-rate schedule: the rate as a factor of the peak, a pure function of progress from 0 to 1."""

    family: ClassVar[str]
    formula: ClassVar[str]
    """``decay`` on paper; u is progress on the decay's own clock"""
    source: ClassVar[str]
    use: ClassVar[str]
    """when to choose it, in one sentence"""
    simplicity: ClassVar[int]
    """the lower, the simpler; constant is 0. Ranks are ten apart, so that a new family fits between two others."""

    floor: float = setting(
        0.0,
        allowed=UNIT,
        meaning="the fraction of the peak that a decay to 0 ends at",
    )
    warmup: float = setting(
        0.0,
        allowed=BELOW_ONE,
        meaning="the fraction of all steps in which the rate rises to the peak before the decay begins",
    )

    @abstractmethod
    def decay(self, u: Floats) -> Floats:
        """The factor in [0, 1] at each progress ``u`` in [0, 1], without warm-up and floor.

        At a jump, down or up, the value after it; but one that jumps up at 1 has its limit from the left there, since
        the value at 1 is the one that holds for ever after.
        """

    def __post_init__(self) -> None:
        given = self.settings_dict()
        if problems := self.problems_with(given):
            raise ScheduleError(listing(f"schedule {self.family!r}", problems))
        for name, value in given.items():
            object.__setattr__(self, name, as_number(value))

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """The family's own settings as declared, then those that every family has."""
        shared = [declared.name for declared in fields(Schedule)]
        return tuple(setting_of(declared) for declared in sorted(fields(cls), key=lambda one: one.name in shared))

    @classmethod
    def problems_with(cls, given: Mapping[str, object]) -> list[str]:
        """Everything that is wrong with these settings: unknown names and values that are not allowed."""
        known = {one.name: one for one in cls.settings()}
        problems = [
            known[name].problem_with(value) if name in known else cls._unknown(name, known)
            for name, value in given.items()
        ]
        return [problem for problem in problems if problem]

    @classmethod
    def _unknown(cls, name: str, known: Iterable[str]) -> str:
        return f"{shortened(name)} is not a setting.{did_you_mean(name, known)} {cls.family} has: {', '.join(known)}"

    @overload
    def factor(self, progress: float) -> float: ...

    @overload
    def factor(self, progress: NDArray[Any] | Sequence[float]) -> Floats: ...

    def factor(self, progress: float | NDArray[Any] | Sequence[float]) -> float | Floats:
        """The rate as a fraction of the peak at ``progress``: 0 is the start, 1 the end; after 1 the value at 1 holds.

        An array gives an array. Progress below 0, or NaN, raises a ScheduleError.
        """
        u = np.minimum(checked_progress(progress), 1.0)
        f = self.warmup
        factors = self._floored_decay(np.maximum(u - f, 0.0) / (1.0 - f))
        if f > 0:
            factors = np.where(u < f, np.minimum(u, f) / f, factors)
        return float(factors) if np.isscalar(progress) else np.asarray(factors)

    def rates(self, total_steps: SupportsIndex, peak_lr: float = 1.0) -> Floats:
        """The rate of each step, a float64 array of length ``total_steps``; none is above ``peak_lr``."""
        steps, peak = checked_horizon(total_steps, peak_lr)
        warm = self.warmup_steps(steps)
        factors = np.empty(steps)
        factors[:warm] = np.arange(1, warm + 1) / (warm + 1)
        if warm < steps:
            factors[warm:] = self._floored_decay(np.arange(steps - warm) / (steps - warm))
        return peak * factors

    def warmup_steps(self, total_steps: int) -> int:
        """The warm-up in whole steps: rounded, halves up, and at least 1 where there is one; all steps are allowed."""
        if self.warmup == 0:
            return 0
        return max(1, math.floor((self.warmup + TIE) * total_steps + 0.5))

    def settings_dict(self) -> dict[str, float]:
        """All settings with their values, in the order of ``settings()``."""
        return {one.name: getattr(self, one.name) for one in self.settings()}

    def to_json(self) -> str:
        """One flat JSON object with every setting, the defaults too, so that a later default changes nothing.

        >>> import lrsweep
        >>> lrsweep.schedule("cosine", warmup=0.05).to_json()
        '{"version": 1, "family": "cosine", "floor": 0.0, "warmup": 0.05}'
        """
        return json.dumps({"version": JSON_VERSION, "family": self.family, **self.settings_dict()})

    def __repr__(self) -> str:
        changed = [
            f", {one.name}={value!r}" for one in self.settings() if (value := getattr(self, one.name)) != one.default
        ]
        return f"lrsweep.schedule({self.family!r}{''.join(changed)})"

    def _floored_decay(self, u: Floats) -> Floats:
        return self.floor + (1.0 - self.floor) * self.decay(u)


def checked_progress(given: object) -> Floats:
    try:
        progress = np.asarray(given)
    except ValueError:  # rows of different lengths
        progress = np.asarray(None)
    if progress.dtype.kind not in "iuf":
        raise ScheduleError(f"progress must be a number or an array of numbers, not {shortened(given)}")
    refused = progress[~(progress >= 0)]
    if refused.size:
        raise ScheduleError(
            f"progress must be 0 or more, not {refused.flat[0]}: 0 is the start of the training and 1 its end; "
            "step i of T stands at i/T"
        )
    return progress.astype(np.float64)


def checked_horizon(total_steps: SupportsIndex, peak_lr: float) -> tuple[int, float]:
    try:
        steps = 0 if isinstance(total_steps, bool) else operator.index(total_steps)
    except TypeError:
        steps = 0
    peak = as_number(peak_lr)
    problems = []
    if steps < 1:
        problems.append(
            f"total_steps must be a whole number of 1 or more, not {shortened(total_steps)}: the number of updates"
        )
    if not 0 < peak < math.inf:
        problems.append(f"peak_lr must be a finite number above 0, not {shortened(peak_lr)}: the largest rate")
    if problems:
        raise ScheduleError(listing("rates", problems))
    return steps, peak
