"""Curves made short: few points say what a screen can show, if the turns are among them."""

from __future__ import annotations

import math

import numpy as np

from lrsweep.records import Floats, Steps
from lrsweep.report.content import Line

MOST_POINTS = 120
TURNS = 30
"""Of these, where the curve bends most: a step that falls between two points would become a slope, and a corner would
be cut."""
PARTS = 60
DIGITS = 5


def thinned(values: Floats, first: int = 0) -> Line:
    """A value per step: an even grid with the first and the last, and the places where the curve bends most.

    >>> thinned(np.array([1.0, 1.0, 0.1]))
    ((0.0, 1.0), (1.0, 1.0), (2.0, 0.1))
    """
    if len(values) > MOST_POINTS:
        grid = np.rint(np.linspace(0, len(values) - 1, MOST_POINTS - TURNS)).astype(np.int64)
        bends = np.abs(np.diff(np.nan_to_num(values, posinf=0.0, neginf=0.0), n=2))
        turns = 1 + np.argsort(-bends, kind="stable")[:TURNS]  # both sides of a step are bends
        chosen = np.unique(np.concatenate([grid, turns]))
    else:
        chosen = np.arange(len(values))
    return tuple((float(first + step), rounded(float(values[step]))) for step in chosen)


def averaged(values: Floats) -> Line:
    """The mean of each of 60 parts, at the middle of the part: a loss of single batches is mostly noise."""
    parts = [part for part in np.array_split(np.arange(len(values)), min(PARTS, max(1, len(values)))) if len(part)]
    with np.errstate(over="ignore", invalid="ignore"):
        return tuple((float(part.mean()), rounded(float(values[part].mean()))) for part in parts)


def evaluated(steps: Steps, values: Floats) -> Line:
    """At most ``MOST_POINTS`` of the evaluations, the first and the last among them."""
    chosen = np.unique(np.rint(np.linspace(0, len(steps) - 1, min(len(steps), MOST_POINTS))).astype(np.int64))
    return tuple((float(steps[place]), rounded(float(values[place]))) for place in chosen) if len(steps) else ()


def rounded(value: float) -> float | None:
    """To five digits; None for what is no number.

    >>> rounded(0.1234567), rounded(float("nan"))
    (0.12346, None)
    """
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
