"""What other horizons would have given: the best of each, what it costs in the metric, and what it saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lrsweep.records import Direction, Json
from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import difference
from lrsweep.selection.ranking import cost
from lrsweep.selection.results import Point, Result, arms_of, at_horizon, finalists, horizons, mean_cost
from lrsweep.selection.statistics import Interval, listed, turned


@dataclass(frozen=True)
class AtHorizon:
    """The best of those that were compared at one horizon."""

    horizon: int
    best: Point
    mean: float
    interval: Interval | None
    n: int
    cost: float | None
    """of a training, on the mean"""
    worse: float | None
    """than the recommended at the deciding horizon; below zero where it is better"""
    worse_interval: Interval | None
    share: float
    """of the deciding horizon's steps"""
    is_searched: bool = False
    """whether a search picked it, by the one seed that it has there"""

    def to_json(self) -> dict[str, Json]:
        return {
            "horizon": self.horizon,
            "family": self.best.family,
            "peak_lr": self.best.peak_lr,
            "mean": self.mean,
            "interval": listed(self.interval),
            "n": self.n,
            "cost": self.cost,
            "worse": self.worse,
            "worse_interval": listed(self.worse_interval),
            "share_of_steps": self.share,
            "is_searched": self.is_searched,
        }


def at_each_horizon(
    results: Sequence[Result],
    direction: Direction,
    deciding: int,
    recommended: str,
    picked: Sequence[Result] = (),
    *,
    is_picked_by_itself: bool = False,
) -> tuple[AtHorizon, ...]:
    """The shortest first; without those at which nothing came to a value. ``recommended`` is the point's name;
    ``picked`` is what a search took for the best at horizons that the results do not have; where it went by the same
    values, these are the luckiest of many, and nothing is compared with them."""
    points = finalists(at_horizon(results, deciding))
    judge = next((arm for arm in arms_of(points, direction, None) if arm.name == recommended), None)
    measured = [_at(results, each, direction, deciding, judge) for each in horizons(results)]
    of_picked = None if is_picked_by_itself else judge
    searched = [_at(picked, each, direction, deciding, of_picked) for each in horizons(picked)]
    found = [*(replace(each, is_searched=True) for each in searched if each), *(each for each in measured if each)]
    return tuple(sorted(found, key=lambda each: each.horizon))


def _at(
    results: Sequence[Result], horizon: int, direction: Direction, deciding: int, judge: Arm | None
) -> AtHorizon | None:
    final = finalists(at_horizon(results, horizon))
    best = min(arms_of(final, direction, None), key=lambda arm: arm.place)
    if best.mean is None:
        return None
    point = next(each for each in final if each.name == best.name)
    sign = cost(1.0, direction)
    between = None if judge is None or horizon == deciding else difference(best, judge)
    return AtHorizon(
        horizon=horizon,
        best=point,
        mean=sign * best.mean,
        interval=turned(best.interval(), sign),
        n=best.n,
        cost=mean_cost(final[point]),
        worse=None if judge is None or judge.mean is None or horizon == deciding else best.mean - judge.mean,
        worse_interval=None if between is None else between.interval(),
        share=horizon / deciding,
    )
