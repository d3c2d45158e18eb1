"""What to try first: what studies of the same kind have found, the nearest first.

    Kind ── distance ──> how far each past study is ──> families by how well they did there ──> Advised, Advised, …

Two trainings are of a kind when they learn the same task, at sizes that do not lie too far apart. That a family did
well there is a hint for the search and nothing more: nobody has compared it here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrsweep.records import Json, OptimizerSpec

FURTHEST = 2.0
"""Powers of ten that sizes may differ by, all together: one a hundredfold, or two tenfold each."""
UNKNOWN = 1.0
"""Where a size is not known on one side."""
LUCK = 0.5
"""By how much a study seems further away whose value of a family is of one seed, and was picked for being good: three
seeds at another horizon say more than one at the same."""
MOST_BEHIND = 3.0
"""One bad rate of one study says no more against a family than this."""


@dataclass(frozen=True)
class Kind:
    """What a training is by its sizes; None where a size is not known."""

    task: str
    """empty where nobody knows: then it is like nothing"""
    horizon: int
    batch_size: int | None = None
    parameters: int | None = None
    examples: int | None = None
    data: str = ""
    """a hash"""

    @property
    def sizes(self) -> dict[str, int | None]:
        return {
            "horizon": self.horizon,
            "batch": self.batch_size,
            "model": self.parameters,
            "data": self.examples,
        }


@dataclass(frozen=True)
class Found:
    """The best that a past study knows of one family."""

    family: str
    optimizer: OptimizerSpec
    schedule: str
    """JSON"""
    peak_lr: float
    """at that study's horizon"""
    extra: Mapping[str, Json]
    """parameters of a script's own"""
    cost: float
    """the smaller the better; whoever diverged more often has no smaller one"""
    metric: str
    value: float
    n: int
    """seeds behind it; 1: the search's own value, which was picked for being good"""
    diverged: int = 0
    """seeds that diverged, beside those"""


@dataclass(frozen=True)
class Past:
    study: str
    sweep: str
    kind: Kind
    found: tuple[Found, ...]
    """a family each, the best first"""


@dataclass(frozen=True)
class Advised:
    """One point to try, the best hint first."""

    found: Found
    past: Past
    """the nearest study that has tried the family"""
    distance: float
    place: int
    """of the family there, from 1"""
    score: float
    """how far behind each study's best the family was, the nearer studies counting for more: 0 where it was always the
    best, 1 where it was as good as the middle of the families"""
    studies: int
    """that have tried it"""

    @property
    def of(self) -> int:
        """Families that were tried there."""
        return len(self.past.found)


def distance(one: Kind, other: Kind) -> float | None:
    """Powers of ten between their sizes, added up; None where they are not of a kind.

    >>> distance(Kind("classification", 600, 64), Kind("classification", 6000, 64))
    1.0
    >>> distance(Kind("classification", 600), Kind("language", 600)) is None
    True
    """
    if not one.task or one.task != other.task:
        return None
    far = apart(one, other)
    return far if far <= FURTHEST else None


def _apart(one: int | None, other: int | None) -> float:
    if one is None and other is None:
        return 0.0
    return abs(math.log10(one / other)) if one and other else UNKNOWN


def apart(one: Kind, other: Kind) -> float:
    """Powers of ten between their sizes, added up."""
    return math.fsum(_apart(mine, other.sizes[name]) for name, mine in one.sizes.items())


def advise(kind: Kind, pasts: Sequence[Past]) -> list[Advised]:
    """A point of each family that studies of the kind have tried. ``pasts`` come oldest first: of two that are as near
    the newer one speaks. Values of different studies are never compared, only what each says of its own families."""
    near = [(far, past) for past in reversed(pasts) if past.found and (far := distance(kind, past.kind)) is not None]
    advised = []
    for family in dict.fromkeys(each.family for _, past in near for each in past.found):
        tried = [
            (far + (LUCK if own.n == 1 else 0.0), far, past, own)
            for far, past in near
            for own in past.found
            if own.family == family
        ]
        weights = [1 / (1 + far) for far, *_ in tried]
        behind = [_behind(family, past) for _, _, past, _ in tried]
        score = math.fsum(map(math.prod, zip(weights, behind, strict=True))) / math.fsum(weights)
        _, far, past, own = min(tried, key=lambda each: (each[2].kind.data != kind.data, each[0]))
        advised.append(Advised(own, past, far, 1 + past.found.index(own), score, len(tried)))
    return sorted(advised, key=lambda each: (each.score, each.distance))


def _behind(family: str, past: Past) -> float:
    costs = [each.cost for each in past.found]
    own = next(each.cost for each in past.found if each.family == family)
    best, middle = min(costs), float(np.median(costs))
    if own == best or middle == best:
        return 0.0 if own == best else MOST_BEHIND
    return min(MOST_BEHIND, (own - best) / (middle - best))
