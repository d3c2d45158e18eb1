"""From a point that a search draws to the point of the pool that stands for it, and the study that the pool is of."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lrsweep.records import Json, WorkloadFacts
from lrsweep.schedules import Search, family
from lrsweep.space import peak_lr_name
from lrsweep.study import ResolvedStudy, parse_study
from tests.benchmarks.regret.table import Table


def study_of(
    table: Table, *, trainings: float, seed: int, families: Sequence[str] = (), more: str = ""
) -> ResolvedStudy:
    """A study with all that a file leaves to lrsweep, of the core families or those given; ``more`` are lines of the
    file."""
    facts = table.meta["facts"]
    text = (
        f'[study]\nname = "{table.meta["workload"]}"\nworkload = "digits"\nhorizon = {table.horizon}\nseed = {seed}\n'
        f"[budget]\ntrainings = {trainings}\n{more}"
        + (f"[space]\nfamilies = {json.dumps(list(families))}\n" if families else "")
    )
    study = parse_study(text, "replayed.toml").resolved(
        WorkloadFacts(
            name=facts["name"],
            settings=facts["settings"],
            version=1,
            data_hash=facts["data_hash"],
            batch_size=facts["batch_size"],
            horizon=table.horizon,
            peak_lr={optimizer: tuple(searched) for optimizer, searched in facts["peak_lr"].items()},
            metrics={"loss": "minimize"},
        )
    )
    # without later seeds there are three fresh ones: a race would see the same ones again and take them for others
    return replace(study, selection=replace(study.selection, racing=study.selection.racing and table.has_later))


class Pool:
    """The points of a table by what a search calls them."""

    def __init__(self, table: Table) -> None:
        self._points: dict[tuple[str, str], list[tuple[int, float, dict[str, float]]]] = defaultdict(list)
        for place, params in enumerate(table.params):
            name, optimizer = params["family"], params["optimizer"]
            peak = math.log(params[peak_lr_name(name, optimizer)])
            self._points[name, optimizer].append((place, peak, _shares(name, params)))

    def nearest(self, params: Mapping[str, Json], peak_lr: float) -> int:
        """The nearest settings first, then the nearest rate: all of a family's settings were trained at each rate. A
        setting that the pool's points have not does not matter."""
        name, optimizer = str(params["family"]), str(params["optimizer"])
        wanted, peak = _shares(name, params), math.log(peak_lr)

        def distance(point: tuple[int, float, dict[str, float]]) -> tuple[float, float]:
            apart = [point[2][setting] - share for setting, share in wanted.items() if setting in point[2]]
            return float(np.hypot.reduce([0.0, *apart])), abs(point[1] - peak)

        return min(self._points[name, optimizer], key=distance)[0]


def _shares(name: str, params: Mapping[str, Json]) -> dict[str, float]:
    """The family's settings, each as a share of its range."""
    found = {}
    for setting in family(name).settings():
        for drawn, search in setting.searched().items():
            key = f"{name}.{drawn}"
            if isinstance(search, Search) and key in params:
                low, high, value = (
                    (math.log(each) if search.log else each) for each in (search.low, search.high, params[key])
                )
                found[drawn] = round((value - low) / (high - low), 9)
    return found
