"""Optuna + MLflow by somebody who has measured: the lean loop, one ``log_batch`` per trial, WAL for both databases.

Every trial trains at the full horizon; each step's rate and loss go to MLflow, the only place that keeps them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import optuna
import torch
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from tests.benchmarks.sweep.workload import (
    EXPERIMENT,
    MLFLOW_DATABASE,
    OPTUNA_DATABASE,
    Job,
    Result,
    Stretch,
    ask_point,
    make_sampler,
    train,
    use_wal,
    warm_up,
)


def sweep(job: Job, points_per_curve: int | None = None) -> Result:
    """``points_per_curve`` thins the rates and the losses that are logged; None logs each step."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    client = MlflowClient(tracking_uri=f"sqlite:///{MLFLOW_DATABASE}")
    experiment = client.create_experiment(EXPERIMENT)
    storage = optuna.storages.RDBStorage(f"sqlite:///{OPTUNA_DATABASE}")
    use_wal(MLFLOW_DATABASE)
    use_wal(OPTUNA_DATABASE)
    study = optuna.create_study(storage=storage, sampler=make_sampler())
    parent = client.create_run(experiment, run_name="sweep").info.run_id
    stride = 1 if points_per_curve is None else max(1, job.horizon // points_per_curve)
    steps = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal steps
        point = ask_point(trial, job)
        stretches = list(train(point, job.horizon, seed=trial.number))
        run = client.create_run(experiment, run_name=f"trial {trial.number}", tags={MLFLOW_PARENT_RUN_ID: parent})
        params = [Param(name, str(value)) for name, value in trial.params.items()]
        client.log_batch(run.info.run_id, metrics=list(metrics_of(stretches, stride)), params=params)
        client.set_terminated(run.info.run_id)
        steps += stretches[-1].end
        value = stretches[-1].metrics["val_loss"]
        if not math.isfinite(value):
            raise optuna.TrialPruned
        return value

    warm_up(job)
    begin = time.perf_counter()
    study.optimize(objective, n_trials=job.trials)
    seconds = time.perf_counter() - begin
    client.set_terminated(parent)
    return Result(seconds, len(study.trials), steps, study.best_value)


def metrics_of(stretches: Sequence[Stretch], stride: int) -> Iterator[Metric]:
    """Every ``stride``-th rate and loss, and all evaluations."""
    now = int(time.time() * 1000)
    for name in ("lr", "train_loss"):
        values = [value for each in stretches for value in (each.rates if name == "lr" else each.losses)]
        for step in range(0, len(values), stride):
            yield Metric(name, values[step], now, step)
    for stretch in stretches:
        for name, value in stretch.metrics.items():
            yield Metric(name, value, now, stretch.end)
