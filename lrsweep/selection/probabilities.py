"""How probable it is that an arm is the best of all: a hierarchical model, drawn from.

Means of arms are taken to come from one normal law whose width is not known, and what an arm's few seeds say is drawn
towards the middle by as much as they are noise: the best of many noisy means is mostly luck. Every arm has a spread of
its own, of which its seeds tell part and those of the others the rest. A training that diverges is not the best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lrsweep.selection.arms import Arm

DRAWS = 4_000
"""Chance moves a probability by 0.008 at most (one standard deviation); 20 ms for 14 arms."""
WIDTHS = np.geomspace(0.01, 30.0, 48)
"""Of the law of the means, in typical standard errors of a mean."""
LEAST = 1e-6
"""Of the largest variance: an arm whose seeds all agree says no more than that of the others."""
SHARED_DEGREES = 4.0
"""How many degrees of freedom the others' spread is worth beside an arm's own."""


def probability_best(arms: Sequence[Arm], *, draws: int = DRAWS) -> dict[str, float | None]:
    """By name; they add up to 1, and are None where no arm has two values, so that nobody knows the noise."""
    running = [arm for arm in arms if arm.mean is not None]
    if not any(arm.spread is not None for arm in running):
        return {arm.name: None for arm in arms}
    if len(running) == 1:
        return {arm.name: float(arm is running[0]) for arm in arms}
    random = np.random.default_rng(0)  # the same data, the same answer
    means = _means(running, random, draws)
    costs = np.where(_diverges(running, random, draws), np.inf, means)
    # where all diverge in a draw, the one whose mean is the best of them is
    best = np.where(np.isinf(costs).all(axis=1), means.argmin(axis=1), costs.argmin(axis=1))
    shares = np.bincount(best, minlength=len(running)) / draws
    found = {arm.name: float(share) for arm, share in zip(running, shares, strict=True)}
    return {arm.name: found.get(arm.name, 0.0) for arm in arms}


def _means(arms: Sequence[Arm], random: np.random.Generator, draws: int) -> np.ndarray:
    """Draws of the arms' true means, a row each."""
    n = np.array([arm.n for arm in arms], dtype=np.float64)
    observed = np.array([arm.mean for arm in arms], dtype=np.float64)
    own = np.array([(arm.spread or 0.0) ** 2 for arm in arms])
    degrees = n - 1
    if not own.any():  # all values are one value: nothing is left to chance
        return np.tile(observed, (draws, 1))
    shared = _typical(own, degrees)
    total = degrees + SHARED_DEGREES
    variances = (degrees * own + SHARED_DEGREES * shared) / random.chisquare(total, (draws, len(arms))) / n
    widths = _widths(observed, variances, np.sqrt(np.median(shared / n)), random)
    precision = 1 / (variances + widths[:, None] ** 2)
    middle = (precision * observed).sum(axis=1) / precision.sum(axis=1)
    middle = middle + random.standard_normal(draws) / np.sqrt(precision.sum(axis=1))
    kept = widths[:, None] ** 2 * precision
    drawn = middle[:, None] + kept * (observed - middle[:, None])
    return np.asarray(drawn + np.sqrt(kept * variances) * random.standard_normal(drawn.shape))


def _typical(variances: np.ndarray, degrees: np.ndarray) -> float:
    """The variance that most arms have. Of their logarithms, because one restless arm says little of the others; each
    less what a logarithm of few degrees of freedom lies too low on the mean."""
    known = degrees > 0
    of = degrees[known]
    biases = np.array([_digamma_of_half(int(each)) for each in of])
    logs = np.log(np.maximum(variances[known], LEAST * variances.max())) - biases + np.log(of / 2)
    return float(np.exp(of @ logs / of.sum()))


@lru_cache(maxsize=1024)
def _digamma_of_half(degrees: int) -> float:
    """By its recurrence from 1/2 or from 1. SciPy has it too, and takes the first time 0.1 s.

    >>> round(_digamma_of_half(1), 6), round(_digamma_of_half(6), 6)
    (-1.96351, 0.922784)
    """
    start = -float(np.euler_gamma) - (2 * math.log(2) if degrees % 2 else 0.0)
    return start + math.fsum(2 / each for each in range(degrees - 2, 0, -2))


def _widths(observed: np.ndarray, variances: np.ndarray, error: float, random: np.random.Generator) -> np.ndarray:
    """A draw of the law's width for each draw of the variances; widths are equally likely beforehand on a scale that is
    even near zero and logarithmic far from it."""
    widths = WIDTHS * error
    precision = 1 / (variances[:, None, :] + widths[None, :, None] ** 2)
    weight = precision.sum(axis=2)
    middle = (precision * observed).sum(axis=2) / weight
    misfit = (precision * (observed - middle[:, :, None]) ** 2).sum(axis=2)
    logs = 0.5 * (np.log(precision).sum(axis=2) - np.log(weight) - misfit)
    logs = logs + np.log(WIDTHS / (1 + WIDTHS))
    shares = np.exp(logs - logs.max(axis=1, keepdims=True)).cumsum(axis=1)
    places = (shares < random.random((len(shares), 1)) * shares[:, -1:]).sum(axis=1)
    return np.asarray(widths[places])


def _diverges(arms: Sequence[Arm], random: np.random.Generator, draws: int) -> np.ndarray:
    """Whether a training diverges: never of an arm that has not; else by its share, with Jeffreys' prior."""
    ended = [(arm.diverged, arm.n) for arm in arms]
    rates = np.stack([random.beta(bad + 0.5, good + 0.5, draws) if bad else np.zeros(draws) for bad, good in ended])
    return np.asarray(random.random((draws, len(arms))) < rates.T)
