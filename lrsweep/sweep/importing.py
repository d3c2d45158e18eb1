"""What somebody else found, as trials of a study: ``lrsweep import``.

A stranger's parameters name a schedule in one of the ways that ``schedule_from_params`` reads, a peak rate and an
optimizer. What trains as a point of the study's space would becomes a trial of origin ``foreign``, outside counts and
budget. Its value stays where the user vouches that it is comparable; else the best points are only tried first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState as OptunaState

from lrsweep.errors import InvalidInput, ScheduleError, StoreUnavailable
from lrsweep.records import Direction, Json, Origin, StudyRow, SweepStatus, TrialRow, TrialState
from lrsweep.redaction import shown, without_secrets
from lrsweep.schedules import Schedule, family_names, schedule_from_params
from lrsweep.schedules.params import value_of
from lrsweep.schedules.trainer_names import TYPES
from lrsweep.selection import cost
from lrsweep.space import Candidate, distributions_at, distributions_to_json, params_of, why_not
from lrsweep.store import normalised
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy, mode_of
from lrsweep.sweep import baseline
from lrsweep.sweep.beginning import created, is_over, newest_sweep, resolved_in
from lrsweep.sweep.script_settings import with_agreed_settings
from lrsweep.sweep.warm_start import SHARE_OF_POINTS, first_of_each_family

FAMILY_NAMES = ("family", "scheduler", "lr_scheduler", "lr_scheduler_type", "schedule_type", "lr_schedule", "schedule")
PEAK_NAMES = ("peak_lr", "max_lr", "learning_rate", "lr", "base_lr")
OPTIMIZER_NAMES = ("optimizer", "optim", "optimizer_name")
SCHEDULE_JSON = "lrsweep.schedule"


@dataclass(frozen=True)
class Stranger:
    """A finished training of somebody else."""

    name: str
    """``optuna:study#4``"""
    params: Mapping[str, Json]
    value: float | None


@dataclass(frozen=True)
class Imported:
    sweep_id: str
    kept: int
    """with their values"""
    tried: int
    """points alone, which the next run tries first"""
    known: int
    """imported before"""
    refused: Mapping[str, int] = field(default_factory=dict)
    """reason -> how many"""
    is_over: bool = False
    """whether the sweep is finished, so that only another one takes them up"""

    def to_json(self) -> dict[str, Json]:
        return {
            "sweep": self.sweep_id,
            "kept": self.kept,
            "tried": self.tried,
            "known": self.known,
            "refused": dict(self.refused),
            "sweep_is_over": self.is_over,
        }


# ── where from ───────────────────────────────────────────────────────────────────────────────────────────────────────


def from_optuna(url: str, name: str) -> tuple[list[Stranger], Direction]:
    """The complete trials of a study in Optuna's own storage, which is only read.

    Raises InvalidInput where there is no such study or it has several objectives, StoreUnavailable where the database
    does not answer.
    """
    address = normalised(url)
    file = address.removeprefix("sqlite:///").partition("?")[0]
    if address.startswith("sqlite") and not Path(file).is_file():
        raise InvalidInput(
            f"there is no file {file}; wanted is optuna:URL#STUDY, such as optuna:sqlite:///their.db#mnist"
        )
    try:
        storage = optuna.storages.RDBStorage(address, skip_table_creation=True, engine_kwargs={"pool_pre_ping": True})
        names = optuna.get_all_study_names(storage)
        if name not in names:
            there = ", ".join(map(repr, names)) or "none"
            raise InvalidInput(f"{shown(url)} has no Optuna study {name!r}. It has {there}.")
        study = optuna.load_study(study_name=name, storage=storage)
        directions, trials = study.directions, study.get_trials(deepcopy=False, states=(OptunaState.COMPLETE,))
        storage.remove_session()
        storage.engine.dispose()
    except InvalidInput:
        raise
    except Exception as error:
        lines = without_secrets(str(error), url).strip().splitlines() or [""]
        raise StoreUnavailable(
            f"Optuna's storage {shown(url)} cannot be read: {type(error).__name__}: {lines[0]}. Check the address, and "
            "that this version of Optuna can read it."
        ) from None
    if len(directions) != 1:
        raise InvalidInput(f"Optuna's study {name!r} has {len(directions)} objectives; wanted is a study with one")
    direction: Direction = "maximize" if directions[0] is optuna.study.StudyDirection.MAXIMIZE else "minimize"
    return [Stranger(f"optuna:{name}#{trial.number}", trial.params, trial.value) for trial in trials], direction


# ── what they mean here ──────────────────────────────────────────────────────────────────────────────────────────────


def point_of(given: Mapping[str, Json], study: ResolvedStudy) -> Candidate:
    """The point that a stranger's parameters name. Raises InvalidInput for what cannot be understood.

    Of what they do not name, warm-up, floor and the optimizer's settings are the study's, if it pins them.
    """
    params = {name: value if name == SCHEDULE_JSON else value_of(value) for name, value in given.items()}
    params = {name: value for name, value in params.items() if value is not None}
    schedule = _schedule_of(params, study)
    optimizer = _optimizer_of(params, study)
    rate_names = (f"{schedule.family}.{optimizer}.peak_lr", f"{schedule.family}.peak_lr", *PEAK_NAMES)
    rate = next((params[name] for name in rate_names if name in params), None)
    if not isinstance(rate, int | float) or isinstance(rate, bool):
        raise InvalidInput(f"no peak rate (one of {', '.join(PEAK_NAMES)})")
    spec = study.optimizer(optimizer)
    decay = params.get(f"{optimizer}.weight_decay", params.get("weight_decay"))
    if decay is not None and spec.settings:
        spec = replace(spec, settings={**spec.settings, "weight_decay": decay})
    extra = {}
    for name, asked in study.space.extra.items():
        pinned = asked if isinstance(asked, str | int | float | bool) else None
        if (value := params.get(f"extra.{name}", params.get(name, pinned))) is not None:
            extra[name] = value
    return Candidate(schedule, float(rate), spec, extra)


def _schedule_of(params: Mapping[str, Json], study: ResolvedStudy) -> Schedule:
    schedule, is_whole = schedule_named(params)
    if is_whole:
        return schedule
    family = schedule.family
    pinned: dict[str, Any] = {name: each for name, each in study.space.fixed(family).items() if "." not in name}
    pinned |= {name: each for name, each in study.space.shared(family).items() if not isinstance(each, tuple)}
    unnamed = {name: each for name, each in pinned.items() if not {name, f"{family}.{name}"} & params.keys()}
    return schedule.with_settings(**unnamed, **mode_of(family, study.direction))


def schedule_named(params: Mapping[str, Json]) -> tuple[Schedule, bool]:
    """The schedule that a stranger's parameters name, and whether they say all of it: its JSON does, and a transformers
    Trainer's arguments. Raises InvalidInput for what cannot be understood."""
    if SCHEDULE_JSON in params:
        return _read({SCHEDULE_JSON: params[SCHEDULE_JSON]}), True
    named = next((name for name in FAMILY_NAMES if isinstance(params.get(name), str)), None)
    if named is None:
        raise InvalidInput(f"no schedule family (one of {', '.join(FAMILY_NAMES)})")
    family = params[named].removeprefix("SchedulerType.").lower()
    others = {name: value for name, value in params.items() if name not in FAMILY_NAMES}
    as_trainer = family not in family_names() or named == "lr_scheduler_type"
    if as_trainer and family not in TYPES:
        raise InvalidInput(f"the family {family!r} is not known here")
    return _read({("lr_scheduler_type" if as_trainer else "family"): family, **others}), as_trainer


def _read(params: Mapping[str, Json]) -> Schedule:
    try:
        return schedule_from_params(params)
    except ScheduleError as error:
        raise InvalidInput(str(error)) from None


def _optimizer_of(params: Mapping[str, Json], study: ResolvedStudy) -> str:
    named = next((params[name] for name in OPTIMIZER_NAMES if isinstance(params.get(name), str)), None)
    searched = study.space.optimizers
    if named is None and len(searched) == 1:
        return searched[0]
    by_lower = {name.lower(): name for name in searched}
    if named is None:
        raise InvalidInput(f"no optimizer, and the study searches {', '.join(searched)}")
    if named.lower() not in by_lower:
        raise InvalidInput(f"the optimizer {named!r} is not searched")
    return by_lower[named.lower()]


# ── into the store ───────────────────────────────────────────────────────────────────────────────────────────────────


def foreign_trials(
    study: ResolvedStudy,
    sweep_id: str,
    strangers: Iterable[Stranger],
    direction: Direction,
    *,
    same_metric: bool,
) -> tuple[list[TrialRow], Counter[str]]:
    """Rows without their numbers, and why the others have none."""
    refused: Counter[str] = Counter()
    found: list[tuple[Stranger, dict[str, Json]]] = []
    for stranger in strangers:
        try:
            point = point_of(stranger.params, study)
            params = params_of(point, study)
            if params is None:
                refused[why_not(point, study)] += 1
            elif stranger.value is None or not math.isfinite(stranger.value):
                refused["no value" if stranger.value is None else "no finite value"] += 1
            else:
                found.append((stranger, params))
        except InvalidInput as error:
            refused[str(error).splitlines()[0]] += 1
    if not same_metric:
        found.sort(key=lambda each: cost(each[0].value or 0.0, direction))
        once = first_of_each_family([params for _, params in found])
        if repeats := len(found) - len(once):
            refused["the same point as a better one"] += repeats
        points = once[: max(1, study.trials // SHARE_OF_POINTS)]
        found = [each for each in found if any(each[1] is point for point in points)]
        if left := len(once) - len(points):
            refused[f"behind the best {len(points)}: points without values take a fifth of the budget at most"] += left
    rows = [
        TrialRow(
            study=study.name,
            number=0,
            sweep_id=sweep_id,
            params=params,
            distributions=distributions_to_json(distributions_at(params, study)),
            state=TrialState.COMPLETE if same_metric else TrialState.FAILED,
            value=stranger.value if same_metric else None,
            copied_from=stranger.name,
            origin=Origin.FOREIGN,
        )
        for stranger, params in found
    ]
    return rows, refused


def import_trials(
    store: Store,
    lease: Lease,
    study: ResolvedStudy,
    strangers: Sequence[Stranger],
    direction: Direction,
    *,
    same_metric: bool,
    say: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Writes them into the newest sweep of the study's generation, or into a new one, which ``lrsweep run`` drives."""
    if same_metric and direction != study.sense:
        raise InvalidInput(
            f"--same-metric, but there a {_better(direction)} value is better and in {study.source} a "
            f"{_better(study.sense)} one. Without --same-metric the best points are tried, and their values left."
        )
    study = with_agreed_settings(store, study, say)
    store.register_study(lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
    sweep = newest_sweep(store, study) or created(store, lease, study, say)
    waits = is_over(store, sweep, study) and sweep.status is SweepStatus.FINISHED
    had = {trial.copied_from for trial in store.trials(study.name, generation=study.generation)}
    fresh = [stranger for stranger in strangers if stranger.name not in had]
    rows, refused = foreign_trials(study, sweep.sweep_id, fresh, direction, same_metric=same_metric)
    if rows:
        baseline.put_first(store, lease, resolved_in(sweep, study), sweep)
    number = store.next_trial_number(study.name)
    for place, row in enumerate(rows):
        store.add_trial(lease, replace(row, number=number + place), [])
    return Imported(
        sweep_id=sweep.sweep_id,
        kept=len(rows) if same_metric else 0,
        tried=0 if same_metric else len(rows),
        known=len(strangers) - len(fresh),
        refused=dict(refused.most_common()),
        is_over=waits,
    )


def _better(direction: Direction) -> str:
    return "larger" if direction == "maximize" else "smaller"
