"""The ways to look at a point before its full training has ended, as the tables of ``benchmarks/regret`` have them.

A look has a value per point and seed, infinite where the training diverged, and a price in full trainings. The truth
that looks are judged by comes from other seeds: ``unseen``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lrsweep.selection.parabola import Optimum, optimum
from lrsweep.selection.statistics import Interval, mean_interval
from lrsweep.space import peak_of
from tests.benchmarks.regret.table import RATE_EXPONENTS, SEARCH_SEEDS, Table

Floats = NDArray[np.float64]
Half = Literal["search", "decide"]

CUT, ANNEALED = "cut off", "cut + anneal"
OWN_RATE, CORRECTED, FITTED = "compressed, own rate", "compressed, corrected", "compressed, fitted"
CEILING = "full training"
KINDS = (CUT, ANNEALED, OWN_RATE, CORRECTED, FITTED)
REACH = 1.6
"""How far from the best rate the rates lie that an exponent is fitted to, on a log scale: five of a table's rates, with
steps of 0.59 to 0.77, and at a rung about twice as many."""


@dataclass(frozen=True, eq=False)
class Look:
    """What one kind of look shows of every point at one share of the horizon."""

    values: Floats
    """[point, seed]"""
    cost: float
    """of one look, in full trainings: the mean over points"""
    lost: float
    """the part of it that a training which goes on to the end has paid for nothing"""


@dataclass(frozen=True)
class Exponent:
    """How the best peak rate moves between a share of the horizon and the whole of it, for one optimizer."""

    mean: float
    """over curves of loss by rate, one of each family and setting; within 0 and 1"""
    interval: Interval | None
    curves: int
    """that had both optima inside their rates"""


def looks(table: Table, share: int) -> dict[str, Look]:
    """All kinds that the table holds at 1/``share`` of the horizon, and the full training itself."""
    name = {3: "third", 9: "ninth"}[share]
    arrays, horizon = table.arrays, table.horizon
    full_steps = arrays["steps"][:, :SEARCH_SEEDS]
    at_cut = np.minimum(full_steps, horizon // share)
    curves = arrays["curves"][:, :SEARCH_SEEDS]
    cut = _infinite(curves[:, :, curves.shape[2] // share - 1])
    raised, raised_steps = _infinite(arrays[name]), arrays[f"{name}_steps"]
    found = {
        CUT: Look(cut, _price(at_cut, horizon), 0.0),
        ANNEALED: _annealed(table, name, at_cut),
        CEILING: Look(_infinite(curves[:, :, -1]), _price(full_steps, horizon), 0.0),
    }
    own, own_steps = _own(table, name)
    # a training that diverges at the raised rate is repeated at its own before anybody hears of it
    repeated = np.where(np.isfinite(raised), 0, own_steps)
    price = _price(raised_steps + repeated, horizon)
    found[CORRECTED] = Look(np.where(np.isfinite(raised), raised, own), price, price)
    if bool((own_steps > 0).all()):
        price = _price(own_steps, horizon)
        found[OWN_RATE] = Look(own, price, price)
        found[FITTED] = Look(_at_exponents(table, share, exponents(table, share)), price, price)
    return found


def unseen(table: Table, halves: Sequence[Half] = ("search", "decide")) -> Floats:
    """By point, the mean loss at the end over the seeds that no look has; infinite where one of them diverged.

    Looks see the half of validation that is the search's.
    """
    ends = {"search": table.arrays["curves"][:, :, -1], "decide": table.arrays["decide"]}
    by_seed = np.mean([ends[half][:, SEARCH_SEEDS:].astype(np.float64) for half in halves], axis=0)
    if table.has_later:
        wanted = [("search", "decide").index(half) for half in halves]
        later = table.arrays["more"][:, :, wanted].astype(np.float64).mean(axis=2)
        by_seed = np.concatenate([by_seed, later], axis=1)
    return np.where(np.isfinite(by_seed).all(axis=1), by_seed.mean(axis=1), math.inf)


def exponents(table: Table, share: int) -> dict[str, Exponent]:
    """By optimizer, from the seeds that looks have."""
    name = {3: "third", 9: "ninth"}[share]
    full = _infinite(table.arrays["curves"][:, :SEARCH_SEEDS, -1]).mean(axis=1)
    found: dict[str, list[float]] = defaultdict(list)
    for (optimizer, _), points in curves_of(table).items():
        rates = _log_rates(table, points)
        at_rung = _merged(table, name, share, points)
        short = optimum(_around(at_rung[0], at_rung[1].mean(axis=1)))
        whole = optimum(_around(rates, full[points]))
        if isinstance(short, Optimum) and isinstance(whole, Optimum):
            found[optimizer].append((short.at - whole.at) / math.log(share))
    return {
        optimizer: Exponent(min(1.0, max(0.0, float(np.mean(each)))), mean_interval(each), len(each))
        for optimizer, each in sorted(found.items())
    }


def curves_of(table: Table) -> dict[tuple[str, str], list[int]]:
    """The points by optimizer and by family with settings, each list by rate."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for point, params in enumerate(table.params):
        others = sorted((key, value) for key, value in params.items() if not key.endswith("peak_lr"))
        found[str(params["optimizer"]), repr(others)].append(point)
    return {key: sorted(points, key=lambda point: peak_of(table.params[point])) for key, points in found.items()}


def _annealed(table: Table, name: str, at_cut: NDArray[np.int32]) -> Look:
    steps = table.arrays[f"annealed_{name}_steps"]
    lost = np.maximum(0, steps - at_cut)
    return Look(_infinite(table.arrays[f"annealed_{name}"]), _price(steps, table.horizon), _price(lost, table.horizon))


def _own(table: Table, name: str) -> tuple[Floats, NDArray[np.int32]]:
    """Compressed at the points' own rates; 0 steps where the table has none."""
    shape = (len(table.params), SEARCH_SEEDS)
    values = table.arrays.get(f"{name}_own", np.full(shape, math.nan))
    return _infinite(values), table.arrays.get(f"{name}_own_steps", np.zeros(shape, dtype=np.int32))


def _merged(table: Table, name: str, share: int, points: list[int]) -> tuple[Floats, Floats]:
    """One curve at a rung: the log rates at which it was trained, raised and own, and the losses [rate, seed]."""
    own = _log_rates(table, points)
    raised = own + RATE_EXPONENTS[str(table.params[points[0]]["optimizer"])] * math.log(share)
    rates = np.concatenate([own, raised])
    values = np.concatenate([_own(table, name)[0][points], _infinite(table.arrays[name][points])])
    order = np.argsort(rates)
    return rates[order], values[order]


def _at_exponents(table: Table, share: int, fitted: Mapping[str, Exponent]) -> Floats:
    """What a rung shows at the rates that fitted exponents raise to: a straight line between the two nearest rates that
    were trained, and the nearest itself at the end of them or beside a diverged one. Unfitted, the usual exponent."""
    name = {3: "third", 9: "ninth"}[share]
    found = np.full((len(table.params), SEARCH_SEEDS), math.inf)
    for (optimizer, _), points in curves_of(table).items():
        a = fitted[optimizer].mean if optimizer in fitted else RATE_EXPONENTS[optimizer]
        rates, values = _merged(table, name, share, points)
        for point, wanted in zip(points, _log_rates(table, points) + a * math.log(share), strict=True):
            right = min(max(int(np.searchsorted(rates, wanted)), 1), len(rates) - 1)
            weight = float(np.clip((wanted - rates[right - 1]) / (rates[right] - rates[right - 1]), 0.0, 1.0))
            if np.isfinite(values[[right - 1, right]]).all():
                found[point] = (1 - weight) * values[right - 1] + weight * values[right]
            else:
                found[point] = values[right] if weight > 0.5 else values[right - 1]
    return found


def _around(rates: Floats, costs: Floats) -> list[tuple[float, float | None]]:
    best = rates[int(np.argmin(costs))]
    return [(float(at), float(cost)) for at, cost in zip(rates, costs, strict=True) if abs(at - best) <= REACH]


def _log_rates(table: Table, points: list[int]) -> Floats:
    return np.log([peak_of(table.params[point]) for point in points])


def _infinite(values: NDArray[np.float32] | Floats) -> Floats:
    exact = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(exact), exact, math.inf)


def _price(steps: NDArray[np.int32], horizon: int) -> float:
    return float(steps.mean() / horizon)
