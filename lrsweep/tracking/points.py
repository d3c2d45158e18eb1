"""Which points of a curve MLflow gets, and the whole curve as a table. Pure: a curve in, points or text out.

About 200 points say as much as a screen can show. Which steps are shown depends on the horizon alone. So a curve may be
sent in parts, and a part again; and all trainings of a horizon have their points at the same steps, without which
MLflow's mean over a group of runs, taken step by step over the runs that have a point there, jumps up and down.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from lrsweep.records import Curve, Floats, Steps, stable_hash

POINTS_PER_CURVE = 200


class Point(NamedTuple):
    """One value of one metric. ``step`` is the update's index for a rate or a training loss, else the updates done."""

    key: str
    value: float
    step: int


def chosen_steps(steps: int, horizon: int, *, ended: bool) -> Steps:
    """The steps to show of the first ``steps``: an even grid over the horizon, and the last once it has ended.

    The grid has the first step and the last of the horizon.

    >>> chosen_steps(3, horizon=5, ended=False).tolist(), chosen_steps(600, 600, ended=True)[:3].tolist()
    ([0, 1, 2], [0, 3, 6])
    """
    grid = np.unique(np.rint(np.linspace(0, horizon - 1, POINTS_PER_CURVE)).astype(np.int64))
    last = np.array([steps - 1] if ended and steps else [], dtype=np.int64)
    return np.unique(np.concatenate([grid[grid < steps], last]))


def curve_points(curve: Curve, horizon: int, *, since: int, ended: bool) -> Iterator[Point]:
    """The points that MLflow lacks when it was sent the first ``since`` steps, perhaps before their last evaluation.

    The last step of a training that has ended is always among them: it may be off the grid, and was sent, if at all,
    when it was not known to be the last.
    """
    chosen = chosen_steps(curve.steps, horizon, ended=ended)
    steps = chosen[(chosen >= since) | (ended & (chosen == curve.steps - 1))]
    for key, values in (("lr", curve.rates), ("train_loss", curve.train_losses)):
        yield from _finite(key, values[steps], steps)
    for key, values in curve.evaluations.items():
        done, reported = _thinned(curve.evaluation_steps, values, horizon, since=since, ended=ended)
        yield from _finite(_apart(key, "lr"), reported, done)


def _thinned(evaluation_steps: Steps, values: Floats, horizon: int, *, since: int, ended: bool) -> tuple[Steps, Floats]:
    """Where a script reports at every step: the first value of each of 200 parts of the horizon, and the last of all.

    Whether a value is shown depends on those before it alone, so that parts of a curve add up.
    """
    there = ~np.isnan(values)  # of several metrics, some may be reported now and then
    done, reported = evaluation_steps[there], values[there]
    part = done * POINTS_PER_CURVE // horizon
    is_first = np.ones(len(done), dtype=bool)
    is_first[1:] = part[1:] != part[:-1]
    kept = is_first & (done >= since)
    kept[-1:] |= ended & ~is_first[-1:]
    return done[kept], reported[kept]


def _apart(metric: str, *ours: str) -> str:
    """A script may report what is known already under the same name: two curves need two names."""
    return f"reported_{metric}" if metric in ours else metric_name(metric)


_LONGEST_NAME = 250


def metric_name(reported: str) -> str:
    """The name as MLflow takes it: a script may print any, and a refused one would hold up the rows of all trainings.

    What had to be changed gets letters of its own, so that names that differ still do.

    >>> metric_name("val_loss"), metric_name("mAP@0.5"), metric_name("mAP_0.5")
    ('val_loss', 'mAP_0.5_5fe257', 'mAP_0.5')
    """
    is_path = posixpath.normpath(reported) == reported and not reported.startswith(("/", ".."))
    if is_path and len(reported) <= _LONGEST_NAME and re.fullmatch(r"[\w/.\- :]+", reported):
        return reported
    changed = re.sub(r"[^\w.\-]+", "_", reported).lstrip(".")
    return f"{changed[: _LONGEST_NAME // 2]}_{stable_hash(reported)[:6]}"


def final_points(metrics: Mapping[str, float], steps: int, curve: Curve) -> Iterator[Point]:
    """The outcome's metrics after ``steps`` updates, without those that the curve has at that very place."""
    shown = set(curve.evaluations) if steps in curve.evaluation_steps else set()
    for key, value in metrics.items():
        if key not in shown and math.isfinite(value):
            yield Point(_apart(key, "lr"), value, steps)


def _finite(key: str, values: Floats, steps: Steps) -> Iterator[Point]:
    # MLflow keeps an infinity as 1.8e308, which flattens every other curve of a chart, and one NaN makes the mean of a
    # whole group of runs vanish at its step. The curve ends where it stopped being a number; the table has the rest.
    kept = np.isfinite(values)
    for value, step in zip(values[kept].tolist(), steps[kept].tolist(), strict=True):
        yield Point(key, value, step)


def curve_table(curve: Curve) -> str:
    """The whole curve as CSV, a row per step; an evaluation after n updates stands in row n, as in MLflow's charts.

    The rate has all of its digits, a loss the eight that a 32-bit float has. A script gives no loss of each step.
    """
    gives_losses = not np.isnan(curve.train_losses).all()
    names = list(curve.evaluations)
    evaluated = {
        step: "".join(f",{value:.8g}" for value in values)
        for step, *values in zip(
            curve.evaluation_steps.tolist(), *(curve.evaluations[name].tolist() for name in names), strict=True
        )
    }
    blank = "," * len(names)
    rows = [
        f"{step},{rate!r},{f'{loss:.8g}' if gives_losses else ''}{evaluated.get(step, blank)}"
        for step, (rate, loss) in enumerate(zip(curve.rates.tolist(), curve.train_losses.tolist(), strict=True))
    ]
    after_the_last = [f"{step},,{values}" for step, values in evaluated.items() if step >= curve.steps]
    header = ["step", "lr", "train_loss", *(_apart(name, "step", "lr", "train_loss") for name in names)]
    return "\n".join([",".join(header), *rows, *after_the_last, ""])
