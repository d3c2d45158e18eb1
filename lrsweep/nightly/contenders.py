"""What a night trains: the champion, the baseline, and who may be better; each with all that one trains it with.

A contender is named by its family and by a hash of what it trains, so that it keeps its name from night to night,
wherever it was found: as the candidate in force, among a sweep's finals, or as the baseline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lrsweep.champion.reading import from_json
from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import LrsweepError
from lrsweep.findings.choosing import choose_of, results_of
from lrsweep.findings.reading import generation_of
from lrsweep.records import Json, OptimizerSpec, Status, TrainingPlan, stable_hash
from lrsweep.schedules import Schedule, schedule_from_json
from lrsweep.scripts import command
from lrsweep.selection.ranking import cost
from lrsweep.selection.results import Point
from lrsweep.space import baseline_params, candidate
from lrsweep.store import Store
from lrsweep.store.champions import Alias, ChampionRow, in_force
from lrsweep.study import OPTIMIZERS, ResolvedStudy
from lrsweep.sweep.stored import resolved_from

CHAMPION, BASELINE = "champion", "baseline"
"""As arms of a night; a challenger's arm is its own name."""


@dataclass(frozen=True)
class Contender:
    schedule: Schedule
    peak_lr: float
    """at the full horizon"""
    optimizer: OptimizerSpec
    extra: Mapping[str, Json] = field(default_factory=dict)
    trial: int | None = None
    sweep_id: str | None = None
    """where it was found; None of both where no sweep has trained it"""

    @property
    def name(self) -> str:
        """``cosine-1f2e3d4c``."""
        trained = {key: value for key, value in self.to_json().items() if key not in ("trial", "sweep_id")}
        return f"{self.schedule.family}-{stable_hash(trained)[:8]}"

    @property
    def words(self) -> str:
        return f"{self.schedule.family} at {self.peak_lr:.3g} with {self.optimizer.name}"

    def plan(
        self, study: ResolvedStudy, *, horizon: int, scale: float, seed: int, identity: str, attempt: int, folder: str
    ) -> TrainingPlan:
        """``scale`` is the rung's, by which the peak is raised."""
        return TrainingPlan(
            training_id=identity,
            attempt=attempt,
            workload=study.workload,
            schedule=self.schedule,
            peak_lr=self.peak_lr * scale,
            optimizer=self.optimizer,
            horizon=horizon,
            seed=seed,
            evaluations=study.evaluations,
            metric=study.metric,
            direction=study.direction,
            extra=self.extra,
            engine=study.engine,
            checkpoint_url=folder,
        )

    def to_json(self) -> dict[str, Json]:
        return {
            "schedule": json.loads(self.schedule.to_json()),
            "peak_lr": float(self.peak_lr),
            "optimizer": self.optimizer.name,
            "settings": {name: float(value) for name, value in self.optimizer.settings.items()},
            "extra": dict(self.extra),
            "trial": self.trial,
            "sweep_id": self.sweep_id,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Contender:
        return cls(
            schedule=schedule_from_json(json.dumps(value["schedule"])),
            peak_lr=value["peak_lr"],
            optimizer=OptimizerSpec(value["optimizer"], value["settings"]),
            extra=value["extra"],
            trial=value["trial"],
            sweep_id=value["sweep_id"],
        )


def of_row(store: Store, row: ChampionRow, study: ResolvedStudy) -> Contender:
    """What is in force, as it is trained on the study's horizon. Raises InvalidInput for a text that cannot be read."""
    assert row.choice is not None
    choice = from_json(row.choice, f"the {row.alias.value} of {row.name} in the results")
    return Contender(
        schedule=choice.schedule,
        peak_lr=choice.peak_at(study.horizon),
        optimizer=choice.optimizer,
        extra=_extra(store, row, choice),
        trial=row.trial,
        sweep_id=row.sweep_id,
    )


def _extra(store: Store, row: ChampionRow, choice: ChampionChoice) -> Mapping[str, Json]:
    """As the trial has it, where it is still there: secrets and folders are left out of a choice."""
    if not choice.extra or row.sweep_id is None or row.trial is None:
        return choice.extra
    with suppress(LrsweepError, KeyError, StopIteration):
        sweep, trial = store.sweep(row.sweep_id), store.trial(row.study or row.name, row.trial)
        found = candidate(trial.params, resolved_from(generation_of(store, sweep), sweep)).extra
        if found.keys() == choice.extra.keys():
            return found
    return choice.extra


def baseline_of(study: ResolvedStudy, champion: Contender) -> Contender | None:
    """None where the study has none, and where the champion is it."""
    if study.baseline is None:
        return None
    point = candidate(baseline_params(study)[0], study)
    found = Contender(point.schedule, point.peak_lr, point.optimizer, point.extra)
    return None if found.name == champion.name else found


def others(store: Store, study: ResolvedStudy, champion: Contender, baseline: Contender | None) -> list[Contender]:
    """Who may be better, the likeliest first, each once: the candidate, those that the newest sweep found best, the
    baseline."""
    found: dict[str, Contender] = {}
    for each in _others(store, study, baseline):
        found.setdefault(each.name, each)
    found.pop(champion.name, None)
    return list(found.values())


def _others(store: Store, study: ResolvedStudy, baseline: Contender | None) -> Iterator[Contender]:
    row = in_force(store.champions.rows(study.name), study.name, Alias.CANDIDATE)
    if row is not None:
        with suppress(LrsweepError):  # one that a newer release wrote is left out
            yield from _trainable(study, of_row(store, row, study))
    for contender in _of_the_newest_sweep(store, study):
        yield from _trainable(study, contender)
    if baseline is not None:
        yield baseline


def _of_the_newest_sweep(store: Store, study: ResolvedStudy) -> list[Contender]:
    """The finalists, best first, and after them the search's own, by their values."""
    try:
        found = results_of(store, study.name, is_whole=True)
    except LrsweepError:  # there is no sweep, or none of its trainings has come to the full horizon
        return []
    finalists = [standing.point for standing in choose_of(found, study.name, worth=None).standings]
    values = [(each, cost(each.value, found.direction)) for each in found.searched if each.value is not None]
    searched = [each.point for each, _ in sorted(values, key=lambda pair: pair[1])]
    points = dict.fromkeys([*finalists, *searched])
    return [made for point in points if (made := _of_point(point, found.horizon, found.sweep, study)) is not None]


def _of_point(point: Point, horizon: int, sweep_id: str, study: ResolvedStudy) -> Contender | None:
    if not point.schedule or point.peak_lr is None:
        return None
    beside = json.loads(point.beside or "{}")
    optimizer = OptimizerSpec(beside["optimizer"], beside.get("optimizer_settings", {}))
    peak = point.peak_lr
    if horizon != study.horizon and _is_known(study, optimizer.name):  # the sweep was of another horizon
        peak *= float((horizon / study.horizon) ** _exponent(study, optimizer.name))
    made = schedule_from_json(point.schedule)
    return Contender(made, peak, optimizer, beside.get("extra", {}), beside.get("trial"), sweep_id)


def _trainable(study: ResolvedStudy, contender: Contender) -> Sequence[Contender]:
    return [contender] if _is_known(study, contender.optimizer.name) else []


def _is_known(study: ResolvedStudy, optimizer: str) -> bool:
    """A script has an optimizer of its own, and everything else one of ours."""
    return (optimizer == command.OPTIMIZER) if study.workload.name == command.NAME else optimizer in OPTIMIZERS


def why_not_trainable(study: ResolvedStudy, champion: Contender) -> str | None:
    """As a sentence: the study trains something else by now."""
    if _is_known(study, champion.optimizer.name):
        return None
    return (
        f"the champion of {study.name!r} trains with the optimizer {champion.optimizer.name!r}, which the workload "
        f"{study.workload.name!r} does not have: the study has another workload than the champion was found with. "
        f"`lrsweep demote {study.name}` takes it out of force, and the next night runs the study's sweep"
    )


def _exponent(study: ResolvedStudy, optimizer: str) -> float:
    return study.rate_exponents.get(optimizer, study.default_exponent(optimizer))


def scale_at(store: Store, study: ResolvedStudy, contender: Contender, rung: int) -> float:
    """By which the rung raises the peak rate: as a sweep does it. What diverged there at the raised rate when a sweep
    trained it has its own rate, as it had then."""
    scale = study.rate_scale(contender.optimizer.name, rung)
    if scale == 1.0 or contender.trial is None or contender.sweep_id is None:
        return scale
    rows = store.trainings(study.name, sweep_id=contender.sweep_id, trial=contender.trial)
    at_raised = [row for row in rows if row.horizon == rung and row.rate_scale > 1.0]
    return 1.0 if any(row.status is Status.DIVERGED for row in at_raised) else scale
