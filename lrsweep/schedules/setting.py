"""What one setting of a schedule is: its default, what may be given, what a search tries, and what it means.

A family declares its settings as dataclass fields with ``setting(...)``; ``Family.settings()`` reads them back as
``Setting`` values, so the checks, the search space and the documentation all come from the one declaration.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import Field, dataclass, field
from numbers import Real
from reprlib import repr as shortened
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The numbers from ``low`` to ``high``; an open end is not one of them."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, number: float) -> bool:
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below

    def __str__(self) -> str:
        opening, closing = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"{opening}{self.low:g}, {self.high:g}{closing}"


UNIT = Interval(low=0, high=1)
ABOVE_ZERO = Interval(low=0, high=1, open_low=True)
BELOW_ONE = Interval(low=0, high=1, open_high=True)


@dataclass(frozen=True)
class Search:
    """The range that a search tries unless told otherwise, both ends included."""

    low: float
    high: float
    log: bool = False
    """search on a log scale"""


@dataclass(frozen=True)
class Setting:
    """One setting of a family. ``search`` is None where a search leaves the default alone."""

    name: str
    default: float
    allowed: Interval
    search: Search | None
    meaning: str

    def problem_with(self, given: object) -> str | None:
        """What is wrong with a value, in a sentence; None when nothing is."""
        if as_number(given) in self.allowed:
            return None
        return f"{self.name} must be a number in {self.allowed}, not {shortened(given)}: {self.meaning}"


def setting(default: float, *, allowed: Interval, meaning: str, search: Search | None = None) -> Any:
    """A dataclass field that carries all of a ``Setting`` but its name, which it learns when the class is made."""
    described = {"default": default, "allowed": allowed, "search": search, "meaning": meaning}
    return field(default=default, metadata=described)


def setting_of(declared: Field[Any]) -> Setting:
    return Setting(name=declared.name, **declared.metadata)


def as_number(given: object) -> float:
    """``given`` as a float; NaN, which lies in no interval, for what is not a number (a bool or a string is none)."""
    if isinstance(given, bool) or not isinstance(given, Real):
        return math.nan
    try:
        return float(given) + 0.0  # turns -0.0 into 0.0: equal values then have equal texts
    except OverflowError:
        return math.nan


def listing(subject: str, problems: Sequence[str]) -> str:
    """One problem on the subject's own line, several below it."""
    if len(problems) == 1:
        return f"{subject}: {problems[0]}"
    return "\n  ".join([f"{subject}: {len(problems)} problems", *problems])
