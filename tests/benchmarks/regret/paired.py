"""The selector's score: lrsweep's regret beside each rival's on the same budget, paired by repeat. Pure functions.

A difference is lrsweep's regret less the rival's, so below 0 lrsweep is better. Its interval is by bootstrap over the
repeats of each workload; the workloads are the ones there are. ``ahead`` and ``behind`` say that it does not hold 0,
for one rival on one budget: of so many comparisons one in twenty does so by luck.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.regret.replay import HABIT_NAMES, NAMES, OURS, WITHOUT_FINALS, Replay

DRAWS = 2000
RIVALS = tuple(name + tail for name in (*NAMES[1:], *HABIT_NAMES) for tail in ("", WITHOUT_FINALS))

Regrets = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Workload -> method -> by repeat, on one budget."""


def scores(replays: Iterable[Replay]) -> dict[str, list[dict[str, Any]]]:
    """By rival, one entry for each budget, and one with ``trainings`` None for the mean over budgets."""
    by_budget: dict[float, dict[str, dict[str, dict[int, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for each in replays:
        by_budget[each.trainings][each.workload][each.method][each.seed] = each.regret
    regrets = {trainings: _arrays(found) for trainings, found in sorted(by_budget.items())}
    methods = set.intersection(*(set(found) for on in regrets.values() for found in on.values()))
    names = [name for name in RIVALS if name in methods]
    return {
        name: [
            *({"trainings": trainings, **score(found, name)} for trainings, found in regrets.items()),
            {"trainings": None, **score(_over_budgets(list(regrets.values())), name)},
        ]
        for name in (OURS + WITHOUT_FINALS, *names)
        if name in methods
    }


def score(regrets: Regrets, rival: str) -> dict[str, Any]:
    """Both mean regrets, their difference with its interval over all workloads, and each workload's own."""
    differences = {workload: methods[OURS] - methods[rival] for workload, methods in regrets.items()}
    assert all(len(each) > 1 for each in differences.values()), "one repeat says nothing of the spread"
    random = np.random.default_rng(0)
    drawn = {workload: _drawn_means(found, random) for workload, found in differences.items()}
    every = _difference(
        float(np.mean([each.mean() for each in differences.values()])), np.mean(list(drawn.values()), axis=0)
    )
    return {
        "lrsweep": _rounded(float(np.mean([methods[OURS].mean() for methods in regrets.values()]))),
        "rival": _rounded(float(np.mean([methods[rival].mean() for methods in regrets.values()]))),
        **every,
        "workloads": {
            workload: _difference(float(found.mean()), drawn[workload]) for workload, found in differences.items()
        },
    }


def _arrays(found: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Regrets:
    return {
        workload: {method: np.array([regret for _, regret in sorted(each.items())]) for method, each in methods.items()}
        for workload, methods in found.items()
    }


def _over_budgets(regrets: Sequence[Regrets]) -> Regrets:
    return {
        workload: {method: np.mean([on[workload][method] for on in regrets], axis=0) for method in regrets[0][workload]}
        for workload in regrets[0]
    }


def _drawn_means(differences: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    found: NDArray[np.float64] = differences[random.integers(len(differences), size=(DRAWS, len(differences)))].mean(1)
    return found


def _difference(mean: float, drawn: NDArray[np.float64]) -> dict[str, Any]:
    low, high = (float(bound) for bound in np.percentile(drawn, (2.5, 97.5)))
    said = "ahead" if high < 0 else "behind" if low > 0 else "not told apart"
    return {"difference": _rounded(mean), "interval": [_rounded(low), _rounded(high)], "lrsweep_is": said}


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
