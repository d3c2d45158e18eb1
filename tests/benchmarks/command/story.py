"""What a search says on its way: whom it would pick at each moment. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrsweep.records import Json


@dataclass(frozen=True)
class Moment:
    """From here on somebody else is the pick."""

    seconds: float
    """since the contender's process was started"""
    point: str
    """the key of what it picks"""


@dataclass(frozen=True)
class Story:
    seconds: float
    """from the start of the process to its end"""
    moments: Sequence[Moment]
    """the last one's point is what it says in the end"""
    points: Mapping[str, Mapping[str, Json]]
    """by key, the parameters of every trial that was ever the pick"""
    trials: int
    trainings: int
    """begun, those that were cut off included"""


@dataclass(frozen=True)
class Truth:
    """A point, trained by itself with several seeds that no search has seen."""

    losses: Sequence[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.losses)

    @property
    def error(self) -> float:
        """Of the mean; of a point that diverged with some seed, nothing is known but that it is bad."""
        if not all(map(math.isfinite, self.losses)):
            return 0.0
        return statistics.stdev(self.losses) / math.sqrt(len(self.losses))


def as_good(truths: Mapping[str, Truth], errors: float = 2.0) -> set[str]:
    """The points whose mean is within noise of the best one's: so many standard errors of the difference.

    >>> sorted(as_good({"a": Truth([1.0, 1.2]), "b": Truth([1.1, 1.3]), "c": Truth([3.0, 3.2])}))
    ['a', 'b']
    """
    best = min(truths.values(), key=lambda truth: truth.mean)
    return {
        key for key, truth in truths.items() if truth.mean - best.mean <= errors * math.hypot(truth.error, best.error)
    }


def decided_at(moments: Sequence[Moment], good: set[str]) -> float | None:
    """Since when the pick has been a good one and stayed so; None where it is none in the end.

    >>> story = [Moment(1, "a"), Moment(2, "b"), Moment(3, "c"), Moment(4, "a")]
    >>> decided_at(story, {"a"}), decided_at(story, {"a", "c"}), decided_at(story, {"b"})
    (4, 3, None)
    """
    since = None
    for moment in moments:
        if moment.point not in good:
            since = None
        elif since is None:
            since = moment.seconds
    return since
