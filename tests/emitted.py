"""Texts that ``to_code`` wrote, run as modules of their own."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from lrsweep.schedules import Schedule, family_names, schedule
from lrsweep.schedules.course import Floats

EXPLICIT: dict[str, dict[str, Any]] = {
    "table": {"values": (1.0, 0.4, 0.7)},
    "function": {"path": "tests.drawn_schedules:falling"},
}
"""What the families without defaults are made of."""


def one_of_each() -> list[Schedule]:
    """A schedule of every time-driven family."""
    made = [schedule(name, allow_code=name == "function", **EXPLICIT.get(name, {})) for name in family_names()]
    return [one for one in made if not one.needs_metric]


def executed(text: str) -> dict[str, Any]:
    """The names in a text after it ran where there is no lrsweep."""
    names: dict[str, Any] = {"__name__": "emitted"}
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "lrsweep"}
    # Not mock.patch.dict: it would also drop what the text imports, and a part of PyTorch cannot be imported twice.
    sys.modules.update(dict.fromkeys(ours))  # type: ignore[arg-type]
    try:
        exec(compile(text, "emitted.py", "exec"), names)
    finally:
        sys.modules.update(ours)
    return names


def rates_of(s: Schedule, total_steps: int, peak_lr: float) -> Floats:
    """What the text must give: the rate of each step, and the one that holds after the end."""
    return np.append(s.rates(total_steps, peak_lr), peak_lr * s.course(total_steps).fixed[-1])
