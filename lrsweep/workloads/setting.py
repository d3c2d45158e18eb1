"""One setting of a workload: its name, its default and what it may be; loads neither torch nor any data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from lrsweep.errors import did_you_mean
from lrsweep.records import Json


class Kind(ABC):
    """What a setting may be."""

    @property
    @abstractmethod
    def wanted(self) -> str:
        """It completes the sentence "… is not …"."""

    @abstractmethod
    def allows(self, given: Json) -> bool: ...

    def guess(self, given: Json) -> str:
        """`` Did you mean …?`` where that can be said, with a leading blank."""
        del given
        return ""

    def normal(self, given: Json) -> Json:
        """The one form that an allowed value is stored and hashed in."""
        return given


@dataclass(frozen=True)
class Choice(Kind):
    words: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return f"one of {', '.join(self.words)}"

    def allows(self, given: Json) -> bool:
        return given in self.words

    def guess(self, given: Json) -> str:
        return did_you_mean(given.lower(), self.words) if isinstance(given, str) else ""


@dataclass(frozen=True)
class Number(Kind):
    low: float
    high: float

    @property
    def wanted(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def allows(self, given: Json) -> bool:
        return _is_number(given) and self.low <= given <= self.high

    def normal(self, given: Json) -> Json:
        return float(given) + 0.0  # 0, 0.0 and -0.0 are one setting


@dataclass(frozen=True)
class Whole(Kind):
    low: int
    high: int

    @property
    def wanted(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def allows(self, given: Json) -> bool:
        return isinstance(given, int) and _is_number(given) and self.low <= given <= self.high


@dataclass(frozen=True)
class Flag(Kind):
    wanted = "true or false"

    def allows(self, given: Json) -> bool:
        return isinstance(given, bool)


@dataclass(frozen=True)
class FilePath(Kind):
    """A file by its path; whether it is there is seen where it is read."""

    wanted = "the path of a file, in quotes"

    def allows(self, given: Json) -> bool:
        return isinstance(given, str) and given != ""


@dataclass(frozen=True)
class Texts(Kind):
    example: str

    @property
    def wanted(self) -> str:
        return f"a list of texts, such as {self.example}"

    def allows(self, given: Json) -> bool:
        return isinstance(given, list | tuple) and all(isinstance(each, str) for each in given)

    def normal(self, given: Json) -> Json:
        return list(given)


@dataclass(frozen=True)
class WorkloadSetting:
    name: str
    about: str
    default: Json
    allowed: Kind
    silent: bool = False
    """left out of a complete spec where it has its default: a release that adds the setting then changes no hash"""
    needed: bool = False
    """has no default; only a synthetic workload does without it"""

    def problem(self, given: Json) -> str | None:
        """What is wrong with the value, or None."""
        if self.allowed.allows(given):
            return None
        return f"{given!r} is not {self.allowed.wanted}.{self.allowed.guess(given)} This is {self.about}."

    def normal(self, given: Json) -> Json:
        return None if given is None else self.allowed.normal(given)


def _is_number(given: Json) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)
