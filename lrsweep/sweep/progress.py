"""What a driver tells those who watch it, and what it leaves behind: frozen values, no drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lrsweep.executors.messages import Busy
from lrsweep.records import Curve, Direction, Json, Purpose, Status, SweepRow, TrainingRow, TrialRow, WorkloadSpec
from lrsweep.schedules import Schedule
from lrsweep.selection import FamilyStanding, best_trial
from lrsweep.space import Candidate, candidate
from lrsweep.study.budgets import SECONDS_PER_HOUR
from lrsweep.sweep.finals import Finalist, leader, standings
from lrsweep.sweep.phases import Phase
from lrsweep.sweep.trust import RungTrust

if TYPE_CHECKING:
    from lrsweep.store.base import Store
    from lrsweep.study import ResolvedStudy


@dataclass(frozen=True)
class Best:
    """The trial to take, in the form in which it is used: first of the finals, else of the search's values."""

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
    """the script's own parameters, as the study sets them"""
    script_settings: Mapping[str, Json] = field(default_factory=dict)
    """and those that it leaves alone, with the script's own values where they are known"""
    value_key: str = ""
    """what the value is, where it is not the metric after the last update: ``best_val_acc``, ``steps_to_val_acc``"""
    final: Finalist | None = None
    """what fresh seeds say of it; None before the finals, and where there are none"""

    @property
    def value_name(self) -> str:
        return self.value_key or self.metric

    def to_json(self) -> dict[str, Json]:
        return {
            "trial": self.trial,
            "value": self.value,
            "value_of": self.value_name,
            "metric": self.metric,
            "direction": self.direction,
            "family": self.family,
            "schedule": self.schedule.to_json(),
            "peak_lr": self.peak_lr,
            "optimizer": self.optimizer,
            "optimizer_settings": dict(self.optimizer_settings),
            "extra": dict(self.extra),
            "script_settings": dict(self.script_settings),
            "horizon": self.horizon,
            "metrics": dict(self.metrics),
            "heard": {str(done): metric for done, metric in self.heard.items()},
            "final": None if self.final is None else self.final.to_json(),
        }


@dataclass(frozen=True)
class Cost:
    """What a sweep has used: the time in which it holds its devices counts, whatever they do meanwhile."""

    steps: int
    device_seconds: float
    money: float | None = None
    """None where the study names no price"""

    @classmethod
    def of(cls, study: ResolvedStudy, *, steps: int, device_seconds: float) -> Cost:
        price = study.budget.price_per_hour
        return cls(steps, device_seconds, None if price is None else price * device_seconds / SECONDS_PER_HOUR)

    def to_json(self) -> dict[str, Json]:
        return {
            "steps": self.steps,
            "device_seconds": self.device_seconds,
            "gpu_hours": self.device_seconds / SECONDS_PER_HOUR,
            "money": self.money,
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
    trials_wanted: int | None
    """None where a clock says how many it will be"""
    trainings_ended: int
    steps_done: int
    seconds: float
    """since the first ask of this process; 0 before it"""
    seconds_left: float | None
    """by the clock, else by the pace so far; None while there is none: before this driver's first trial has ended"""
    families: Sequence[FamilyStanding]
    best: Best | None
    running: Sequence[Running]
    """those whose engine has begun, or will next; in their order"""
    behind: int
    """trainings that MLflow lacks"""
    outage: str | None
    busy: Busy | None = None
    """what the slots of the fused engines have done; None where trainings run one after the other"""
    phase: Phase = Phase.SEARCH
    cost: Cost | None = None
    """of the sweep so far, by all its drivers"""
    rungs: Sequence[RungTrust] = ()
    finals: Sequence[Finalist] = ()
    """the best first; empty before the finals"""

    def to_json(self) -> dict[str, Json]:
        return {
            "event": "progress",
            "study": self.study,
            "sweep": self.sweep_id,
            "phase": self.phase.value,
            "trials": self.trials_told,
            "trials_wanted": self.trials_wanted,
            "trainings": self.trainings_ended,
            "seconds": self.seconds,
            "seconds_left": self.seconds_left,
            "best": None if self.best is None else {"trial": self.best.trial, "value": self.best.value},
            "running": [each.training.training_id for each in self.running],
            "finals_left": sum(each.left for each in self.finals),
            "cost": self.cost.to_json() if self.cost else None,
            "occupancy": occupancy(self.busy),
            "behind": self.behind,
            "outage": self.outage,
        }


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
    """0 for a sweep that was only read"""
    not_mirrored: int = 0
    """trainings that MLflow still lacks; the same command sends them"""
    outage: str | None = None
    """why something is not mirrored yet"""
    occupancy: float | None = None
    """how full the slots of the fused engines were; None where trainings ran one after the other"""
    engine: str | None = None
    """how trainings ran side by side, as ``--engine`` takes it; None for scripts, and where the sweep was only read"""
    finals: Sequence[Finalist] = ()
    """the best first"""
    rungs: Sequence[RungTrust] = ()
    cost: Cost | None = None
    exponents: Mapping[str, Json] = field(default_factory=dict)
    """by optimizer, how the peak rate was raised at the rungs, and what a design has found"""

    @property
    def own_trials(self) -> int:
        """Those that it trained, and that used up its budget."""
        return sum(trial.origin.counts for trial in self.trials)

    def to_json(self) -> dict[str, Json]:
        return {
            "study": self.sweep.study,
            "sweep": self.sweep.sweep_id,
            "status": self.sweep.status.value,
            "trials": self.own_trials,
            "trainings": len(self.trainings),
            "steps": sum(training.steps for training in self.trainings),
            "best": self.best.to_json() if self.best else None,
            "finalists": [finalist.to_json() for finalist in self.finals],
            "rungs": [rung.to_json() for rung in self.rungs],
            "cost": self.cost.to_json() if self.cost else None,
            "exponents": dict(self.exponents),
            "seconds": self.sweep.seconds,
            "startup_seconds": self.startup_seconds,
            "not_mirrored": self.not_mirrored,
            "engine": self.engine,
            "occupancy": self.occupancy,
            "home": self.home,
        }


def best_of(
    trials: Sequence[TrialRow], trainings: Sequence[TrainingRow], study: ResolvedStudy, store: Store
) -> Best | None:
    """The ``leading`` trial, in the form in which it is used."""
    found, final = leading(trials, trainings, study)
    return None if found is None else replace(as_best(found, trainings, study, store), final=final)


def leading(
    trials: Sequence[TrialRow], trainings: Sequence[TrainingRow], study: ResolvedStudy
) -> tuple[TrialRow | None, Finalist | None]:
    """The first of the finals, once they have ended; else the best trial of the search, which is partly luck."""
    finals = standings(study, trials, trainings)
    first = None if any(each.left for each in finals) else leader(finals)
    if first is None:
        return best_trial(trials, study.sense), None
    [trial] = [trial for trial in trials if trial.number == first.trial]
    return trial, first


def as_best(trial: TrialRow, trainings: Iterable[TrainingRow], study: ResolvedStudy, store: Store) -> Best:
    """A trial that was trained at the full horizon, in the search or in the finals; ``trainings`` may hold others."""
    assert trial.value is not None
    point = candidate(trial.params, study)
    completed = [
        row
        for row in trainings
        if row.trial == trial.number
        and row.purpose is not Purpose.FIT
        and row.horizon == study.horizon
        and row.status is Status.COMPLETED
    ]
    full = min(completed, key=lambda row: row.purpose is not Purpose.SEARCH)
    return Best(
        trial=trial.number,
        value=trial.value,
        metric=study.metric,
        direction=study.direction,
        value_key=study.value_key,
        workload=study.workload,
        family=point.schedule.family,
        schedule=point.schedule,
        peak_lr=point.peak_lr,
        optimizer=point.optimizer.name,
        optimizer_settings=point.optimizer.settings,
        horizon=full.horizon,
        metrics=full.metrics,
        heard=heard_in(store.curve(full.training_id), full, study.metric) if point.schedule.needs_metric else {},
        extra=point.extra,
        script_settings=left_alone(study, point),
    )


def left_alone(study: ResolvedStudy, point: Candidate) -> dict[str, Json]:
    """The parameters of the script of which the study says nothing, with the script's own values."""
    return {name: value for name, value in study.script_settings.items() if name not in point.extra}


def heard_in(curve: Curve | None, training: TrainingRow, metric: str) -> dict[int, float]:
    """Updates done -> metric of a training that has ended, where a schedule can hear it and it is a number.

    A script may report before its first update, after each one, and other metrics in between.
    """
    if curve is None or metric not in curve.evaluations:
        return {}
    reported = zip(curve.evaluation_steps.tolist(), curve.evaluations[metric].tolist(), strict=True)
    return {done: value for done, value in reported if 1 <= done <= training.horizon and math.isfinite(value)}
