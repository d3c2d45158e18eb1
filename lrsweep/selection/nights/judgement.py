"""What is said of a night, and by which of a study's own rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from lrsweep.errors import InvalidInput
from lrsweep.records import Direction, Json
from lrsweep.selection.nights.challenging import Compared
from lrsweep.selection.nights.drifting import Shift
from lrsweep.selection.nights.rows import Change
from lrsweep.selection.statistics import Interval, listed

FORMAT = 1
"""Of a judgement's JSON."""
ALWAYS = ("champion", "baseline", "rung")
"""Without these the same, values of two nights are not those of the same training."""


class NightVerdict(StrEnum):
    HOLDS = "holds"
    CHALLENGER_BETTER = "challenger better"
    WORKLOAD_DRIFTED = "workload drifted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Rules:
    """What a study says of its nights."""

    direction: Direction = "minimize"
    worth: float | None = None
    """None: half the champion's deviation from seed to seed, as in ``choose``"""
    restarts: tuple[str, ...] = ("device", "versions")
    """of the surroundings: device, versions, data, commit"""

    def __post_init__(self) -> None:
        known = ("device", "versions", "data", "commit")
        odd = [each for each in self.restarts if each not in known]
        if odd:
            raise InvalidInput(f"restarts of a night's rules has {odd[0]!r}; it takes {', '.join(known)}")
        if self.worth is not None and not (math.isfinite(self.worth) and self.worth >= 0):
            raise InvalidInput(f"worth of a night's rules is {self.worth}; it takes a number from 0 up")

    def restart(self, change: Change) -> bool:
        what = "versions" if change.what.startswith("version of ") else change.what
        return what in ALWAYS or what in self.restarts


@dataclass(frozen=True)
class Chart:
    """A series of canaries, and tonight on it, in units of the metric."""

    name: str
    tonight: float | None
    """mean over seeds; None where none came to a value"""
    seeds: int
    nights: int
    """before tonight, since the limits began"""
    before: float | None
    """their mean"""
    limits: Interval | None
    """None before there are FEWEST nights"""
    seed_deviation: float | None
    shift: Shift | None
    """None where no drift is shown"""

    @property
    def is_out(self) -> bool:
        if self.limits is None or self.tonight is None:
            return False
        return not self.limits.low <= self.tonight <= self.limits.high

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "tonight": self.tonight,
            "seeds": self.seeds,
            "nights": self.nights,
            "before": self.before,
            "limits": listed(self.limits),
            "seed_deviation": self.seed_deviation,
            "is_out": self.is_out,
            "shift": None
            if self.shift is None
            else {"nights": self.shift.nights, "by": self.shift.by, "before": self.shift.before},
        }


@dataclass(frozen=True)
class Judgement:
    key: str
    verdict: NightVerdict
    reason: str
    """a sentence"""
    next_step: str
    needs_challengers: bool
    """tonight, where it has none yet"""
    challengers: tuple[str, ...]
    """whom to train beside the champion; empty where whom is the driver's to say"""
    since: str
    """the night with which limits and pairs began"""
    charts: tuple[Chart, ...]
    diverged: tuple[int, int]
    """seeds of tonight's canary of the champion, and how many ended"""
    diverged_before: tuple[int, int]
    changes: tuple[Change, ...]
    compared: tuple[Compared, ...]
    standing: str | None
    """a challenger that an earlier night has found to be better, and that nobody has promoted"""
    shown: str | None = None
    """a challenger that is found to be better tonight, and was not before"""
    stale_seeds: tuple[int, ...] = ()
    """left out, since an earlier night had used them"""

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "key": self.key,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "next_step": self.next_step,
            "needs_challengers": self.needs_challengers,
            "challengers": list(self.challengers),
            "since": self.since,
            "charts": [chart.to_json() for chart in self.charts],
            "diverged": list(self.diverged),
            "diverged_before": list(self.diverged_before),
            "changes": [change.to_json() for change in self.changes],
            "compared": [each.to_json() for each in self.compared],
            "standing": self.standing,
            "shown": self.shown,
            "stale_seeds": list(self.stale_seeds),
        }
