"""What a check comes to: data, which the command line draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from lrsweep.errors import LrsweepError
from lrsweep.records import Json


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """a sweep runs, but not as it should"""
    FAULT = "fault"
    """a sweep does not run, or may lose something"""


@dataclass(frozen=True)
class Finding:
    area: str
    """``versions``, ``devices``, ``databases``, ``MLflow``, ``disk``, ``limits``, ``settings`` or ``leases``"""
    level: Level
    found: str
    remedy: str | None = None

    def to_json(self) -> dict[str, Json]:
        return asdict(self)


def ok(area: str, found: str) -> Finding:
    return Finding(area, Level.OK, found)


def warning(area: str, found: str, remedy: str) -> Finding:
    return Finding(area, Level.WARNING, found, remedy)


def fault(area: str, found: str, remedy: str) -> Finding:
    return Finding(area, Level.FAULT, found, remedy)


def checked(area: str, check: Callable[[], Sequence[Finding]]) -> list[Finding]:
    """A check that meets one of our errors has found it: the text says what to do."""
    try:
        return list(check())
    except LrsweepError as error:
        found, _, remedy = str(error).partition(". ")
        return [fault(area, found, remedy or "See the text before.")]
