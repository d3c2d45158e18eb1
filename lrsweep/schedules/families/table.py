from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from reprlib import repr as shortened
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lrsweep.errors import ScheduleError
from lrsweep.schedules.base import Schedule
from lrsweep.schedules.clock import TIE
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import LONGEST_LIST, UNIT, Numbers, listing
from lrsweep.schedules.setting import REQUIRED, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Table(Schedule):
    """Explicit factors, one per step. A training of another length runs through the same curve, resampled."""

    family: ClassVar[str] = "table"
    formula: ClassVar[str] = "values[i] at u = i/n, i = 0 … n - 1, straight lines between, the last after it"
    source: ClassVar[str] = "whatever wrote the rates down"
    use: ClassVar[str] = "For rates that exist as numbers alone: from a log, another program, or a reactive training."
    simplicity: ClassVar[int] = 90

    # Not searched: a search over every step has too many numbers; `knots` has the few that can be searched.
    values: tuple[float, ...] = setting(
        REQUIRED,
        allowed=Numbers(each=UNIT),
        meaning="the factor of each step; a training of so many steps has just these",
    )

    def decay(self, u: Floats) -> Floats:
        n = len(self.values)
        place = u * n
        nearest = np.rint(place)
        on_a_value = np.abs(place - nearest) < TIE * n
        return np.interp(np.where(on_a_value, nearest, place), np.arange(n), self._array)

    @cached_property
    def _array(self) -> Floats:
        return np.array(self.values)

    @classmethod
    def from_rates(cls, rates: Sequence[float] | NDArray[Any], **shared: Any) -> Self:
        """The table of these rates, one per step. Their peak is the largest: ``table.rates(len(rates), max(rates))``.

        >>> Table.from_rates([0.1, 0.4, 0.2])
        lrsweep.schedule('table', values=(0.25, 1.0, 0.5))
        """
        given, problems = _checked_rates(rates)
        problems += [f"{name} is what from_rates works out; leave it out" for name in shared if name == "values"]
        others = {name: value for name, value in shared.items() if name != "values"}
        problems += cls.problems_with({"values": (1.0,), **others})
        if problems:
            raise ScheduleError(listing("table from_rates", problems))
        return cls(values=tuple((given / given.max()).tolist()), **others)


def _checked_rates(rates: object) -> tuple[Floats, list[str]]:
    """The rates as an array, and what is wrong with them."""
    wanted = f"rates must be a list of 1 to {LONGEST_LIST} finite numbers of 0 or more, one per step and one above 0"
    try:
        found = np.asarray(rates)
    except ValueError:  # rows of different lengths
        found = np.asarray(None)
    if found.dtype.kind not in "iuf" or found.ndim != 1 or not 1 <= found.size <= LONGEST_LIST:
        return np.ones(1), [f"{wanted}, not {shortened(rates)}"]
    given = found.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(given) & (given >= 0)))
    if bad.size:
        return given, [f"{wanted}; number {bad[0] + 1} is {given[bad[0]]}"]
    return given, [] if given.max() > 0 else [f"{wanted}; all of these {len(given)} are 0"]
