from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrsweep.schedules.course import Floats, State
from lrsweep.schedules.kinds import UNIT, Kind, NotOfThisKind, Whole
from lrsweep.schedules.reactive.base import BETWEEN, Heard, Reactive
from lrsweep.schedules.reactive.columns import Column, Columns, running_sum
from lrsweep.schedules.setting import Search, setting


@dataclass(frozen=True)
class Window:
    """The finite metrics that a state remembers, the oldest first."""

    most: int

    def __str__(self) -> str:
        return f"a list of at most {self.most} finite numbers"

    def read(self, given: object) -> list[float]:
        if not isinstance(given, list | tuple) or len(given) > self.most:
            raise NotOfThisKind
        numbers = [Heard().read(number) for number in given]
        if None in numbers:
            raise NotOfThisKind
        return [number for number in numbers if number is not None]


@dataclass(frozen=True, kw_only=True, repr=False)
class Slope(Reactive):
    """Times ``gamma`` when the metric's trend over a window is too flat.

    The trend is the straight line of least squares through the last ``window + 1`` metrics, from y_0 at the window's
    beginning to y_w at its end. The rate drops when the line improves by less than ``rate·|y_0|``; after a drop the
    window begins anew, since the metrics before it belong to the old rate.
    """

    family: ClassVar[str] = "slope"
    formula: ClassVar[str] = (
        "base·gamma^n, n: windows whose least-squares line improved by less than rate·|its beginning|"
    )
    source: ClassVar[str] = "no paper: a plateau rule that asks for a trend rather than for a new best"
    use: ClassVar[str] = (
        "When the metric is noisy: one lucky evaluation does not look like progress, nor does a bad one."
    )
    simplicity: ClassVar[int] = 230

    rate: float = setting(
        0.01,
        allowed=UNIT,
        search=Search(1e-3, 0.1, log=True),
        meaning="the smallest improvement over the window, as a fraction of its beginning, that does not drop the rate",
    )
    window: int = setting(
        3,
        allowed=Whole(low=1, high=10_000),
        search=Search(2, 8, whole=True),
        meaning="from how many evaluations back to the newest the line is drawn",
    )
    gamma: float = setting(
        0.5, allowed=BETWEEN, search=Search(0.1, 0.8), meaning="what each drop multiplies the rate by"
    )

    def begin(self) -> State:
        return {"last": None, "recent": [], "multiplier": 1.0}

    def state_kinds(self) -> Mapping[str, Kind]:
        return {"last": Heard(), "recent": Window(self.window + 1), "multiplier": UNIT}

    def constants(self) -> Mapping[str, float | tuple[float, ...]]:
        return {
            "direction": self.direction,
            "rate": self.rate,
            "window": self.window,
            "gamma": self.gamma,
            "from_middle": tuple(place - self.window / 2 for place in range(self.window + 1)),
        }

    @classmethod
    def advanced(cls, own: Columns, state: Columns, metric: Floats) -> Columns:
        from_middle = own["from_middle"]
        last = np.where(np.isnan(metric), state["last"], metric)
        recent = np.concatenate([state["recent"][:, 1:], last[:, np.newaxis]], axis=1)
        recent = np.where(np.isnan(from_middle), np.nan, recent)
        full = (np.isnan(recent) == np.isnan(from_middle)).all(axis=1)
        begins, improves = _line(recent, np.nan_to_num(from_middle), own["window"], own["direction"])
        drops = full & (improves < own["rate"] * np.abs(begins))
        return {
            "last": last,
            "recent": np.where(drops[:, np.newaxis], np.nan, recent),
            "multiplier": np.where(drops, state["multiplier"] * own["gamma"], state["multiplier"]),
        }


def _line(recent: Column, from_middle: Column, window: Column, direction: Column) -> tuple[Column, Column]:
    """Where the line through each row begins, and by how much it improves up to its end; both times a power of 2 that
    keeps the sums of the largest and the smallest metrics within what a float can hold."""
    newest = np.where(np.isnan(recent[:, -1:]), 0.0, recent[:, -1:])
    values = np.where(np.isnan(recent), newest, recent)
    _, exponent = np.frexp(np.abs(values).max(axis=1, keepdims=True))
    values, newest = np.ldexp(values, -exponent), np.ldexp(newest, -exponent)
    # Differences from the newest: metrics that are all alike have the slope 0 exactly, and empty places add nothing.
    differences = values - newest
    slope = running_sum(from_middle * differences) / running_sum(from_middle * from_middle)
    middle = newest[:, 0] + running_sum(differences) / (window + 1)
    return middle - slope * window / 2, direction * slope * window
