"""Families and ranges <-> Optuna's suggestions <-> a ``Candidate``: what a trial is.

The parameters' names are the ones that people read in MLflow and in SQL: ``family``, ``optimizer``,
``cosine.sgd.peak_lr`` (the rate is searched per family and optimizer: comparing shapes at one shared rate picks the
wrong shape), a family's own settings as ``wsd.cooldown``, the numbers of a list as ``knots.points.1``, ``warmup`` and
``floor`` where the study gives ranges, and the parameters of a user's own script as ``extra.dropout``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution

from lrsweep.records import Json, OptimizerSpec
from lrsweep.schedules import Options, Schedule, Search, family, schedule
from lrsweep.study import Range, ResolvedStudy, mode_of
from lrsweep.study.extra import Choices, is_searched

STEPS_TO_LOOK_AT = 100
"""Enough to see a curve's shape."""


@dataclass(frozen=True)
class Candidate:
    """One point of the space, ready to train."""

    schedule: Schedule
    peak_lr: float
    optimizer: OptimizerSpec
    extra: Mapping[str, Json] = field(default_factory=dict)
    """the script's own parameters"""


def suggest(trial: optuna.Trial, study: ResolvedStudy) -> None:
    """Asks Optuna for every parameter of the point; ``candidate`` reads ``trial.params`` afterwards."""
    name = trial.suggest_categorical("family", study.space.families)
    optimizer = trial.suggest_categorical("optimizer", study.space.optimizers)
    low, high = study.space.peak_lr[optimizer]
    trial.suggest_float(peak_lr_name(name, optimizer), low, high, log=True)
    for setting in family(name).settings():
        for drawn, search in setting.searched().items():
            _suggest(trial, f"{name}.{drawn}", search)
    for shared, given in _shared_settings(name, study).items():
        if isinstance(given, tuple):
            trial.suggest_float(shared, *given)
    for own, extra in study.space.extra.items():
        if is_searched(extra):
            _suggest(trial, extra_name(own), extra)


def _suggest(trial: optuna.Trial, name: str, search: Search | Options | Choices) -> None:
    if isinstance(search, Options):
        trial.suggest_categorical(name, search.names)
    elif isinstance(search, Choices):
        trial.suggest_categorical(name, search.values)
    elif search.whole:
        trial.suggest_int(name, int(search.low), int(search.high), log=search.log)
    else:
        trial.suggest_float(name, search.low, search.high, log=search.log)


def candidate(params: Mapping[str, Json], study: ResolvedStudy) -> Candidate:
    """The point that the parameters name.

    Boundaries are drawn in any order. The parameters stay as they were drawn; the schedule has them in order.
    """
    name, optimizer = params["family"], params["optimizer"]
    settings = {
        setting.name: setting.drawn({drawn: params[f"{name}.{drawn}"] for drawn in setting.searched()})
        for setting in family(name).settings()
        if setting.search
    }
    for shared, given in _shared_settings(name, study).items():
        settings[shared] = params[shared] if isinstance(given, tuple) else given
    settings |= mode_of(name, study.direction)
    return Candidate(
        schedule=schedule(name, **settings),
        peak_lr=params[peak_lr_name(name, optimizer)],
        optimizer=study.optimizer(optimizer),
        extra={
            own: params[extra_name(own)] if is_searched(extra) else extra for own, extra in study.space.extra.items()
        },
    )


def peak_lr_name(family_name: str, optimizer: str) -> str:
    return f"{family_name}.{optimizer}.peak_lr"


def extra_name(name: str) -> str:
    return f"extra.{name}"


def _shared_settings(family_name: str, study: ResolvedStudy) -> dict[str, float | Range]:
    """What the study says of the settings that every family has: a number, or a range that is searched.

    A family that rises by itself (``one_cycle``, ``cyclic``) gets no warm-up before it, since the rate would fall back
    in between; nor is one searched for it, since the sampler would learn from a parameter that does nothing.
    """
    return {"warmup": 0.0 if rises_by_itself(family_name) else study.space.warmup, "floor": study.space.floor}


@functools.cache
def rises_by_itself(family_name: str) -> bool:
    """Whether the family, as it is without settings, begins below a height that it reaches later.

    A reactive one is asked as it stands before its first metric: what metrics make of it is not its own rise.
    """
    course = schedule(family_name).course(STEPS_TO_LOOK_AT)
    factors = course.factors(course.begin())
    return bool(factors.max() > factors[0])


def distributions_to_json(distributions: Mapping[str, BaseDistribution]) -> dict[str, Json]:
    return {name: json.loads(distribution_to_json(each)) for name, each in distributions.items()}


def distributions_from_json(stored: Mapping[str, Json]) -> dict[str, BaseDistribution]:
    return {name: json_to_distribution(json.dumps(each)) for name, each in stored.items()}
