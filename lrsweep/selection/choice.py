"""The choice: what the results of trainings say of which schedule to use, with all that one needs to trust it or not.

Rows in, one frozen value out, whoever made the rows: a study's finals, a table of somebody else's, an MLflow
experiment. Only the deciding horizon decides; shorter ones are shown with what they cost and would have cost.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lrsweep.records import Direction, Json
from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import ALPHA, difference
from lrsweep.selection.deciding import Evidence, Verdict, decide
from lrsweep.selection.examples import OverExamples, examined, over_examples
from lrsweep.selection.lengths import AtHorizon, at_each_horizon
from lrsweep.selection.needed import next_step
from lrsweep.selection.probabilities import probability_best
from lrsweep.selection.ranking import cost
from lrsweep.selection.rates import FEWEST_RATES, Rates, rates_within, shared
from lrsweep.selection.results import (
    LeftOut,
    Point,
    Result,
    arms_of,
    at_horizon,
    finalists,
    horizons,
    largest_block,
    left_out,
    mean_cost,
)
from lrsweep.selection.statistics import Interval, listed, turned
from lrsweep.selection.targets import Target, Targeted, cheapest


@dataclass(frozen=True)
class Standing:
    """One finalist in the metric's own units."""

    point: Point
    n: int
    diverged: int
    divergence_rate: float
    mean: float | None
    sd: float | None
    interval: Interval | None
    """95 %, of the mean, over seeds"""
    gain: float | None
    """over the baseline, above zero where it is better"""
    gain_interval: Interval | None
    cost: float | None
    """of a training, on the mean"""
    probability_best: float | None
    is_baseline: bool
    examples: OverExamples | None = None
    """the same over the examples that decide, where their losses were kept"""

    @property
    def gain_may_turn(self) -> bool:
        """Whether seeds show which way the gain over the baseline goes, and examples do not."""
        if self.gain_interval is None or self.examples is None or self.examples.baseline is None:
            return False
        return not self.gain_interval.holds(0.0) and self.examples.baseline.interval.holds(0.0)

    @property
    def turning(self) -> str | None:
        """A sentence that says so, where it may turn."""
        if not self.gain_may_turn or self.examples is None or self.examples.baseline is None:
            return None
        within = self.examples.baseline.interval
        return (
            "By seeds its gain over the baseline is clear of 0, over examples it is not (95 %: "
            f"{within.low:.3g} to {within.high:.3g}): on another validation set of {self.examples.n:,} examples this "
            "may turn round."
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "family": self.point.family,
            "schedule": self.point.schedule or None,
            "peak_lr": self.point.peak_lr,
            **(json.loads(self.point.beside) if self.point.beside else {}),
            "n": self.n,
            "diverged": self.diverged,
            "divergence_rate": self.divergence_rate,
            "mean": self.mean,
            "sd": self.sd,
            "interval": listed(self.interval),
            "gain": self.gain,
            "gain_interval": listed(self.gain_interval),
            "cost": self.cost,
            "probability_best": self.probability_best,
            "is_baseline": self.is_baseline,
            "over_examples": None if self.examples is None else self.examples.to_json(),
        }


@dataclass(frozen=True)
class Argmin:
    """What whoever takes the best single value would take, and how much too good that value is."""

    point: Point
    value: float
    mean: float | None
    """over its other seeds; None where there are none"""
    optimism: float | None
    """by how much the value is better than that mean"""
    is_searched: bool
    """whether a search saw the value, before the seeds that decide"""

    def to_json(self) -> dict[str, Json]:
        return {
            "family": self.point.family,
            "peak_lr": self.point.peak_lr,
            "value": self.value,
            "mean": self.mean,
            "optimism": self.optimism,
            "is_searched": self.is_searched,
        }


@dataclass(frozen=True)
class Choice:
    """Families by their labels; ``standings`` has the arms, the best first."""

    direction: Direction
    horizon: int
    verdict: Verdict
    recommended: Standing
    standings: tuple[Standing, ...]
    winner: str | None
    equivalence_set: tuple[str, ...]
    probability_best: Mapping[str, float | None]
    argmin: Argmin
    by_horizon: tuple[AtHorizon, ...]
    search_cost: float | None
    """of all trainings"""
    trainings: int
    points: int
    next_step: str | None
    """what would raise the evidence; None where it is proven"""
    rates: Rates | str
    """the peak rates of the recommended schedule that are within ``worth`` of its best; a sentence where that is not
    known"""
    left_out: tuple[LeftOut, ...] = ()
    other_blocks: Mapping[str, int] = field(default_factory=dict)
    """how many trainings were not compared, by how they were trained"""
    targeted: Targeted | None = None
    """where a target was named"""
    cost_unit: str | None = None
    """where it is known"""

    @property
    def evidence(self) -> Evidence:
        return self.verdict.evidence

    def to_json(self) -> dict[str, Json]:
        recommended = self.recommended
        return {
            "winner": self.winner,
            "recommended": recommended.point.family,
            "evidence": self.evidence.value,
            "equivalence_set": list(self.equivalence_set),
            "probability_best": dict(self.probability_best),
            "horizon": self.horizon,
            "n": recommended.n,
            "choice": recommended.to_json(),
            "gain_may_turn": recommended.gain_may_turn,
            "finalists": [each.to_json() for each in self.standings],
            "worth": self.verdict.worth,
            "direction": self.direction,
            "argmin": self.argmin.to_json(),
            "by_horizon": [each.to_json() for each in self.by_horizon],
            "search_cost": self.search_cost,
            "cost_unit": self.cost_unit,
            "trainings": self.trainings,
            "points": self.points,
            "next_step": self.next_step,
            "peak_lr_within_worth": self.rates.to_json() if isinstance(self.rates, Rates) else None,
            "why_no_rates": None if isinstance(self.rates, Rates) else self.rates,
            "left_out": [each.to_json() for each in self.left_out],
            "other_blocks": dict(self.other_blocks),
            "target": None if self.targeted is None else self.targeted.to_json(),
        }


def choose(
    results: Sequence[Result],
    *,
    direction: Direction = "minimize",
    horizon: int | None = None,
    searched: Sequence[Result] = (),
    baseline: Point | str | None = None,
    worth: float | None = None,
    target: Target | None = None,
    searched_again: Sequence[Result] = (),
    picked: Sequence[Result] = (),
    is_picked_by_itself: bool = False,
    rated: Sequence[Result] = (),
    alpha: float = ALPHA,
    looks: int = 1,
) -> Choice:
    """The longest horizon decides unless one is given. Raises ValueError where nothing there came to a value.

    ``baseline`` is a point, or a family, of which the best is taken. ``searched`` is what a search saw before these
    ``results``, and is not to decide by: by its best value the argmin would have chosen. ``searched_again`` are the
    trainings of the ``results`` by what the search went by, where that is another metric: they say how lucky that best
    value was. ``picked`` is what a search took for the best at shorter horizons, which has no part in the choice at the
    deciding one. ``is_picked_by_itself``: by these very values, the luckiest of many; then they are only shown.
    ``rated`` are trainings of some points at other peak rates too, by what the search went by. ``alpha`` is what all
    ``looks`` at growing results together may claim wrongly; intervals are of 95 % each, whatever it is.
    """
    deciding = horizons(results)[-1] if horizon is None else horizon
    everything, _ = largest_block([*results, *picked], deciding)
    picked = [each for each in everything if each.horizon not in horizons(results)]
    results, other_blocks = largest_block(results, deciding)
    points = at_horizon(results, deciding)
    final = finalists(points)
    arms = arms_of(final, direction, _baseline(final, direction, baseline))
    verdict = decide(arms, worth=worth, alpha=alpha, looks=looks)
    chances = probability_best(arms)
    by_name = {point.name: point for point in final}
    judge = next((arm for arm in arms if arm.is_baseline and arm.mean is not None), None)
    told = {arm.name: examined(arm, final[by_name[arm.name]], direction) for arm in arms}
    of_judge = None if judge is None else told[judge.name]
    standings = [
        replace(
            _standing(arm, by_name[arm.name], final[by_name[arm.name]], judge, chances[arm.name], direction),
            examples=over_examples(told[arm.name], of_judge, told[verdict.recommended], direction),
        )
        for arm in sorted(arms, key=lambda each: each.place)
    ]
    costs = [each.cost for each in results if each.cost is not None]
    recommended = next(each for each in standings if each.point.name == verdict.recommended)
    return Choice(
        direction=direction,
        horizon=deciding,
        verdict=verdict,
        recommended=recommended,
        standings=tuple(standings),
        winner=by_name[verdict.winner].family if verdict.winner else None,
        equivalence_set=tuple(dict.fromkeys(by_name[name].family for name in verdict.equivalence_set)),
        probability_best=_by_family(arms, chances),
        argmin=_argmin(_with_values(searched, deciding), _with_values(searched_again or results, deciding), direction),
        by_horizon=at_each_horizon(
            results, direction, deciding, verdict.recommended, picked, is_picked_by_itself=is_picked_by_itself
        ),
        search_cost=math.fsum(costs) if costs else None,
        trainings=len(results),
        points=len({each.point for each in results}),
        next_step=next_step(arms, verdict, alpha=alpha, looks=looks),
        # one metric: a search sees another half of the validation data than its finals
        rates=_rates(rated, [*searched, *rated] or results, recommended.point, deciding, verdict.worth, direction),
        left_out=tuple(left_out(points, baseline)),
        other_blocks=other_blocks,
        targeted=None if target is None else cheapest([*results, *([] if is_picked_by_itself else picked)], target),
    )


def _rates(
    rated: Sequence[Result],
    others: Sequence[Result],
    chosen: Point,
    horizon: int,
    worth: float | None,
    direction: Direction,
) -> Rates | str:
    """By the design alone where it has enough: its rates share their seeds, and each trial of a search has its own."""
    designed = shared(rated, chosen)
    rates = {each.point.peak_lr for each in designed}
    return rates_within(designed if len(rates) >= FEWEST_RATES else others, chosen, horizon, worth, direction)


def _baseline(final: Mapping[Point, Sequence[Result]], direction: Direction, given: Point | str | None) -> Point | None:
    if not isinstance(given, str):
        return given
    own = arms_of({point: rows for point, rows in final.items() if point.family == given}, direction, None)
    best = min(own, key=lambda arm: arm.place, default=None)
    return next((point for point in final if best is not None and point.name == best.name), None)


def _standing(
    arm: Arm, point: Point, rows: Sequence[Result], judge: Arm | None, chance: float | None, direction: Direction
) -> Standing:
    sign = cost(1.0, direction)
    rival = judge if judge is not arm else None
    gained = difference(rival, arm) if rival is not None else None
    return Standing(
        point=point,
        n=arm.n,
        diverged=arm.diverged,
        divergence_rate=arm.divergence_rate,
        mean=None if arm.mean is None else sign * arm.mean,
        sd=arm.sd,
        interval=turned(arm.interval(), sign),
        gain=None if rival is None or rival.mean is None or arm.mean is None else rival.mean - arm.mean,
        gain_interval=None if gained is None else gained.interval(),
        cost=mean_cost(rows),
        probability_best=chance,
        is_baseline=arm.is_baseline,
    )


def _by_family(arms: Sequence[Arm], chances: Mapping[str, float | None]) -> dict[str, float | None]:
    found: dict[str, list[float | None]] = defaultdict(list)
    for arm in arms:
        found[arm.family].append(chances[arm.name])
    return {
        family: math.fsum(each for each in of_family if each is not None) if None not in of_family else None
        for family, of_family in found.items()
    }


def _with_values(results: Sequence[Result], horizon: int) -> list[Result]:
    return [each for each in results if each.horizon == horizon and not each.has_diverged]


def _argmin(searched: Sequence[Result], results: Sequence[Result], direction: Direction) -> Argmin:
    best = min(searched or results, key=lambda row: cost(row.value or 0.0, direction))
    assert best.value is not None
    others = [row.value or 0.0 for row in results if row.point == best.point and row is not best]
    mean = float(np.mean(others)) if others else None
    optimism = None if mean is None else cost(mean, direction) - cost(best.value, direction)
    return Argmin(best.point, best.value, mean, optimism, bool(searched))
