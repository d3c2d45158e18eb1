"""Ray Tune with OptunaSearch and its own MLflow callback: the lean loop, two trials at a time, one report per evaluation.

It is given what makes it faster: workers that have imported PyTorch before the clock starts, an Optuna study in memory,
no log files of its own beside MLflow's, and no rates and losses of single steps.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # read when ray.tune is imported

import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

from tests.benchmarks.sweep.workload import (
    EXPERIMENT,
    MLFLOW_DATABASE,
    Job,
    Result,
    data,
    evaluations_at,
    make_sampler,
    point_of,
    study_of,
    suggest,
    train,
)

CONCURRENT = 2


class Clock:
    """Remembers when the search was first asked; Ray's own preparations before that are start-up."""

    first_ask = 0.0


def sweep(job: Job) -> Result:
    ray.init(num_cpus=CONCURRENT, include_dashboard=False, log_to_driver=False)
    try:
        ray.get([ray.remote(warm_up).remote(job) for _ in range(CONCURRENT)])
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, job=job), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(Space(job), metric="val_loss", mode="min", sampler=make_sampler()),
                num_samples=job.trials,
                max_concurrent_trials=CONCURRENT,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=EXPERIMENT,
                storage_path=str(Path.cwd() / "ray"),
                callbacks=[MLflowLoggerCallback(f"sqlite:///{Path.cwd() / MLFLOW_DATABASE}", experiment_name=EXPERIMENT)],
                verbose=0,
            ),
        )
        results = tuner.fit()
        seconds = time.perf_counter() - Clock.first_ask
    finally:
        ray.shutdown()
    if results.errors:
        raise RuntimeError(f"{len(results.errors)} of Ray's trials failed; the first: {results.errors[0]}")
    ends = evaluations_at(job.horizon)
    return Result(
        seconds=seconds,
        trials=len(results),
        steps=sum(ends[each.metrics["training_iteration"] - 1] for each in results),
        best_val_loss=results.get_best_result("val_loss", "min").metrics["val_loss"],
    )


class Space:
    """The search space as OptunaSearch asks for it: a function of the trial."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, trial: Any) -> None:
        Clock.first_ask = Clock.first_ask or time.perf_counter()
        suggest(trial, study_of(self._job))


def trainable(config: dict[str, Any], job: Job) -> None:
    for stretch in train(point_of(config, job), job.horizon, seed=0):
        tune.report({"lr": stretch.rates[-1], "train_loss": stretch.losses[-1], **stretch.metrics})


def warm_up(job: Job) -> None:
    """Imports and loads in a worker what a trial needs; long enough that both workers get one."""
    study_of(job)
    data()
    time.sleep(1.0)
