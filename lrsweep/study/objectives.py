"""What the value of a training is: one number made of its curve, by which trials are compared."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrsweep.records import Curve, Direction


@dataclass(frozen=True)
class Objective:
    """What the value of a training is: the metric at the ``last`` or at its ``best`` evaluation, or the updates until
    it reaches a ``target``."""

    kind: Literal["last", "best", "target"] = "last"
    target: float | None = None

    def key(self, metric: str) -> str:
        """The name under which a training's metrics hold its value.

        >>> Objective().key("val_acc"), Objective("best").key("val_acc"), Objective("target", 0.9).key("val_acc")
        ('val_acc', 'best_val_acc', 'steps_to_val_acc')
        """
        return {"last": metric, "best": f"best_{metric}", "target": f"steps_to_{metric}"}[self.kind]

    def sense(self, direction: Direction) -> Direction:
        """Which way the *value* is better, where the metric is better this way: the fewest updates to a target are.

        >>> Objective().sense("maximize"), Objective("target", 0.9).sense("maximize")
        ('maximize', 'minimize')
        """
        return "minimize" if self.kind == "target" else direction

    def value(self, curve: Curve, metric: str, direction: Direction, horizon: int) -> float | None:
        """The value of a completed training with this curve; None where the metric is not in it.

        ``last`` and ``best`` are in units of the metric. For a ``target`` it is the number of updates done at the first
        evaluation that reaches it. One that never does gets ``horizon * (1 + gap / (gap + 1))``, where ``gap`` is the
        distance of its best evaluation from the target, relative to the target: behind all that reached it, and the
        closer the better.
        """
        values = curve.evaluations.get(metric, np.empty(0))
        is_number = np.isfinite(values)
        if not is_number.any() or (self.kind == "last" and not is_number[-1]):
            return None
        if self.kind == "last":
            return float(values[-1])
        numbers = values[is_number]
        best = float(numbers.min() if direction == "minimize" else numbers.max())
        if self.kind == "best":
            return best
        assert self.target is not None
        reaches = is_number & (values <= self.target if direction == "minimize" else values >= self.target)
        if reaches.any():
            return float(curve.evaluation_steps[np.argmax(reaches)])
        gap = abs(best - self.target) / max(abs(self.target), 1e-12)
        return horizon * (1 + gap / (gap + 1))

    def to_json(self) -> dict[str, str | float]:
        return {"kind": self.kind, **({} if self.target is None else {"target": self.target})}


@dataclass(frozen=True)
class Aim:
    """An objective as a file writes it: a target also names its metric, and which way that is better."""

    objective: Objective
    metric: str | None = None
    direction: Direction | None = None


METRIC = r"[A-Za-z_][A-Za-z0-9_./-]{0,99}"
_TARGET = re.compile(rf"\s*({METRIC}?)\s*(>=|<=)\s*([+-]?\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d{{1,3}})?)\s*")


def read_aim(given: object) -> Aim | None:
    """None for what is no objective.

    >>> read_aim("best").objective.kind, read_aim("val_acc >= 0.94").metric, read_aim("soon")
    ('best', 'val_acc', None)
    """
    if given == "last" or given == "best":
        return Aim(Objective("last" if given == "last" else "best"))
    found = _TARGET.fullmatch(given) if isinstance(given, str) else None
    if found is None or not math.isfinite(target := float(found[3])):
        return None
    return Aim(Objective("target", target), found[1], "maximize" if found[2] == ">=" else "minimize")
