"""What values a setting takes: one frozen value per kind, which reads what was given or says what it wants.

A kind's text completes the sentence "cooldown must be …", and ``read`` gives the value in its one normal form, so that
equal settings have equal texts; it raises ``NotOfThisKind`` for anything else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from reprlib import repr as shortened
from typing import Any, Protocol

import numpy as np

LONGEST_LIST = 10_000_000
"""Numbers in one setting: an explicit table of rates may be as long as a training."""


class NotOfThisKind(ValueError):
    """The text says what is wrong where "must be …, not …" would not; it is empty otherwise."""


class Kind(Protocol):
    def __str__(self) -> str:
        """What is wanted, as in "a number in [0, 1]"."""

    def read(self, given: object) -> Any:
        """The value in its normal form, or ``NotOfThisKind``."""


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
        return f"a number in {self.span}"

    @property
    def span(self) -> str:
        opening, closing = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"{opening}{self.low:g}, {self.high:g}{closing}"

    def read(self, given: object) -> float:
        number = as_number(given)
        if number not in self:
            raise NotOfThisKind
        return number


UNIT = Interval(low=0, high=1)
ABOVE_ZERO = Interval(low=0, high=1, open_low=True)
BELOW_ONE = Interval(low=0, high=1, open_high=True)


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def read(self, given: object) -> int:
        number = as_number(given)
        if not (number.is_integer() and self.low <= number <= self.high):
            raise NotOfThisKind
        return int(number)


@dataclass(frozen=True)
class Choice:
    """One of some names."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.names))}"

    def read(self, given: object) -> str:
        if not (isinstance(given, str) and given in self.names):
            raise NotOfThisKind
        return str(given)


@dataclass(frozen=True)
class Flag:
    """True or False, and no number that would pass for one."""

    def __str__(self) -> str:
        return "true or false"

    def read(self, given: object) -> bool:
        if not isinstance(given, bool):
            raise NotOfThisKind
        return given


@dataclass(frozen=True)
class Length:
    """A stretch of the training: a fraction, or a count as in "500 steps", which stays when the horizon changes."""

    fractions: Interval

    def __str__(self) -> str:
        return f"{self.fractions}, or a count such as '500 steps'"

    def read(self, given: object) -> float | str:
        if not isinstance(given, str):
            return self.fractions.read(given)
        found = re.fullmatch(r"\s*(\d{1,15})\s+steps?\s*", given)
        if found is None:
            raise NotOfThisKind
        count = int(found[1])
        if count == 0:
            if 0.0 not in self.fractions:
                raise NotOfThisKind
            return 0.0
        return f"{count} steps" if count > 1 else "1 step"


def steps_in(length: float | str) -> int | None:
    """The count in a length such as "500 steps"; None for a fraction."""
    return int(length.split()[0]) if isinstance(length, str) else None


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A list of numbers, each in ``each``; ``ascending`` where none may be smaller than the one before it."""

    each: Interval
    least: int = 1
    most: int = LONGEST_LIST
    ascending: bool = False

    def __str__(self) -> str:
        count = f"{self.least} or more" if self.most == LONGEST_LIST else f"{self.least} to {self.most}"
        return f"a list of {count} numbers in {self.each.span}{', none below the one before' * self.ascending}"

    def read(self, given: object) -> tuple[float, ...]:
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise NotOfThisKind
        values = list(given)
        if (plain := self._plain(values)) is not None:
            return plain
        if not self.least <= len(values) <= self.most:
            raise NotOfThisKind(f"must be {self}, not {len(values)} of them")
        numbers = [as_number(value) for value in values]
        for place, number in enumerate(numbers):
            if number not in self.each:
                raise NotOfThisKind(f"must be {self}; number {place + 1} is {shortened(values[place])}")
            if self.ascending and place and number < numbers[place - 1]:
                raise NotOfThisKind(f"must be {self}; number {place + 1} is {number:g} after {numbers[place - 1]:g}")
        return tuple(numbers)

    def _plain(self, values: list[object]) -> tuple[float, ...] | None:
        """The same for numbers of Python's own that are all allowed, in a tenth of the time; None for all others."""
        if not (self.least <= len(values) <= self.most and values and set(map(type, values)) <= {float, int}):
            return None
        try:
            numbers = np.array(values, dtype=np.float64) + 0.0
        except OverflowError:
            return None
        inside = float(numbers.min()) in self.each and float(numbers.max()) in self.each  # NaN is in neither
        if not inside or (self.ascending and (numbers[1:] < numbers[:-1]).any()):
            return None
        return tuple(numbers.tolist())


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
