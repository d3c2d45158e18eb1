"""How well a look orders points as their full trainings with other seeds do. Pure functions.

    families   Spearman between families, each at its own best point, within each optimizer: *which type wins?*
    points     over all points: *which point wins?*
    inside     over the points of one family, the mean over families: what halving inside families goes by
    regret     of the point that looks best by one seed, as in the regret benchmark: 0 is the best point, 1 the median
               one; the mean over draws of each point's seed

Correlations are by the mean over a look's seeds. Intervals are by bootstrap: points drawn anew, and for ``families``
the families. Every point has seeds of its own, so points drawn anew are noise of seeds drawn anew. All looks of a table
share their draws: differences are paired.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrsweep.selection.statistics import rank_correlation
from tests.benchmarks.regret.table import Table
from tests.benchmarks.rungs.looks import Floats, Look

MEASURES = ("families", "points", "inside", "regret")
DRAWS = 500
PICKS, PICKS_EACH = 400, 10
"""Draws of each point's seed: for a regret, and for that of each draw of points."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One look's measures, each as it is and over the bootstrap's draws."""

    found: Mapping[str, float]
    draws: Mapping[str, Floats]


def judged(table: Table, truth: Floats, looks: Mapping[str, Look], *, draws: int = DRAWS) -> dict[str, Judged]:
    """Every look of a table, by its name."""
    families = np.array([str(params["family"]) for params in table.params])
    optimizers = np.array([str(params["optimizer"]) for params in table.params])
    values = {name: look.values.mean(axis=1) for name, look in looks.items()}
    names = np.unique(families)
    random = np.random.default_rng(len(table.params))
    found = {
        name: {
            "families": between(each, truth, families, optimizers, names),
            "points": _correlation(each, truth),
            "inside": inside(each, truth, families),
            "regret": regret(looks[name].values, truth, np.random.default_rng(0), PICKS),
        }
        for name, each in values.items()
    }
    drawn: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in values}
    for _ in range(draws):
        points = random.integers(len(truth), size=len(truth))
        of_families = names[random.integers(len(names), size=len(names))]
        seed = int(random.integers(2**32))
        for name, each in values.items():
            drawn[name]["families"].append(between(each, truth, families, optimizers, of_families))
            drawn[name]["points"].append(_correlation(each[points], truth[points]))
            drawn[name]["inside"].append(inside(each[points], truth[points], families[points]))
            picks = np.random.default_rng(seed)  # the same for all looks
            drawn[name]["regret"].append(regret(looks[name].values[points], truth[points], picks, PICKS_EACH))
    return {
        name: Judged(found[name], {measure: np.array(each) for measure, each in drawn[name].items()}) for name in values
    }


def between(
    values: Floats,
    truth: Floats,
    families: NDArray[np.str_],
    optimizers: NDArray[np.str_],
    names: Sequence[str] | NDArray[np.str_],
) -> float:
    """The mean over optimizers of the correlation between families' best values and best truths."""
    found = []
    for optimizer in np.unique(optimizers):
        of_family = {name: np.flatnonzero((families == name) & (optimizers == optimizer)) for name in set(names)}
        found.append(
            _correlation(
                [values[of_family[name]].min() for name in names], [truth[of_family[name]].min() for name in names]
            )
        )
    return float(np.nanmean(found)) if np.isfinite(found).any() else math.nan


def inside(values: Floats, truth: Floats, families: NDArray[np.str_]) -> float:
    """The mean over families of the correlation over a family's points."""
    return float(
        np.nanmean([_correlation(values[families == name], truth[families == name]) for name in set(families)])
    )


def regret(values: Floats, truth: Floats, random: np.random.Generator, draws: int) -> float:
    """Of the best of ``values`` [point, seed] with a seed drawn for each point; at most 1, which also a pick has that
    diverges. The mean over draws."""
    best = truth.min()
    regrets = np.minimum(1.0, (truth - best) / (np.median(truth) - best))
    seeds = random.integers(values.shape[1], size=(draws, len(truth)))
    return float(regrets[values[np.arange(len(truth)), seeds].argmin(axis=1)].mean())


def _correlation(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float:
    found = rank_correlation(list(first), list(second))
    return math.nan if found is None else found
