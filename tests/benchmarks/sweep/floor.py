"""Pure training: lrsweep's sequential engine in this very process, no search, no pipe, no store, no MLflow."""

from __future__ import annotations

import itertools
import time

from lrsweep.engines.device import open_device
from lrsweep.engines.sequential import train
from lrsweep.records import Outcome, Record, TrainingPlan
from lrsweep.schedules import core_names, schedule
from lrsweep.study import DEFAULT_OPTIMIZERS, OPTIMIZERS
from lrsweep.workloads.base import load
from tests.benchmarks.sweep.workload import Job, Result, study_of, warm_up

PEAK_LR = {"sgd": 0.2, "adamw": 0.01}
"""Rates that train well, so that every training runs to its end."""


def sweep(job: Job) -> Result:
    """Families and optimizers in turn, each training at the full horizon."""
    study = study_of(job)
    workload = load(study.workload, open_device("cpu"))
    outcomes: list[Outcome] = []

    def keep_outcome(record: Record) -> None:
        if record.outcome is not None:
            outcomes.append(record.outcome)

    kinds = itertools.cycle(itertools.product(core_names(), DEFAULT_OPTIMIZERS))
    plans = [
        TrainingPlan(
            training_id=f"floor-{number}",
            attempt=1,
            workload=study.workload,
            schedule=schedule(family),
            peak_lr=PEAK_LR[optimizer],
            optimizer=OPTIMIZERS[optimizer],
            horizon=job.horizon,
            seed=number,
        )
        for number, (family, optimizer) in enumerate(itertools.islice(kinds, job.trials))
    ]
    warm_up(job)
    begin = time.perf_counter()
    for plan in plans:
        train(plan, workload, keep_outcome)
    seconds = time.perf_counter() - begin
    steps = sum(outcome.steps for outcome in outcomes)
    return Result(seconds, len(plans), steps, min(outcome.metrics["val_loss"] for outcome in outcomes))
