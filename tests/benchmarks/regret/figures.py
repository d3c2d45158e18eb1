"""From replays to figures: a method's regret at each budget, and what a rival's costs lrsweep. Pure functions."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.regret.replay import NAMES, OURS, WITHOUT_FINALS, Replay

Curve = list[dict[str, float]]
"""By budget, the smallest first: ``trainings``, ``spent``, ``regret`` with its quartiles."""


def curves(replays: Iterable[Replay]) -> dict[str, dict[str, Curve]]:
    """Workload -> method -> curve."""
    grouped: dict[tuple[str, str, float], list[Replay]] = defaultdict(list)
    for each in replays:
        grouped[each.workload, each.method, each.trainings].append(each)
    found: dict[str, dict[str, Curve]] = defaultdict(lambda: defaultdict(list))
    for workload, method, trainings in sorted(grouped, key=lambda key: key[2]):
        group = grouped[workload, method, trainings]
        low, middle, high = quartiles([each.regret for each in group])
        found[workload][method].append(
            {
                "trainings": trainings,
                "spent": _rounded(statistics.fmean(each.spent for each in group)),
                "regret": _rounded(middle),
                "low": _rounded(low),
                "high": _rounded(high),
                "mean": _rounded(statistics.fmean(each.regret for each in group)),
                "n": len(group),
            }
        )
    return {workload: dict(methods) for workload, methods in found.items()}


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """
    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0]), quartiles([7.0])
    ((2.0, 3.0, 4.0), (7.0, 7.0, 7.0))
    """
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def pooled(by_workload: Mapping[str, Mapping[str, Curve]]) -> dict[str, Curve]:
    """The mean over workloads of each method's mean regret: one hard workload must not vanish behind easy ones."""
    points: dict[str, dict[float, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for methods in by_workload.values():
        for method, curve in methods.items():
            for point in curve:
                points[method][point["trainings"]].append(point)
    return {
        method: [
            {
                "trainings": trainings,
                "spent": _rounded(statistics.fmean(point["spent"] for point in group)),
                "regret": _rounded(statistics.fmean(point["mean"] for point in group)),
            }
            for trainings, group in sorted(by_budget.items())
        ]
        for method, by_budget in points.items()
    }


def comparison(methods: Mapping[str, Curve], key: str = "regret") -> list[dict[str, Any]]:
    """For each budget: the best rival there, the cheapest budget at which any rival is as good, and how much of that
    lrsweep needs for the same regret.

    ``share`` is None where lrsweep does not come so far within the budgets that were replayed: there it is behind.
    A rival may do without finals where it is better off.
    """
    ours = methods[OURS]
    rivals = {name: curve for name, curve in methods.items() if name.removesuffix(WITHOUT_FINALS) in NAMES[1:]}
    found = []
    for place, point in enumerate(ours):
        best = min(rivals, key=lambda name: rivals[name][place][key])
        regret = rivals[best][place][key]
        cheapest = min(spent for curve in rivals.values() if (spent := needed(curve, regret, key)) is not None)
        own = needed(ours, regret, key)
        found.append(
            {
                "trainings": point["trainings"],
                "rival": best,
                "regret": regret,
                "rival_needs": cheapest,
                "lrsweep_needs": own,
                "share": None if own is None else _rounded(own / cheapest),
            }
        )
    return found


def needed(curve: Curve, regret: float, key: str = "regret") -> float | None:
    """The fewest trainings spent with which a method is that good or better; a straight line between two budgets.

    >>> needed([{"spent": 10, "regret": 0.4}, {"spent": 20, "regret": 0.2}], 0.3)
    15.0
    >>> needed([{"spent": 10, "regret": 0.4}, {"spent": 20, "regret": 0.2}], 0.1)
    """
    before: dict[str, float] | None = None
    for point in curve:
        if point[key] <= regret:
            if before is None or before[key] == point[key]:
                return _rounded(point["spent"])
            share = (before[key] - regret) / (before[key] - point[key])
            return _rounded(before["spent"] + share * (point["spent"] - before["spent"]))
        before = point
    return None


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
