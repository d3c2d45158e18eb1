"""Where a curve of costs over log rates has its lowest point: a least-squares parabola, which says when it cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COEFFICIENTS = 3


@dataclass(frozen=True)
class Optimum:
    """The lowest point of a parabola, and what its misfit says of it."""

    at: float
    """the log rate"""
    misfit: float
    """sum of the squared distances of the costs from the parabola"""
    freedom: int
    """points that are left to judge the misfit by"""
    leverage: float
    """the variance of ``at`` where a cost has the variance 1"""
    bend: float
    """by how much the cost rises at a distance of 1 from ``at``; four times that at 2"""


def optimum(points: Sequence[tuple[float, float | None]]) -> Optimum | str:
    """Of (log rate, cost) pairs; a cost is infinite where the training diverged, and None where nothing is known of it.

    A sentence where there is none to be had: the best of the costs has to stand between two others, of which the
    divergent may be one, and the parabola's lowest point between two that are finite.

    >>> round(optimum([(-1, 4.0), (0, 1.0), (1, 0.0), (2, 1.0)]).at, 6)
    1.0
    >>> optimum([(-1, 3.0), (0, 2.0), (1, 1.0), (2, 0.5)])
    'the best of its rates is the largest one'
    """
    known = sorted((at, cost) for at, cost in points if cost is not None)
    finite = [(at, cost) for at, cost in known if math.isfinite(cost)]
    if len(finite) <= COEFFICIENTS:
        return f"only {len(finite)} of its {len(points)} rates came to a value"
    best = min(range(len(known)), key=lambda place: known[place][1])
    if best in (0, len(known) - 1):
        return f"the best of its rates is the {'largest' if best else 'smallest'} one"
    at, costs = (np.array(each) for each in zip(*finite, strict=True))
    middle = at.mean()
    powers = np.vander(at - middle, COEFFICIENTS, increasing=True)
    coefficients = np.linalg.lstsq(powers, costs, rcond=None)[0]
    _, slope, bend = coefficients
    if bend <= 0:
        return "its costs do not bend upwards"
    lowest = -slope / (2 * bend)
    if not at[0] <= lowest + middle <= at[-1]:
        return "its costs have their lowest point beyond its rates"
    residuals = costs - powers @ coefficients
    gradient = np.array([0.0, -1 / (2 * bend), slope / (2 * bend**2)])
    return Optimum(
        at=float(lowest + middle),
        misfit=float(residuals @ residuals),
        freedom=len(finite) - COEFFICIENTS,
        leverage=float(gradient @ np.linalg.inv(powers.T @ powers) @ gradient),
        bend=float(bend),
    )
