"""Where in a study's space something lies that was not drawn from it: the baseline, another study's, a stranger's.

The baseline may lie beside the space. Then it has ``family``, ``optimizer``, ``peak_lr``, ``schedule`` (JSON),
``settings`` of the optimizer and ``extra``, no distributions, and Optuna hears nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lrsweep.records import Json, OptimizerSpec
from lrsweep.schedules import family
from lrsweep.space.points import (
    SCHEDULE,
    Candidate,
    all_distributions,
    candidate,
    contains,
    decay_name,
    distributions_of,
    extra_name,
    peak_lr_name,
)
from lrsweep.study import ResolvedStudy
from lrsweep.study.extra import is_searched

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def params_of(point: Candidate, study: ResolvedStudy) -> dict[str, Json] | None:
    """The parameters that train exactly as the point does; None where the space has none.

    What the study pins counts too: a point without a warm-up lies in no space in which every schedule has one.
    """
    params, problem = _looked_at(point, study)
    return params if problem is None else None


def why_not(point: Candidate, study: ResolvedStudy) -> str:
    """Why the point has no parameters there, in half a sentence; empty where it has."""
    return _looked_at(point, study)[1] or ""


def _looked_at(point: Candidate, study: ResolvedStudy) -> tuple[dict[str, Json], str | None]:
    name, optimizer = point.schedule.family, point.optimizer.name
    if name not in study.space.families:
        return {}, f"the family {name!r} is not searched"
    if optimizer not in study.space.optimizers:
        return {}, f"the optimizer {optimizer!r} is not searched"
    given = point.schedule.settings_dict()
    known: dict[str, Json] = {
        peak_lr_name(name, optimizer): point.peak_lr,
        **{f"{name}.{drawn}": value for drawn, value in _drawn_values(name, given).items()},
        "warmup": given["warmup"],
        "floor": given["floor"],
        decay_name(optimizer): point.optimizer.settings.get("weight_decay"),
        **{extra_name(own): value for own, value in point.extra.items()},
    }
    wanted = distributions_of(study, name, optimizer)
    outside = [each for each, distribution in wanted.items() if not contains(distribution, known.get(each))]
    if outside:
        return {}, f"{outside[0]} lies outside its range"
    params = {"family": name, "optimizer": optimizer, **{each: known[each] for each in wanted}}
    return params, None if candidate(params, study) == point else "it differs in what the study does not search"


def distributions_at(params: Mapping[str, Json], study: ResolvedStudy) -> dict[str, BaseDistribution]:
    """Those of a point of the space, as a trial of it has them in Optuna."""
    return all_distributions(study, str(params["family"]), str(params["optimizer"]))


def baseline_params(study: ResolvedStudy) -> tuple[dict[str, Json], dict[str, BaseDistribution], bool]:
    """Its parameters and their distributions, and whether it lies in the space. The study has a baseline."""
    baseline = study.baseline
    if baseline is None:
        raise ValueError(f"study {study.name!r} has no baseline")
    own = study.optimizer(baseline.optimizer)
    fixed = {name: each for name, each in study.space.extra.items() if not is_searched(each)}
    point = Candidate(
        schedule=baseline.schedule,
        peak_lr=baseline.peak_lr,
        optimizer=OptimizerSpec(own.name, {**own.settings, **baseline.settings}),
        extra={**fixed, **baseline.extra},
    )
    inside = params_of(point, study)
    if inside is not None:
        return inside, distributions_at(inside, study), True
    beside = {
        "family": baseline.schedule.family,
        "optimizer": baseline.optimizer,
        "peak_lr": baseline.peak_lr,
        SCHEDULE: baseline.schedule.to_json(),
        "settings": dict(baseline.settings),
        "extra": dict(point.extra),
    }
    return beside, {}, False


def _drawn_values(family_name: str, given: Mapping[str, Json]) -> dict[str, Json]:
    """A list's numbers each under its place, as they are drawn."""
    found: dict[str, Json] = {}
    for setting in family(family_name).settings():
        value = given.get(setting.name)
        if isinstance(setting.default, tuple) and isinstance(value, tuple | list):
            found |= {f"{setting.name}.{place}": each for place, each in enumerate(value, start=1)}
        else:
            found[setting.name] = value
    return found
