from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lrsweep.schedules.course import Floats, State
from lrsweep.schedules.kinds import UNIT, Choice, Interval, Kind, Whole
from lrsweep.schedules.reactive.base import BETWEEN, Heard, Reactive, improved
from lrsweep.schedules.reactive.columns import Columns
from lrsweep.schedules.setting import Options, Search, setting


@dataclass(frozen=True, kw_only=True, repr=False)
class Plateau(Reactive):
    """Times ``gamma`` whenever more than ``patience`` evaluations in a row brought nothing new.

    For positive metrics this is ReduceLROnPlateau with ``eps=0`` and ``floor`` as its ``min_lr``, evaluation by
    evaluation. There are two differences: a relative threshold has the right sign for negative metrics, and an infinite
    metric is never the best.
    """

    family: ClassVar[str] = "plateau"
    formula: ClassVar[str] = "base·gamma^n, n: times that patience was exceeded"
    source: ClassVar[str] = "PyTorch's ReduceLROnPlateau; its sign for negative metrics put right (pytorch#47513)"
    use: ClassVar[str] = "When nobody knows how long the training takes, and a validation metric is at hand."
    simplicity: ClassVar[int] = 210

    gamma: float = setting(
        0.1, allowed=BETWEEN, search=Search(0.05, 0.7, log=True), meaning="what each drop multiplies the rate by"
    )
    patience: int = setting(
        2,
        allowed=Whole(low=0, high=1_000_000),
        search=Search(0, 8, whole=True),
        meaning="how many evaluations in a row may bring no improvement; the next one drops the rate",
    )
    threshold: float = setting(
        1e-4,
        allowed=Interval(low=0, high=1e9),
        search=Search(1e-5, 1e-2, log=True),
        meaning="by how much a metric must be better than the best to count as an improvement",
    )
    threshold_mode: str = setting(
        "rel",
        allowed=Choice(("rel", "abs")),
        search=Options(("rel", "abs")),
        meaning="whether the threshold is a fraction of the best or a number in the metric's own unit",
    )
    cooldown: int = setting(
        0,
        allowed=Whole(low=0, high=1_000_000),
        search=Search(0, 4, whole=True),
        meaning="for how many evaluations after a drop none is counted as bad",
    )

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[str]:
        if values["mode"] == "max" or values["threshold_mode"] == "abs" or values["threshold"] < 1:
            return []
        return [
            f"threshold must be below 1 where it is a fraction of the best, not {values['threshold']:g}: "
            "no positive loss can fall by as much. Give a smaller one, or threshold_mode='abs'"
        ]

    def begin(self) -> State:
        return {"best": None, "bad": 0, "cooling": 0, "multiplier": 1.0}

    def state_kinds(self) -> Mapping[str, Kind]:
        return {
            "best": Heard(),
            "bad": Whole(low=0, high=self.patience),
            "cooling": Whole(low=0, high=self.cooldown),
            "multiplier": UNIT,
        }

    def constants(self) -> Mapping[str, float | tuple[float, ...]]:
        return {
            "direction": self.direction,
            "gamma": self.gamma,
            "patience": self.patience,
            "threshold": self.threshold,
            "relative": self.threshold_mode == "rel",
            "cooldown": self.cooldown,
        }

    @classmethod
    def advanced(cls, own: Columns, state: Columns, metric: Floats) -> Columns:
        better = improved(metric, state["best"], own["direction"], own["threshold"], own["relative"])
        cooling = state["cooling"] > 0
        bad = np.where(better | cooling, 0, state["bad"] + 1)
        drops = bad > own["patience"]
        return {
            "best": np.where(better, metric, state["best"]),
            "bad": np.where(drops, 0, bad),
            "cooling": np.where(drops, own["cooldown"], state["cooling"] - cooling),
            "multiplier": np.where(drops, state["multiplier"] * own["gamma"], state["multiplier"]),
        }
