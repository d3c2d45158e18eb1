"""How exactly the peak rate has to be met: the rates around a schedule's best one that lose no more than ``worth``."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrsweep.records import Direction, Json
from lrsweep.selection.parabola import COEFFICIENTS, optimum
from lrsweep.selection.ranking import cost
from lrsweep.selection.results import Point, Result

FEWEST_RATES = COEFFICIENTS + 1
"""A parabola through three says nothing of how well it fits."""
NEIGHBOURS = 2
"""Rates to either side of the best one that the parabola is laid through: further off the costs are none."""


@dataclass(frozen=True)
class Rates:
    """Peak rates whose cost lies within ``worth`` of the best rate's, by a parabola over log rates."""

    best: float
    low: float
    high: float
    """``low`` and ``high`` lie within what was measured"""
    measured: int
    """rates that the parabola is laid through"""
    misfit: float
    """by which the measured means miss the parabola, typically"""

    def to_json(self) -> dict[str, Json]:
        return {
            "low": self.low,
            "high": self.high,
            "best": self.best,
            "rates_measured": self.measured,
            "misfit": self.misfit,
        }


def rates_within(
    results: Sequence[Result], chosen: Point, horizon: int, worth: float | None, direction: Direction
) -> Rates | str:
    """Of the chosen point's schedule at the horizon. A sentence where the results do not say it."""
    costs = _costs_by_rate([each for each in results if each.horizon == horizon], chosen, direction)
    if len(costs) < FEWEST_RATES:
        were = "was" if len(costs) == 1 else "were"
        return f"at {horizon} steps {len(costs)} of its peak rates {were} trained, and it takes {FEWEST_RATES}"
    if worth is None:
        return "what a gain is worth is not known"
    rates = _around_the_best(costs)
    found = optimum([(math.log(rate), costs[rate]) for rate in rates])
    if isinstance(found, str):
        return found
    misfit = math.sqrt(found.misfit / found.freedom)
    if misfit > worth:
        return f"its rates miss a parabola by {misfit:.2g}, more than the {worth:.2g} that a gain is worth"
    reach = math.sqrt(worth / found.bend)
    finite = [rate for rate in rates if math.isfinite(costs[rate])]
    return Rates(
        best=math.exp(found.at),
        # a large worth reaches beyond any float
        low=math.exp(found.at - reach) if found.at - reach > math.log(finite[0]) else finite[0],
        high=math.exp(found.at + reach) if found.at + reach < math.log(finite[-1]) else finite[-1],
        measured=len(finite),
        misfit=misfit,
    )


def shared(results: Sequence[Result], chosen: Point) -> list[Result]:
    """Those of the chosen point's schedule, by the seeds with which it has ended at each of its rates."""
    own = [each for each in results if each.point.peak_lr is not None and _is_of_kind(each.point, chosen)]
    seeds = [{each.seed for each in own if each.point.peak_lr == rate} for rate in {each.point.peak_lr for each in own}]
    everywhere = set.intersection(*seeds) if seeds else set()
    return [each for each in own if each.seed in everywhere]


def reach_of(costs: Mapping[float, Sequence[float]]) -> tuple[float, float]:
    """How low and how high ``rates_within`` looks at most, by all costs of one kind's rates, infinite for trials that
    diverged at some horizon.

    It counts rates to either side of the best. Some of those that diverged are none of them, for they ended below: so
    only those with values are counted here, which reaches further. Where a rate has both, its mean may be either, and
    nothing bounds the best.
    """
    means = {rate: math.fsum(of) / len(of) for rate, of in costs.items() if math.isfinite(min(of, default=math.inf))}
    if not all(map(math.isfinite, means.values())):
        return 0.0, math.inf
    rates = sorted(means)
    best = min(range(len(rates)), key=lambda place: means[rates[place]], default=0)
    low, high = best - 2 * NEIGHBOURS, best + 2 * NEIGHBOURS
    return rates[low] if low >= 0 else 0.0, rates[high] if high < len(rates) else math.inf


def _around_the_best(costs: dict[float, float]) -> list[float]:
    """In order; with more to one side where the other has too few."""
    rates = sorted(costs)
    best = min(range(len(rates)), key=lambda place: costs[rates[place]])
    first = max(0, min(best - NEIGHBOURS, len(rates) - 2 * NEIGHBOURS - 1))
    return rates[first : first + 2 * NEIGHBOURS + 1]


def _costs_by_rate(results: Sequence[Result], chosen: Point, direction: Direction) -> dict[float, float]:
    """Mean costs; infinite where a seed diverged."""
    found: dict[float, list[float]] = defaultdict(list)
    for each in results:
        if each.point.peak_lr is not None and _is_of_kind(each.point, chosen):
            is_value = each.value is not None and not each.has_diverged
            found[each.point.peak_lr].append(cost(each.value or 0.0, direction) if is_value else math.inf)
    return {rate: math.fsum(costs) / len(costs) for rate, costs in found.items()}


def kind_of(point: Point) -> tuple[str, str | None, str]:
    """All but the rate; of a study's trials, each of which has a number, without that."""
    beside = {name: each for name, each in json.loads(point.beside or "{}").items() if name != "trial"}
    return point.family, point.schedule, json.dumps(beside, sort_keys=True)


def _is_of_kind(point: Point, chosen: Point) -> bool:
    return (point.family, point.schedule) == (chosen.family, chosen.schedule) and kind_of(point) == kind_of(chosen)
