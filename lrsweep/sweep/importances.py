"""Which settings the values depend on: the share of each in what differs between trials, by Optuna's fANOVA.

It goes by the first rung, which every trial has run: those that came further were chosen for their values, and among
chosen ones the settings that mattered differ little. It goes by ranks, so that one training that nearly diverged does
not hide all others, and so that those that did diverge count: as the worst. Optimizers have peak rates of their own
ranges, so a rate counts by its place in its range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from lrsweep.records import Json, Purpose, Status, TrainingRow, TrialRow
from lrsweep.selection import cost
from lrsweep.space import peak_of
from lrsweep.space.points import SCHEDULE, decay_name
from lrsweep.study import ResolvedStudy

FEWEST = 8
"""Trials: of fewer nothing is said."""
FEW = 20
"""Trials: of fewer it is said, and that it is mostly chance."""
TREES, DEPTH = 32, 6
"""Of the forest. As deep as they get, trees take 38 s for 300 trials and 150 s for 1,000, and give the same shares to a
few hundredths; these take 2 s for both."""
PEAK, DECAY = "peak_lr", "weight_decay"

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Importances:
    """Shares that add up to 1, the largest first; empty where ``why_none`` says why."""

    shares: Mapping[str, float]
    n: int
    """trials; the diverged ones among them"""
    diverged: int
    horizon: int
    """of the rung that they are measured at"""
    why_none: str | None = None

    @property
    def is_of_few(self) -> bool:
        return self.n < FEW

    def to_json(self) -> dict[str, Json]:
        return {
            "shares": dict(self.shares),
            "n": self.n,
            "diverged": self.diverged,
            "horizon": self.horizon,
            "why_none": self.why_none,
        }


def importances(study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]) -> Importances:
    """Of the settings that all trials have: family, optimizer, peak rate, and what the space searches for all of them.

    The same rows give the same shares. A family's own settings are in none: too few trials have them.
    """
    values = _values(study, trainings)
    drawn = [
        trial for trial in trials if trial.number in values and trial.distributions and SCHEDULE not in trial.params
    ]
    order = sorted({values[trial.number] for trial in drawn})
    diverged = sum(math.isinf(values[trial.number]) for trial in drawn)
    points = [_shared(trial, study) for trial in drawn]
    common = set.intersection(*(set(each) for each in points)) if points else set()
    varied = sorted(name for name in common if len({repr(each[name]) for each in points}) > 1)

    def found(shares: Mapping[str, float], why_none: str | None = None) -> Importances:
        return Importances(shares, len(drawn), diverged, study.rungs[0], why_none)

    if len(drawn) < FEWEST:
        return found({}, f"it takes {FEWEST} trials with a result, and there are {len(drawn)}")
    if len(order) < 2:
        return found({}, "all trials came to the same result")
    if len(varied) < 2:
        return found({}, "the trials differ in fewer than two settings that they all have")
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances  # with scikit-learn: 0.7 s of a core

    copy = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    ranges = {name: _range([each[name] for each in points]) for name in varied}
    for trial, point in zip(drawn, points, strict=True):
        params = {name: point[name] for name in varied}
        rank = float(order.index(values[trial.number]))
        copy.add_trial(create_trial(state=TrialState.COMPLETE, params=params, distributions=ranges, value=rank))
    forest = FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=0)
    shares = get_param_importances(copy, evaluator=forest, params=varied)
    in_order = sorted(shares.items(), key=lambda each: (-each[1], each[0]))
    return found({name: float(share) for name, share in in_order})


def _values(study: ResolvedStudy, trainings: Sequence[TrainingRow]) -> dict[int, float]:
    """By trial, its cost at the first rung; infinite where it diverged. One that was repeated at its own rate counts
    by that."""
    found: dict[int, float] = {}
    for row in sorted(trainings, key=lambda row: -row.rate_scale):
        if row.rung != 0 or row.purpose is not Purpose.SEARCH:
            continue
        value = row.metrics.get(study.value_key)
        if row.status is Status.COMPLETED and value is not None:
            found[row.trial] = cost(value, study.sense)
        elif row.status is Status.DIVERGED:
            found[row.trial] = math.inf
    return found


def _shared(trial: TrialRow, study: ResolvedStudy) -> dict[str, Json]:
    """What trials of every family and optimizer have, under one name."""
    params, optimizer = trial.params, str(trial.params["optimizer"])
    low, high = study.space.peak_lr[optimizer]
    own = {name: value for name, value in params.items() if "." not in name or name.startswith("extra.")}
    if low < high:
        own[PEAK] = math.log(peak_of(params) / low) / math.log(high / low)
    if decay_name(optimizer) in params:
        own[DECAY] = params[decay_name(optimizer)]
    return own


def _range(values: Sequence[Json]) -> BaseDistribution:
    """What was drawn, as wide as it came out."""
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        return FloatDistribution(float(min(values)), float(max(values)))
    return CategoricalDistribution(tuple({repr(each): each for each in values}.values()))
