"""Families and ranges <-> Optuna's suggestions <-> a ``Candidate``: what a trial is.

The parameters' names are the ones that people read in MLflow and in SQL: ``family``, ``optimizer``,
``cosine.sgd.peak_lr`` (the rate is searched per family and optimizer: comparing shapes at one shared rate picks the
wrong shape), a family's own settings as ``wsd.cooldown``, and ``warmup`` and ``floor`` where the study gives ranges.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution

from lrsweep.records import Json, OptimizerSpec
from lrsweep.schedules import Schedule, family, schedule
from lrsweep.study import OPTIMIZERS, Range, ResolvedStudy


@dataclass(frozen=True)
class Candidate:
    """One point of the space, ready to train."""

    schedule: Schedule
    peak_lr: float
    optimizer: OptimizerSpec


def suggest(trial: optuna.Trial, study: ResolvedStudy) -> None:
    """Asks Optuna for every parameter of the point; ``candidate`` reads ``trial.params`` afterwards."""
    name = trial.suggest_categorical("family", study.space.families)
    optimizer = trial.suggest_categorical("optimizer", study.space.optimizers)
    low, high = study.space.peak_lr[optimizer]
    trial.suggest_float(peak_lr_name(name, optimizer), low, high, log=True)
    for setting in family(name).settings():
        if setting.search is not None:
            trial.suggest_float(
                f"{name}.{setting.name}", setting.search.low, setting.search.high, log=setting.search.log
            )
    for shared, given in _shared_settings(name, study).items():
        if isinstance(given, tuple):
            trial.suggest_float(shared, *given)


def candidate(params: Mapping[str, Json], study: ResolvedStudy) -> Candidate:
    """The point that the parameters name."""
    name, optimizer = params["family"], params["optimizer"]
    settings = {key.removeprefix(f"{name}."): params[key] for key in params if _is_setting_of(name, key)}
    for shared, given in _shared_settings(name, study).items():
        settings[shared] = params[shared] if isinstance(given, tuple) else given
    return Candidate(schedule(name, **settings), params[peak_lr_name(name, optimizer)], OPTIMIZERS[optimizer])


def peak_lr_name(family_name: str, optimizer: str) -> str:
    return f"{family_name}.{optimizer}.peak_lr"


def _shared_settings(family_name: str, study: ResolvedStudy) -> dict[str, float | Range]:
    """What the study says of the settings that every family has: a number, or a range that is searched.

    A family that rises by itself (``one_cycle``) gets no warm-up before it, since the rate would fall back in between;
    nor is one searched for it, since the sampler would learn from a parameter that does nothing.
    """
    rises_by_itself = schedule(family_name).factor(0.0) < 1.0
    return {"warmup": 0.0 if rises_by_itself else study.space.warmup, "floor": study.space.floor}


def _is_setting_of(family_name: str, key: str) -> bool:
    return key.startswith(f"{family_name}.") and key.count(".") == 1


def distributions_to_json(distributions: Mapping[str, BaseDistribution]) -> dict[str, Json]:
    return {name: json.loads(distribution_to_json(each)) for name, each in distributions.items()}


def distributions_from_json(stored: Mapping[str, Json]) -> dict[str, BaseDistribution]:
    return {name: json_to_distribution(json.dumps(each)) for name, each in stored.items()}
