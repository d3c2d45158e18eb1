"""From a point of the search to what an engine is told: rows and plans, made by pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from lrsweep.records import Json, Purpose, TrainingPlan, TrainingRow, TrialRow, stable_hash, training_id
from lrsweep.space import candidate
from lrsweep.study import ResolvedStudy


def first_training(
    study: ResolvedStudy, sweep_id: str, number: int, params: Mapping[str, Json], rung: int = 0
) -> TrainingRow:
    """A new trial's training at its first rung; its seed is the trial's own, and stays so at every rung."""
    seed = int(stable_hash([study.seed, study.name, number])[:7], 16)
    horizon = study.rungs[rung]
    scale = study.rate_scale(str(params["optimizer"]), horizon)
    return TrainingRow(
        training_id=training_id(sweep_id, number, horizon, seed, scale),
        study=study.name,
        trial=number,
        sweep_id=sweep_id,
        rung=rung,
        horizon=horizon,
        seed=seed,
        rate_scale=scale,
    )


def next_plan(row: TrainingRow, trial: TrialRow, study: ResolvedStudy, *, checkpoint_url: str) -> TrainingPlan:
    """For the attempt after those that were begun."""
    point = candidate(trial.params, study)
    return TrainingPlan(
        training_id=row.training_id,
        attempt=row.attempt + 1,
        workload=study.workload,
        schedule=point.schedule,
        peak_lr=point.peak_lr * row.rate_scale,
        optimizer=point.optimizer,
        horizon=row.horizon,
        seed=row.seed,
        evaluations=study.evaluations,
        metric=study.metric,
        direction=study.direction,
        extra=point.extra,
        engine=study.engine,
        checkpoint_url=checkpoint_url,
        keeps_examples=row.purpose is Purpose.FINAL and decides_by_loss(study),
    )


def decides_by_loss(study: ResolvedStudy) -> bool:
    """Whether its finals are compared by ``decide_loss``, of which the losses of single examples say more."""
    return study.metric == "val_loss" and study.objective.kind == "last"
