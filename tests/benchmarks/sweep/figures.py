"""From runs to figures: medians with their extremes, and each contender's time beside lrsweep's. Pure functions.

A ratio compares two runs of the same round, so that a slow minute of the machine falls on both; the median is over
rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the arithmetic alone also serves benchmarks on machines without Optuna
    from tests.benchmarks.sweep.process import Contender, Run

OURS = "lrsweep"
TRIALS_OF_A_SWEEP = 60


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """
    >>> spread([3.0, 1.0, 2.5])
    {'n': 3, 'median': 2.5, 'min': 1.0, 'max': 3.0}
    """
    return {
        "n": len(values),
        "median": _rounded(statistics.median(values)),
        "min": _rounded(min(values)),
        "max": _rounded(max(values)),
    }


def summary(contender: Contender, runs: Sequence[Run]) -> dict[str, Any]:
    """One contender's part of the result file; ``runs`` are everybody's."""
    own = [run for run in runs if run.contender == contender.name]
    ours = {run.round: run for run in runs if run.contender == OURS}
    figures: dict[str, Any] = {
        "about": contender.about,
        "trials_per_run": own[0].result.trials,
        "steps_per_run": spread([run.result.steps for run in own]),
        "seconds": spread([run.result.seconds for run in own]),
        "startup_seconds": spread([run.startup_seconds for run in own]),
        "seconds_per_1000_steps": spread([run.seconds_per_1000_steps for run in own]),
    }
    pairs = [(run, ours[run.round]) for run in own if run.round in ours and contender.name != OURS]
    if pairs:
        ratios = [run.seconds_per_1000_steps / our.seconds_per_1000_steps for run, our in pairs]
        figures["times_ours_per_step"] = spread(ratios)
    if contender.logs:  # what only trains runs no sweep
        figures |= {
            "seconds_per_trial": spread([run.seconds_per_trial for run in own]),
            f"seconds_per_{TRIALS_OF_A_SWEEP}_trials": spread(
                [TRIALS_OF_A_SWEEP * run.seconds_per_trial for run in own]
            ),
            "mlflow_points_per_trial": spread([run.mlflow_points / run.result.trials for run in own]),
        }
        if pairs:
            figures["times_ours_per_sweep"] = spread(
                [run.seconds_per_trial / our.seconds_per_trial for run, our in pairs]
            )
    return figures


def as_json(run: Run) -> dict[str, Any]:
    """A run as it was measured, so that anybody can count again."""
    return {
        "contender": run.contender,
        "round": run.round,
        "seconds": _rounded(run.result.seconds),
        "startup_seconds": _rounded(run.startup_seconds),
        "trials": run.result.trials,
        "steps": run.result.steps,
        "best_val_loss": _rounded(run.result.best_val_loss),
        "mlflow_runs": run.mlflow_runs,
        "mlflow_points": run.mlflow_points,
        "load_before": _rounded(run.load_before),
    }


def _rounded(value: float) -> float:
    """Four digits are more than a wall clock is worth."""
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
