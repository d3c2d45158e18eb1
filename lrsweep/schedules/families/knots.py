from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.base import Schedule
from lrsweep.schedules.course import Floats
from lrsweep.schedules.kinds import UNIT, Numbers
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Knots(Schedule):
    """A free form: a smooth curve through the given heights, which never leaves the span of the two it is between."""

    family: ClassVar[str] = "knots"
    formula: ClassVar[str] = "the monotone cubic through `points`, evenly spaced from u = 0 to u = 1"
    source: ClassVar[str] = (
        "Fritsch, Carlson 1980, with the slopes of Fritsch, Butland 1984, as SciPy's PchipInterpolator; "
        "free forms in a search as in Naganuma et al. 2026, arXiv:2603.10301"
    )
    use: ClassVar[str] = "To let a search find the shape itself, when there are trials enough for a number per point."
    simplicity: ClassVar[int] = 80

    points: tuple[float, ...] = setting(
        (1.0, 0.75, 0.5, 0.25, 0.0),
        allowed=Numbers(each=UNIT, least=2, most=1000),
        search=Search(0.0, 1.0),
        meaning="the factors at evenly spaced places, the first at the beginning and the last at the end",
    )

    def decay(self, u: Floats) -> Floats:
        points = np.asarray(self.points)
        slopes = slopes_of(points)
        place = u * (len(points) - 1)
        left = np.minimum(np.floor(place), len(points) - 2).astype(np.int64)
        t = place - left
        before, after = points[left], points[left + 1]
        s = 1.0 - t
        curve = (
            before * (s * s * (1.0 + 2.0 * t))
            + after * (t * t * (3.0 - 2.0 * t))
            + t * s * (slopes[left] * s - slopes[left + 1] * t)
        )
        # Between the two on paper; rounding may lead a hair beyond.
        return np.clip(curve, np.minimum(before, after), np.maximum(before, after))


def slopes_of(points: Floats) -> Floats:
    """The slope at each point, per gap between two: the harmonic mean of the slopes beside it, 0 at a turning point."""
    rises = np.diff(points)
    if len(rises) == 1:
        return np.repeat(rises, 2)
    before, after = rises[:-1], rises[1:]
    same_way = np.sign(before) * np.sign(after) > 0
    total = np.where(same_way, before + after, 1.0)
    inner = np.where(same_way, 2.0 * before * (after / total), 0.0)
    return np.array([_end_slope(rises[0], rises[1]), *inner, _end_slope(rises[-1], rises[-2])])


def _end_slope(nearest: float, next_one: float) -> float:
    """The slope of the parabola through the last three points, as far as the curve then keeps its direction."""
    slope = 1.5 * nearest - 0.5 * next_one
    if slope * nearest <= 0:
        return 0.0
    if nearest * next_one < 0 and abs(slope) > 3.0 * abs(nearest):
        return 3.0 * nearest
    return slope
