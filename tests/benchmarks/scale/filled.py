"""A results database with 100,000 trainings in one study, made through the store's own tables.

The rows are what a sweep of 33,000 trials leaves in which nothing was halted: three trainings of each trial, finals of
six of them with ten fresh seeds each, all events, and a curve of every training. Points are drawn as a sweep draws its
first ones; a few hundred different ones are used in turn, for drawing is not what is measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna

from lrsweep.records import (
    Curve,
    Outcome,
    Purpose,
    Status,
    StudyRow,
    SweepRow,
    SweepStatus,
    TrainingRow,
    TrialRow,
    TrialState,
    training_id,
)
from lrsweep.space import distributions_to_json, suggest
from lrsweep.store import models, open_store
from lrsweep.store.base import Event
from lrsweep.store.sql import SqlStore
from lrsweep.store.transactions import columns
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.plans import first_training, next_plan
from tests.benchmarks.scale.curves import curve_of
from tests.sweeps import a_study

STUDY, SWEEP = "scale", "0123456789abcdef"
POINTS = 240
FINALISTS, SEEDS = 6, 10
CHUNK = 2000


@dataclass(frozen=True)
class Filled:
    trials: int
    trainings: int
    events: int


def the_study(trials: int, horizon: int = 600) -> ResolvedStudy:
    return replace(a_study(trials=trials, horizon=horizon), name=STUDY, source=f"{STUDY}.toml")


def fill(url: str, trainings: int) -> Filled:
    """About ``trainings`` of them, in a sweep that has finished. Raises where the database holds the study already."""
    trials = (trainings - FINALISTS * SEEDS) // 3
    study = the_study(trials)
    store = open_store(url)
    assert isinstance(store, SqlStore)
    try:
        lease = store.acquire_lease(STUDY, "a benchmark", seconds=3600)
        row = StudyRow(study.name, study.meaning, study.generation, json.loads(json.dumps(study.spec())))
        store.register_study(lease, row)
        store.create_sweep(lease, SweepRow(SWEEP, STUDY, study.generation))
        filled = _rows(store, study, trials)
        store.update_sweep(lease, SWEEP, status=SweepStatus.FINISHED, add_seconds=3600.0)
        store.release_lease(lease)
    finally:
        store.close()
    return filled


def _rows(store: SqlStore, study: ResolvedStudy, trials: int) -> Filled:
    points = _points(study)
    counts = {"trials": 0, "trainings": 0, "events": 0}
    best: list[tuple[float, TrialRow]] = []
    for numbers in (range(begin, min(begin + CHUNK, trials)) for begin in range(0, trials, CHUNK)):
        rows = [_trial(study, number, points) for number in numbers]
        best = sorted([*best, *((row.value or 0.0, row) for row, _ in rows)], key=lambda each: each[0])[:FINALISTS]
        _add(store, [row for row, _ in rows], [each for _, of_trial in rows for each in of_trial], counts)
    finals = [_final(study, row, seed) for _, row in best for seed in range(SEEDS)]
    _add(store, [], finals, counts)
    return Filled(counts["trials"], counts["trainings"], counts["events"])


Trained = tuple[TrainingRow, Curve]


def _points(study: ResolvedStudy) -> list[tuple[TrialRow, list[Trained]]]:
    """Each with its trainings at all rungs."""
    found = []
    for trial in points_of(study, SWEEP, POINTS):
        ended = replace(trial, state=TrialState.COMPLETE, value=0.0)
        rows = [first_training(study, SWEEP, trial.number, trial.params, rung) for rung in range(len(study.rungs))]
        found.append((ended, [_trained(study, ended, row) for row in rows]))
    return found


def points_of(study: ResolvedStudy, sweep_id: str, count: int) -> Iterator[TrialRow]:
    """Trials that have just been asked for, drawn at random as a search draws its first ones."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(count):
        asked = search.ask()
        suggest(asked, study)
        yield TrialRow(study.name, number, sweep_id, dict(asked.params), distributions_to_json(asked.distributions))


def _trained(study: ResolvedStudy, trial: TrialRow, row: TrainingRow) -> Trained:
    plan = next_plan(row, trial, study, checkpoint_url="")
    curve = curve_of(plan)
    value = float(curve.evaluations[study.metric][-1])
    outcome = Outcome(
        Status.COMPLETED, row.horizon, 0.001 * row.horizon, {"val_loss": value, "decide_loss": 1.02 * value}
    )
    begun = replace(row, status=Status.RUNNING, attempt=1, device="cpu", engine="fused/16", started_at=1.8e9)
    ended = begun.with_outcome(outcome)
    return replace(
        ended, mlflow_run_id="0" * 32, mirrored_attempt=1, mirrored_steps=row.horizon, mirrored_status=ended.status
    ), curve


def _trial(
    study: ResolvedStudy, number: int, points: Sequence[tuple[TrialRow, list[Trained]]]
) -> tuple[TrialRow, list[Trained]]:
    """A point in turn under another number, with a peak rate and values of its own: no sweep draws a number twice."""
    turn, place = divmod(number, POINTS)
    trial, trained = points[place]
    params = {name: each * (1 + 1e-4 * turn) if "peak_lr" in name else each for name, each in trial.params.items()}
    factor = float(np.random.default_rng(number).lognormal(0.0, 0.05))
    rows = [_renamed(row, number, row.seed + number, factor) for row, _ in trained]
    value = rows[-1].metrics["val_loss"]
    return replace(trial, number=number, params=params, value=value), [
        (row, curve) for row, (_, curve) in zip(rows, trained, strict=True)
    ]


def _final(study: ResolvedStudy, trial: TrialRow, seed: int) -> Trained:
    row, curve = _trained(study, trial, first_training(study, SWEEP, trial.number, trial.params, len(study.rungs) - 1))
    drawn = float(np.random.default_rng([trial.number, seed]).lognormal(0.0, 0.05))
    return replace(_renamed(row, trial.number, 1000 + seed, drawn), purpose=Purpose.FINAL), curve


def _renamed(row: TrainingRow, number: int, seed: int, factor: float) -> TrainingRow:
    return replace(
        row,
        trial=number,
        seed=seed,
        training_id=training_id(SWEEP, number, row.horizon, seed, row.rate_scale),
        metrics={name: value * factor for name, value in row.metrics.items()},
        started_at=1.8e9 + number,
    )


def _add(store: SqlStore, trials: Sequence[TrialRow], trained: Sequence[Trained], counts: dict[str, int]) -> None:
    curves: list[dict[str, Any]] = [
        {"training_id": row.training_id, "attempt": 1, "steps": curve.steps, "data": _packed(curve)}
        for row, curve in trained
    ]
    events = [*_events(trials, trained)]
    with store._engine.execution_options(writing=True).begin() as connection:
        for table, rows in (
            (models.trial, [columns(row) for row in trials]),
            (models.training, [columns(row) for row, _ in trained]),
            (models.curve, curves),
            (models.event, [columns(event) for event in events]),
        ):
            if rows:
                connection.execute(table.insert(), rows)
    counts["trials"] += len(trials)
    counts["trainings"] += len(trained)
    counts["events"] += len(events)


_PACKED: dict[int, tuple[Curve, bytes]] = {}


def _packed(curve: Curve) -> bytes:
    """The curve is kept beside its bytes, so that no other one gets its id."""
    if id(curve) not in _PACKED:
        _PACKED[id(curve)] = curve, curve.to_bytes()
    return _PACKED[id(curve)][1]


def _events(trials: Sequence[TrialRow], trained: Sequence[Trained]) -> Iterator[Event]:
    for trial in trials:
        yield _event(trial.number, "trial_added", {"trial": trial.number, "queued": []})
    for row, _ in trained:
        facts = {"training_id": row.training_id, "trial": row.trial, "rung": row.rung, "attempt": 1}
        where = {"device": row.device, "engine": row.engine}
        yield _event(row.trial, "training_started", {**facts, "status": "running", **where})
        yield _event(row.trial, "training_ended", {**facts, "status": row.status.value, "queued": []})
    for trial in trials:
        yield _event(trial.number, "trial_told", {"trial": trial.number, "state": "complete", "value": trial.value})


def _event(number: int, kind: str, data: dict[str, Any]) -> Event:
    return Event(1.8e9 + number, STUDY, SWEEP, kind, "a-token", data)
