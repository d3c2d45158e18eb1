"""The cheapest schedule and horizon that reach a target: as far as is shown, and as far as was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.records import Direction, Json
from lrsweep.selection.ranking import cost
from lrsweep.selection.results import Point, Result, arms_of, at_horizon, finalists, horizons, mean_cost
from lrsweep.selection.statistics import Interval, listed, turned


@dataclass(frozen=True)
class Target:
    value: float
    direction: Direction
    """which values reach it: those from it up where that is to maximize"""

    def __str__(self) -> str:
        return f"{'>=' if self.direction == 'maximize' else '<='} {self.value:g}"

    def is_reached_by(self, value: float) -> bool:
        """
        >>> Target(0.5, "maximize").is_reached_by(0.5), Target(0.5, "minimize").is_reached_by(0.6)
        (True, False)
        """
        return cost(value, self.direction) <= cost(self.value, self.direction)


@dataclass(frozen=True)
class Reaching:
    """A point at a horizon at which it reaches the target."""

    point: Point
    horizon: int
    mean: float
    interval: Interval | None
    """95 %, of the mean"""
    n: int
    diverged: int
    cost: float | None
    """of a training, on the mean"""

    def to_json(self) -> dict[str, Json]:
        return {
            "family": self.point.family,
            "schedule": self.point.schedule or None,
            "peak_lr": self.point.peak_lr,
            "horizon": self.horizon,
            "mean": self.mean,
            "interval": listed(self.interval),
            "n": self.n,
            "diverged": self.diverged,
            "cost": self.cost,
        }


@dataclass(frozen=True)
class Targeted:
    target: Target
    shown: Reaching | None
    """the cheapest whose interval reaches it as a whole, and that has not diverged; its own 95 % stand for it alone, so
    of many points that come close to the target one may pass by luck"""
    measured: Reaching | None
    """the cheapest whose mean reaches it"""

    def to_json(self) -> dict[str, Json]:
        return {
            "target": str(self.target),
            "shown": None if self.shown is None else self.shown.to_json(),
            "measured": None if self.measured is None else self.measured.to_json(),
        }


def cheapest(results: Sequence[Result], target: Target) -> Targeted:
    """By what a training costs, where that is known of all; else by its steps, and then by its cost."""
    found = [each for horizon in horizons(results) for each in _compared(results, horizon, target.direction)]
    is_known = all(each.cost is not None for each in found)

    def price(each: Reaching) -> tuple[float, int, float, float]:
        own = math.inf if each.cost is None else each.cost
        return own if is_known else 0.0, each.horizon, own, cost(each.mean, target.direction)

    in_order = sorted(found, key=price)
    return Targeted(
        target,
        shown=next((each for each in in_order if _is_shown(each, target)), None),
        measured=next((each for each in in_order if target.is_reached_by(each.mean)), None),
    )


def _is_shown(each: Reaching, target: Target) -> bool:
    if each.interval is None or each.diverged:
        return False
    return target.is_reached_by(each.interval.low) and target.is_reached_by(each.interval.high)


def _compared(results: Sequence[Result], horizon: int, direction: Direction) -> list[Reaching]:
    sign = cost(1.0, direction)
    final = finalists(at_horizon(results, horizon))
    by_name = {point.name: point for point in final}
    return [
        Reaching(
            point=by_name[arm.name],
            horizon=horizon,
            mean=sign * arm.mean,
            interval=turned(arm.interval(), sign),
            n=arm.n,
            diverged=arm.diverged,
            cost=mean_cost(final[by_name[arm.name]]),
        )
        for arm in arms_of(final, direction, None)
        if arm.mean is not None
    ]
