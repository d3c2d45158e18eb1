"""Optuna with ASHA on cut-off trainings: ``python -m tests.benchmarks.command.rival SECONDS STARTED_AT SEED``.

Each trial is a process that reports through a pipe and is killed when the pruner says so. When its part of the time is
used up, the best few are trained again with fresh seeds, and the best mean is the pick. The last line of its output is
a ``Story`` as JSON. It keeps Optuna's study in SQLite, and, to its advantage, sends nothing to MLflow.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import optuna

from lrsweep.space import suggest
from lrsweep.study.specs import SelectionSpec
from tests.benchmarks.command.space import FINALS_SHARE, key_of, rates_of, rivals_study
from tests.benchmarks.command.story import Moment, Story
from tests.benchmarks.command.training import EVALUATIONS, HORIZON

SHARES = 9
"""The pruner's first rung is a ninth of the horizon, the second a third."""
FRESH = 1_000_000
"""Where the seeds of finals begin."""


def reports(rates: np.ndarray, seed: int) -> Iterator[tuple[int, float]]:
    """Of a training in a process of its own, which is killed where nobody listens any more."""
    path = Path.cwd() / "rates.npy"
    np.save(path, rates)
    command = [sys.executable, "-m", "tests.benchmarks.command.piped", str(path), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            said = json.loads(line)
            yield said["step"], said["val_loss"]
        if process.wait() != 0:
            raise RuntimeError(f"the training ended with exit code {process.returncode}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main(seconds: str, started_at: str, seed: str) -> None:
    began, budget = float(started_at), float(seconds)
    study = rivals_study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, seed=int(seed))
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=EVALUATIONS // SHARES, reduction_factor=3)
    asked = optuna.create_study(storage="sqlite:///optuna.db", sampler=sampler, pruner=pruner)
    moments: list[Moment] = []
    points = {}
    trainings = 0

    def passed() -> float:
        return time.time() - began

    while passed() < (1 - FINALS_SHARE) * budget:
        trial = asked.ask()
        suggest(trial, study)
        trainings += 1
        value = math.nan
        is_pruned = False
        for step, loss in reports(rates_of(trial.params, study), trial.number):
            value = loss
            trial.report(loss, round(step * EVALUATIONS / HORIZON))
            is_pruned = not math.isfinite(loss) or trial.should_prune()
            if is_pruned:
                break
        if is_pruned:
            asked.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        asked.tell(trial, value)
        key = key_of(asked.best_trial.params)
        points[key] = asked.best_trial.params
        if not moments or moments[-1].point != key:
            moments.append(Moment(passed(), key))

    trials = len(asked.trials)
    complete = sorted(asked.get_trials(states=[optuna.trial.TrialState.COMPLETE]), key=lambda each: each.value or 0.0)
    losses: dict[str, list[float]] = {}
    finalists = complete[: SelectionSpec().finalists]
    number = 0
    took = 0.0
    # seed by seed, so that all have about as many when the time is up; none begins that cannot end in time
    while finalists and passed() + took < budget:
        finalist = finalists[number % len(finalists)]
        at = time.time()
        ends = [loss for _, loss in reports(rates_of(finalist.params, study), FRESH + number // len(finalists))]
        took = time.time() - at
        losses.setdefault(key_of(finalist.params), []).append(ends[-1] if math.isfinite(ends[-1]) else math.inf)
        points[key_of(finalist.params)] = finalist.params
        trainings += 1
        number += 1
    if len(losses) == len(finalists) and losses:
        moments.append(Moment(passed(), min(losses, key=lambda key: statistics.fmean(losses[key]))))
    print(json.dumps(asdict(Story(passed(), moments, points, trials, trainings))))


if __name__ == "__main__":
    main(*sys.argv[1:])
