"""Ray Tune with OptunaSearch and its own MLflow callback: the lean loop, two trials at once, one report per evaluation.

It is given what makes it faster: a clock that starts when its workers have started, an Optuna study in memory, WAL for
MLflow's database, no log files beside it, and no rates and losses of single steps.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # read when ray.tune is imported

import ray
from mlflow import MlflowClient
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

from lrsweep.space import suggest
from tests.benchmarks.sweep.workload import (
    EXPERIMENT,
    MLFLOW_DATABASE,
    Job,
    Result,
    evaluations_at,
    make_sampler,
    point_of,
    study_of,
    train,
    use_wal,
)

CONCURRENT = 2


def sweep(job: Job) -> Result:
    mlflow_uri = f"sqlite:///{Path.cwd() / MLFLOW_DATABASE}"
    MlflowClient(mlflow_uri).search_experiments()  # makes the database
    use_wal(MLFLOW_DATABASE)
    ray.init(num_cpus=CONCURRENT, include_dashboard=False, log_to_driver=False)
    try:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, job=job), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(partial(space, job=job), metric="val_loss", mode="min", sampler=make_sampler()),
                num_samples=job.trials,
                max_concurrent_trials=CONCURRENT,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=EXPERIMENT,
                storage_path=str(Path.cwd() / "ray"),
                callbacks=[MLflowLoggerCallback(mlflow_uri, experiment_name=EXPERIMENT)],
                verbose=0,
            ),
        )
        results = tuner.fit()
    finally:
        ray.shutdown()
    if results.errors:
        raise RuntimeError(f"{len(results.errors)} of Ray's trials failed; the first: {results.errors[0]}")
    last_results = [results[place].metrics or {} for place in range(len(results))]
    ends = evaluations_at(job.horizon)
    return Result(
        seconds=seconds_of_rows(),
        trials=len(results),
        steps=sum(ends[last["training_iteration"] - 1] for last in last_results),
        best_val_loss=min(last["val_loss"] for last in last_results),
    )


def space(trial: Any, job: Job) -> None:
    """The search space as OptunaSearch asks for it: a function that suggests."""
    suggest(trial, study_of(job))


def trainable(config: dict[str, Any], job: Job) -> None:
    for stretch in train(point_of(config, job), job.horizon, seed=0):
        tune.report({"lr": stretch.rates[-1], "train_loss": stretch.losses[-1], **stretch.metrics})


def seconds_of_rows() -> float:
    """From the first result's row in MLflow to the end of the last run.

    Not from the first ask: between the two, each worker imports PyTorch, which lrsweep's engine has done before its
    clock starts.
    """
    with closing(sqlite3.connect(MLFLOW_DATABASE)) as connection:
        first = connection.execute("SELECT min(timestamp) FROM metrics").fetchone()[0]
        last = connection.execute("SELECT max(end_time) FROM runs").fetchone()[0]
    return float(last - first) / 1000
