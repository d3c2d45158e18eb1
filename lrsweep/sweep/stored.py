"""A study read back from the results: what a look at them, a late copy of them, or a repetition needs to know.

The study's file may have changed since, or be on another machine. What the store keeps of a generation
(``ResolvedStudy.spec``) says everything that its trials mean; what a workload says of itself beyond that is not asked
again, so nothing is loaded that trains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from lrsweep.errors import ScheduleError
from lrsweep.records import Direction, EngineSettings, Json, StudyRow, SweepRow, WorkloadFacts, WorkloadSpec
from lrsweep.schedules import Options, Search, family, json_value, schedule_from_json
from lrsweep.scripts import command
from lrsweep.scripts.command import Command
from lrsweep.space import Candidate, candidate
from lrsweep.study import (
    BUDGETS,
    Baseline,
    BudgetSpec,
    Objective,
    Plugin,
    ResolvedStudy,
    RunSpec,
    SearchSpec,
    SelectionSpec,
    SpaceSpec,
    TrackingSpec,
)
from lrsweep.study.extra import Choices, Extra, read_extra
from lrsweep.study.lost import without_lost_families

OWN_TABLE = ("warmup", "floor", "mode")
"""Settings of families that say themselves what they are: the space has keys for them, or they follow from the
metric's direction."""


def resolved_from(row: StudyRow, sweep: SweepRow | None = None) -> ResolvedStudy:
    """The study as it was asked; with the exponents that the sweep has frozen, where one is named.

    ``meaning`` and ``generation`` of the result are the row's, unless a later release has changed what it searches or
    how it trains, or lacks one of its families: then they tell so.
    """
    spec = without_lost_families(row).spec
    workload, space, kind = spec["workload"], spec["space"], spec.get("kind", {})
    facts = WorkloadFacts(
        name=workload["name"],
        settings=workload["settings"],
        version=workload["version"],
        data_hash=workload["data_hash"],
        batch_size=workload["batch_size"],
        horizon=spec["horizon"],
        peak_lr={name: _range(limits) for name, limits in space["peak_lr"].items()},
        metrics=kind.get("metrics", {}),
        examples_per_epoch=kind.get("examples"),
        tokens_per_example=kind.get("tokens_per_example"),
        parameters=kind.get("parameters"),
        script_settings=spec.get("script_settings"),
    )
    exponents = {name: each["rate_exponent"] for name, each in spec["optimizers"].items()}
    return ResolvedStudy(
        name=row.name,
        workload=_workload(spec, facts),
        facts=facts,
        metric=spec["metric"],
        direction=spec["direction"],
        horizon=spec["horizon"],
        seed=spec["seed"],
        space=_space(space),
        trials=spec["budget"]["trials"],
        source=spec["source"],
        engine=EngineSettings(**spec.get("engine", {})),
        objective=_objective(spec),
        search=_search(spec.get("search", {}), spec["rungs"]),
        budget=_budget(spec["budget"]),
        selection=SelectionSpec(**spec.get("selection", {})),
        baseline=_baseline(spec["baseline"]) if "baseline" in spec else None,
        run=RunSpec(**spec.get("run", {})),
        tracking=TrackingSpec(**spec.get("tracking", {})),
        total_steps=spec["budget"].get("total_steps", 0),
        rate_exponents=exponents if sweep is None else {**exponents, **sweep.settings.get("rate_exponents", {})},
    )


def sense_of(row: StudyRow) -> Direction:
    """Which way the value of its trials is better, also where the rest of what is kept cannot be read."""
    return _objective(row.spec).sense("maximize" if row.spec.get("direction") == "maximize" else "minimize")


def value_key_of(row: StudyRow) -> str:
    """What the value of its trials is called."""
    return _objective(row.spec).key(str(row.spec.get("metric", "value")))


def known_point(params: Mapping[str, Json], study: ResolvedStudy) -> Candidate | None:
    """The point that a stored trial's parameters name. None where this release draws a setting that an earlier one did
    not, or refuses what that one drew."""
    try:
        return candidate(params, study)
    except (KeyError, ScheduleError):
        return None


def _objective(spec: Mapping[str, Json]) -> Objective:
    return Objective(**spec.get("objective", {}))


def _workload(spec: Mapping[str, Json], facts: WorkloadFacts) -> WorkloadSpec:
    """A script's also says what is no part of its meaning but of the space."""
    if facts.name != command.NAME:
        return WorkloadSpec(facts.name, facts.settings)
    return Command(
        **facts.settings,
        steps=facts.horizon,
        version=facts.version,
        families=spec["space"].get("flags", {}),
        rate_exponent=spec["optimizers"][command.OPTIMIZER]["rate_exponent"],
    ).spec()


def _search(stored: Mapping[str, Json], rungs: list[int]) -> SearchSpec:
    """A release that kept no search had two rungs, or one where the horizon was short."""
    plugins = {name: Plugin(**stored[name]) for name in ("sampler", "pruner") if name in stored}
    if not stored:
        return SearchSpec(rungs=len(rungs), fidelity="full" if len(rungs) == 1 else "compressed")
    return SearchSpec(**{**stored, **plugins})


def _budget(stored: Mapping[str, Json]) -> BudgetSpec:
    """``trials`` stands beside every other unit: what that comes to."""
    given = {name: value for name, value in stored.items() if name not in ("trials", "total_steps")}
    return BudgetSpec(**given) if set(given) & set(BUDGETS) else BudgetSpec(trials=stored["trials"], **given)


def _baseline(stored: Mapping[str, Json]) -> Baseline:
    return Baseline(**{**stored, "schedule": schedule_from_json(json.dumps(stored["schedule"]))})


def _space(space: Mapping[str, Json]) -> SpaceSpec:
    families = space.get("family_settings") or space.get("settings", {})
    adjusted = {name: _adjusted(name, settings) for name, settings in families.items()}
    found: dict[str, Json] = {
        "families": tuple(space["families"]),
        "optimizers": tuple(space["optimizers"]),
        "warmup": _number_or_range(space["warmup"]),
        "floor": _number_or_range(space["floor"]),
        "peak_lr": {name: _range(limits) for name, limits in space["peak_lr"].items()},
        "extra": {name: _extra(each) for name, each in space.get("extra", {}).items()},
        "weight_decay": {name: _number_or_range(each) for name, each in space.get("weight_decay", {}).items()},
        "settings": {name: settings for name, settings in adjusted.items() if settings},
    }
    return SpaceSpec(**found)


def _adjusted(name: str, stored: Mapping[str, Json]) -> dict[str, Search | Options | Choices | Json]:
    """What the study says otherwise than the family does by itself, by drawn name."""
    own = {drawn: search for one in family(name).settings() for drawn, search in one.searched().items()}
    defaults = {one.name: json_value(one.default) for one in family(name).settings() if not one.search}
    adjusted: dict[str, Search | Options | Choices | Json] = {}
    for drawn, value in stored.items():
        if drawn in OWN_TABLE or (drawn in defaults and value == defaults[drawn]):
            continue
        read = _drawn(value) if drawn in own else value
        if drawn not in own or read != own[drawn]:
            adjusted[drawn] = read
    return adjusted


def _drawn(stored: Json) -> Search | Options | Choices | Json:
    """``[low, high, log]``, perhaps with ``"whole"``; a list of names or of other values; or one value."""
    match stored:
        case [int() | float() as low, int() | float() as high, bool() as log, *whole]:
            return Search(low, high, log, bool(whole))
        case [str(), *_]:
            return Options(tuple(stored))
        case [*values]:
            return Choices(tuple(values))
    return stored


def _extra(stored: Json) -> Extra:
    read = read_extra(stored)
    assert read is not None, "it was written by extra_to_json"
    return read


def _range(limits: list[float]) -> tuple[float, float]:
    low, high = limits
    return low, high


def _number_or_range(stored: Json) -> Json:
    return _range(stored) if isinstance(stored, list) else stored
