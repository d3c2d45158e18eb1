"""Optuna + MLflow as one writes it first: a DataLoader, ``.item()`` and ``log_metric`` at each step.

Every trial trains at the full horizon, in a nested run under a parent.
"""

from __future__ import annotations

import math
import time

import mlflow
import optuna
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from lrsweep.records import OptimizerSpec
from lrsweep.workloads.tables import DIGITS_BATCH_SIZE as BATCH_SIZE
from tests.benchmarks.sweep.workload import (
    EXPERIMENT,
    MLFLOW_DATABASE,
    OPTUNA_DATABASE,
    Job,
    Result,
    ask_point,
    data,
    evaluate,
    evaluations_at,
    make_model,
    make_sampler,
    warm_up,
)


def sweep(job: Job) -> Result:
    torch.set_num_threads(1)  # more would only slow so small a network
    mlflow.set_tracking_uri(f"sqlite:///{MLFLOW_DATABASE}")
    mlflow.set_experiment(EXPERIMENT)
    study = optuna.create_study(storage=f"sqlite:///{OPTUNA_DATABASE}", sampler=make_sampler())
    evaluation_points = set(evaluations_at(job.horizon))
    steps = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal steps
        point = ask_point(trial, job)
        with mlflow.start_run(run_name=f"trial {trial.number}", nested=True):
            mlflow.log_params(trial.params)
            torch.manual_seed(trial.number)
            model = make_model()
            optimizer = plain_optimizer(model, point.optimizer, point.peak_lr)
            factors = [*point.schedule.rates(job.horizon).tolist(), 0.0]  # LambdaLR asks once more after the last step
            scheduler = LambdaLR(optimizer, factors.__getitem__)
            loader = DataLoader(TensorDataset(*data().train), batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
            done = 0
            while done < job.horizon:
                for inputs, targets in loader:
                    loss = functional.cross_entropy(model(inputs), targets)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    mlflow.log_metric("lr", float(scheduler.get_last_lr()[0]), step=done)
                    mlflow.log_metric("train_loss", loss.item(), step=done)
                    scheduler.step()
                    done += 1
                    steps += 1
                    if done in evaluation_points:
                        found = evaluate(model, data().search, "val")
                        for name, value in found.items():
                            mlflow.log_metric(name, value, step=done)
                        if not math.isfinite(found["val_loss"]):
                            raise optuna.TrialPruned
                    if done == job.horizon:
                        break
            for name, value in evaluate(model, data().decide, "decide").items():
                mlflow.log_metric(name, value, step=done)
            return found["val_loss"]

    with mlflow.start_run(run_name="sweep"):
        warm_up(job)
        begin = time.perf_counter()
        study.optimize(objective, n_trials=job.trials)
        seconds = time.perf_counter() - begin
    return Result(seconds, len(study.trials), steps, study.best_value)


def plain_optimizer(model: nn.Module, spec: OptimizerSpec, peak_lr: float) -> torch.optim.Optimizer:
    """As PyTorch's documentation writes it."""
    settings = spec.settings
    if spec.name == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=peak_lr, momentum=settings["momentum"], weight_decay=settings["weight_decay"]
        )
    return torch.optim.AdamW(
        model.parameters(),
        lr=peak_lr,
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["eps"],
        weight_decay=settings["weight_decay"],
    )
