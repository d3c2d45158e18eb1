"""What a driver tells those who watch it, and what it leaves behind: frozen values, no drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lrsweep.executors.messages import Busy
from lrsweep.records import Direction, Json, Status, SweepRow, TrainingRow, TrialRow, WorkloadSpec
from lrsweep.schedules import Schedule
from lrsweep.selection import FamilyStanding, best_trial
from lrsweep.space import candidate

if TYPE_CHECKING:
    from lrsweep.store.base import Store
    from lrsweep.study import ResolvedStudy


@dataclass(frozen=True)
class Best:
    """The trial with the best value at the full horizon, in the form in which it is used."""

    trial: int
    value: float
    metric: str
    direction: Direction
    workload: WorkloadSpec
    """what was trained, for what a person may paste"""
    family: str
    schedule: Schedule
    peak_lr: float
    optimizer: str
    optimizer_settings: Mapping[str, float]
    horizon: int
    metrics: Mapping[str, float]
    heard: Mapping[int, float] = field(default_factory=dict)
    """for a schedule that reacts, the updates done before each evaluation and its metric, a number that is finite:
    ``schedule.replay(heard, horizon, peak_lr)`` gives the rates of the training; empty for one that does not"""
    extra: Mapping[str, Json] = field(default_factory=dict)
    """the script's own parameters"""

    def to_json(self) -> dict[str, Json]:
        return {
            "trial": self.trial,
            "value": self.value,
            "metric": self.metric,
            "direction": self.direction,
            "family": self.family,
            "schedule": self.schedule.to_json(),
            "peak_lr": self.peak_lr,
            "optimizer": self.optimizer,
            "optimizer_settings": dict(self.optimizer_settings),
            "extra": dict(self.extra),
            "horizon": self.horizon,
            "metrics": dict(self.metrics),
            "heard": {str(done): metric for done, metric in self.heard.items()},
        }


@dataclass(frozen=True)
class Running:
    """A training and the trial that it belongs to."""

    training: TrainingRow
    trial: TrialRow


@dataclass(frozen=True)
class Progress:
    """One look at a running sweep."""

    study: str
    sweep_id: str
    trials_told: int
    trials_wanted: int
    trainings_ended: int
    steps_done: int
    seconds: float
    """since the first ask of this process; 0 before it"""
    seconds_left: float | None
    """by the pace so far; None while there is none"""
    families: Sequence[FamilyStanding]
    best: Best | None
    running: Sequence[Running]
    """those whose engine has begun, or will next; in their order"""
    behind: int
    """trainings that MLflow lacks"""
    outage: str | None
    busy: Busy | None = None
    """what the slots of the fused engines have done; None where trainings run one after the other"""


def occupancy(busy: Busy | None) -> float | None:
    """The part of all slots, over all updates, that had a training in it; None before the first.

    >>> occupancy(Busy(slots=4, steps=100, slot_steps=390)), occupancy(None)
    (0.975, None)
    """
    if busy is None or not busy.steps:
        return None
    return min(1.0, busy.slot_steps / (busy.slots * busy.steps))  # several processes: their steps are a rounded mean


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to. ``seconds`` runs from the first ask to the last mirrored row, over all its processes."""

    sweep: SweepRow
    trials: Sequence[TrialRow]
    trainings: Sequence[TrainingRow]
    families: Sequence[FamilyStanding]
    best: Best | None
    home: str
    startup_seconds: float
    not_mirrored: int = 0
    """trainings that MLflow still lacks; the same command sends them"""
    outage: str | None = None
    """why something is not mirrored yet"""
    occupancy: float | None = None
    """how full the slots of the fused engines were; None where trainings ran one after the other"""
    engine: str | None = None
    """how trainings ran side by side, as ``--engine`` takes it; None for scripts, and where the sweep was only read"""

    def to_json(self) -> dict[str, Json]:
        return {
            "study": self.sweep.study,
            "sweep": self.sweep.sweep_id,
            "status": self.sweep.status.value,
            "trials": len(self.trials),
            "trainings": len(self.trainings),
            "steps": sum(training.steps for training in self.trainings),
            "best": self.best.to_json() if self.best else None,
            "seconds": self.sweep.seconds,
            "startup_seconds": self.startup_seconds,
            "not_mirrored": self.not_mirrored,
            "engine": self.engine,
            "occupancy": self.occupancy,
            "home": self.home,
        }


def best_of(trials: list[TrialRow], trainings: list[TrainingRow], study: ResolvedStudy, store: Store) -> Best | None:
    """The best trial of the rows, with the metrics of its training at the full horizon."""
    trial = best_trial(trials, study.direction)
    if trial is None or trial.value is None:
        return None
    point = candidate(trial.params, study)
    full = next(
        row
        for row in trainings
        if row.trial == trial.number and row.rung == len(study.rungs) - 1 and row.status is Status.COMPLETED
    )
    return Best(
        trial=trial.number,
        value=trial.value,
        metric=study.metric,
        direction=study.direction,
        workload=study.workload,
        family=point.schedule.family,
        schedule=point.schedule,
        peak_lr=point.peak_lr,
        optimizer=point.optimizer.name,
        optimizer_settings=point.optimizer.settings,
        horizon=full.horizon,
        metrics=full.metrics,
        heard=_heard(store, full, study.metric) if point.schedule.needs_metric else {},
        extra=point.extra,
    )


def _heard(store: Store, training: TrainingRow, metric: str) -> dict[int, float]:
    """Updates done -> metric of a training that has ended, where a schedule can hear it and it is a number.

    A script may report before its first update, after each one, and other metrics in between.
    """
    curve = store.curve(training.training_id)
    if curve is None:
        return {}
    reported = zip(curve.evaluation_steps.tolist(), curve.evaluations[metric].tolist(), strict=True)
    return {done: value for done, value in reported if 1 <= done <= training.horizon and math.isfinite(value)}
