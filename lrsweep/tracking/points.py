"""Which points of a curve MLflow gets, and the whole curve as a table. Pure: a curve in, points or text out.

About 100 points are as many as a chart of many runs can show; each one costs the driver 0.2 ms, where a whole short
training takes 90. Which steps are shown depends on the horizon alone. So a curve may be sent in parts, and a part
again; and all trainings of a horizon have their points at the same steps, without which MLflow's mean over a group of
runs, taken step by step over the runs that have a point there, jumps up and down.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from lrsweep.records import Curve, Floats, Steps, stable_hash

POINTS_PER_CURVE = 100

OUR_CURVES = ("lr", "lr_planned")
"""Rates; a script that reports a metric of that name gets another."""


class Point(NamedTuple):
    """One value of one metric. ``step`` is the update's index for a rate or a training loss, else the updates done."""

    key: str
    value: float
    step: int


def chosen_steps(steps: int, horizon: int, *, ended: bool) -> Steps:
    """The steps to show of the first ``steps``: an even grid over the horizon, and the last once it has ended.

    The grid has the first step and the last of the horizon.

    >>> chosen_steps(3, horizon=5, ended=False).tolist(), chosen_steps(600, 600, ended=True)[:3].tolist()
    ([0, 1, 2], [0, 6, 12])
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
        yield from _finite(_apart(key, *OUR_CURVES), reported, done)


def planned_points(curve: Curve, planned: Floats, *, ended: bool) -> Iterator[Point]:
    """What the schedule alone says, at the steps at which the applied rates are shown; ``planned`` is the horizon long.

    From the first step, whatever was sent before: only now is it known that the two differ.
    """
    steps = chosen_steps(curve.steps, len(planned), ended=ended)
    steps = steps[steps < len(planned)]
    yield from _finite("lr_planned", planned[steps], steps)


def is_as_planned(curve: Curve, planned: Floats) -> bool:
    """Whether the applied rates are the schedule's, but for the last digits that a script's own arithmetic changes."""
    both = min(curve.steps, len(planned))
    return curve.steps <= len(planned) and bool(
        np.allclose(curve.rates[:both], planned[:both], rtol=1e-6, atol=1e-9 * float(planned.max()), equal_nan=False)
    )


def _thinned(evaluation_steps: Steps, values: Floats, horizon: int, *, since: int, ended: bool) -> tuple[Steps, Floats]:
    """Where a script reports at every step: the first value of each of 100 parts of the horizon, and the last of all.

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
            yield Point(_apart(key, *OUR_CURVES), value, steps)


def _finite(key: str, values: Floats, steps: Steps) -> Iterator[Point]:
    # MLflow keeps an infinity as 1.8e308, which flattens every other curve of a chart, and one NaN makes the mean of a
    # whole group of runs vanish at its step. The curve ends where it stopped being a number; the table has the rest.
    kept = np.isfinite(values)
    for value, step in zip(values[kept].tolist(), steps[kept].tolist(), strict=True):
        yield Point(key, value, step)


def curve_table(curve: Curve, planned: Floats | None = None) -> str:
    """The whole curve as CSV, a row per step; an evaluation after n updates stands in row n, as in MLflow's charts.

    ``planned`` rates, where they are not the applied ones, get a column of their own.
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
    plan = [""] * curve.steps if planned is None else [f",{rate!r}" for rate in planned[: curve.steps].tolist()]
    plan += [","] * (curve.steps - len(plan))  # a script that went past its horizon
    rows = [
        f"{step},{rate!r}{plan[step]},{f'{loss:.8g}' if gives_losses else ''}{evaluated.get(step, blank)}"
        for step, (rate, loss) in enumerate(zip(curve.rates.tolist(), curve.train_losses.tolist(), strict=True))
    ]
    before_losses = "," if planned is None else ",,"
    after_the_last = [f"{step},{before_losses}{values}" for step, values in evaluated.items() if step >= curve.steps]
    ours = ["step", "lr", *(["lr_planned"] if planned is not None else []), "train_loss"]
    header = [*ours, *(_apart(name, *ours) for name in names)]
    return "\n".join([",".join(header), *rows, *after_the_last, ""])
