"""A point of a study's space: what Optuna is asked for, and what the parameters that it names stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lrsweep.records import Json, OptimizerSpec
from lrsweep.schedules import Options, Schedule, Search, schedule, schedule_from_json
from lrsweep.study import ResolvedStudy, mode_of
from lrsweep.study.extra import Choices, is_searched

if TYPE_CHECKING:  # a look at results reads points and draws none: it does not wait for Optuna, 0.1 s
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

SCHEDULE = "schedule"
"""The parameter that only a point beside the space has: its whole schedule as JSON."""


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
    family_name = trial.suggest_categorical("family", study.space.families)
    optimizer = trial.suggest_categorical("optimizer", study.space.optimizers)
    for name, distribution in distributions_of(study, family_name, optimizer).items():
        draw(trial, name, distribution)


def distributions_of(study: ResolvedStudy, family_name: str, optimizer: str) -> dict[str, BaseDistribution]:
    """What is drawn once family and optimizer are known, in the order in which it is drawn."""
    from optuna.distributions import FloatDistribution

    space = study.space
    low, high = space.peak_lr[optimizer]
    found: dict[str, BaseDistribution] = {
        peak_lr_name(family_name, optimizer): FloatDistribution(low, high, log=True),
        **{f"{family_name}.{drawn}": distribution(each) for drawn, each in space.searched(family_name).items()},
    }
    for shared, given in study.space.shared(family_name).items():
        if isinstance(given, tuple):
            found[shared] = FloatDistribution(*given)
    decay = space.weight_decay.get(optimizer)
    if isinstance(decay, tuple):
        found[decay_name(optimizer)] = FloatDistribution(*decay, log=decay[0] > 0)
    return found | {extra_name(own): distribution(each) for own, each in space.extra.items() if is_searched(each)}


def distribution(search: Search | Options | Choices) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(search, Options):
        return CategoricalDistribution(search.names)
    if isinstance(search, Choices):
        return CategoricalDistribution(search.values)
    if search.whole:
        return IntDistribution(int(search.low), int(search.high), log=search.log)
    return FloatDistribution(search.low, search.high, log=search.log)


def draw(trial: BaseTrial, name: str, distribution: BaseDistribution) -> Json:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match distribution:
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
    raise TypeError(f"{name}: {distribution} is no distribution of a point")


def candidate(params: Mapping[str, Json], study: ResolvedStudy) -> Candidate:
    """The point that the parameters name.

    Boundaries are drawn in any order. The parameters stay as they were drawn; the schedule has them in order.
    """
    if SCHEDULE in params:
        return _beside_the_space(params, study)
    name, optimizer = params["family"], params["optimizer"]
    drawn = {each: params[f"{name}.{each}"] for each in study.space.searched(name)}
    settings = study.space.settings_of(name, drawn)
    for shared, given in study.space.shared(name).items():
        settings[shared] = params[shared] if isinstance(given, tuple) else given
    settings |= mode_of(name, study.direction)
    return Candidate(
        schedule=schedule(name, **settings),
        peak_lr=params[peak_lr_name(name, optimizer)],
        optimizer=_with_decay(params, study, optimizer),
        extra={
            own: params[extra_name(own)] if is_searched(extra) else extra for own, extra in study.space.extra.items()
        },
    )


def _beside_the_space(params: Mapping[str, Json], study: ResolvedStudy) -> Candidate:
    optimizer = study.optimizer(params["optimizer"])
    return Candidate(
        schedule=schedule_from_json(params[SCHEDULE]),
        peak_lr=params["peak_lr"],
        optimizer=replace(optimizer, settings={**optimizer.settings, **params["settings"]}),
        extra=dict(params["extra"]),
    )


def _with_decay(params: Mapping[str, Json], study: ResolvedStudy, name: str) -> OptimizerSpec:
    optimizer = study.optimizer(name)
    if not isinstance(study.space.weight_decay.get(name), tuple):
        return optimizer
    return replace(optimizer, settings={**optimizer.settings, "weight_decay": params[decay_name(name)]})


def fits(params: Mapping[str, Json], study: ResolvedStudy) -> bool:
    """Whether the parameters are those of a point of the study's space, no more and no fewer, each in its range.

    What the study pins is no parameter: whether a point from elsewhere has those values too is not asked here.
    """
    name, optimizer = params.get("family"), params.get("optimizer")
    if name not in study.space.families or optimizer not in study.space.optimizers or SCHEDULE in params:
        return False
    wanted = distributions_of(study, str(name), str(optimizer))
    return params.keys() == {"family", "optimizer", *wanted} and all(
        contains(distribution, params[each]) for each, distribution in wanted.items()
    )


def contains(distribution: BaseDistribution, value: Json) -> bool:
    """Whether it could have been drawn. Both ends of a range belong to it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match distribution:
        case CategoricalDistribution(choices=choices):
            return any(type(each) is type(value) and each == value for each in choices)
        case IntDistribution(low=low, high=high):
            return type(value) is int and low <= value <= high
        case FloatDistribution(low=low, high=high):
            return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    return False


def all_distributions(study: ResolvedStudy, family_name: str, optimizer: str) -> dict[str, BaseDistribution]:
    """With family and optimizer: what a trial of this point has in Optuna."""
    from optuna.distributions import CategoricalDistribution

    return {
        "family": CategoricalDistribution(study.space.families),
        "optimizer": CategoricalDistribution(study.space.optimizers),
        **distributions_of(study, family_name, optimizer),
    }


def peak_of(params: Mapping[str, Json]) -> float:
    """The peak rate at the full horizon of any trial, the baseline too."""
    if SCHEDULE in params:
        return float(params["peak_lr"])
    return float(params[peak_lr_name(str(params["family"]), str(params["optimizer"]))])


def peak_lr_name(family_name: str, optimizer: str) -> str:
    return f"{family_name}.{optimizer}.peak_lr"


def decay_name(optimizer: str) -> str:
    return f"{optimizer}.weight_decay"


def extra_name(name: str) -> str:
    return f"extra.{name}"


def distributions_to_json(distributions: Mapping[str, BaseDistribution]) -> dict[str, Json]:
    from optuna.distributions import distribution_to_json

    return {name: json.loads(distribution_to_json(each)) for name, each in distributions.items()}


def distributions_from_json(stored: Mapping[str, Json]) -> dict[str, BaseDistribution]:
    from optuna.distributions import json_to_distribution

    return {name: json_to_distribution(json.dumps(each)) for name, each in stored.items()}
