"""What a script says while it trains: one JSON object per line, appended, so that a kill tears at most the last line.

    {"attempt": 1}                                                attached: what follows is this attempt's
    {"step": 500, "updates": 500, "metrics": {"val_loss": 0.41}}  an evaluation
    {"end": 20000}                                                the process ends in order after so many updates
    {"wrong": "..."}                                              the training cannot be what the plan says, and why

``updates`` counts the optimizer's own updates; it is null where ``run.torch`` was not used, so that nobody counted.
NaN and infinities are written as Python's json does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Begin:
    attempt: int


@dataclass(frozen=True)
class Report:
    """An evaluation after ``step`` updates."""

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    updates: int | None = None


@dataclass(frozen=True)
class End:
    updates: int | None


@dataclass(frozen=True)
class Wrong:
    text: str


Line = Begin | Report | End | Wrong


def to_line(said: Line) -> str:
    """With the newline."""
    match said:
        case Begin(attempt):
            written: dict[str, Any] = {"attempt": attempt}
        case Report(step, metrics, updates):
            written = {"step": step, "updates": updates, "metrics": dict(metrics)}
        case End(updates):
            written = {"end": updates}
        case Wrong(text):
            written = {"wrong": text}
    return json.dumps(written) + "\n"


def from_line(text: str) -> Line | None:
    """None for a line that says none of this: a script may print anything, and the last line may be torn.

    A script without ``attach`` prints flat objects: every number beside ``step`` is then a metric.

    >>> from_line('{"step": 100, "val_loss": 0.5, "epoch": 1}')
    Report(step=100, metrics={'val_loss': 0.5, 'epoch': 1.0}, updates=None)
    """
    try:
        read = json.loads(text)
    except ValueError:
        return None
    match read:
        case {"attempt": int(attempt)}:
            return Begin(attempt)
        case {"step": int(step), "metrics": dict(metrics)}:
            return Report(step, _numbers(metrics), read.get("updates"))
        case {"end": int() | None as updates}:
            return End(updates)
        case {"wrong": str(wrong)}:
            return Wrong(wrong)
        case {"step": int(step)}:
            return Report(step, _numbers({name: value for name, value in read.items() if name != "step"}))
    return None


def _numbers(given: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in given.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
