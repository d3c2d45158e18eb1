"""What stations have answered, or what Ray says in their place."""

from __future__ import annotations

import time
from typing import Any

import ray

TICK_SECONDS = 0.1


def wait(answers: list[Any], seconds: float) -> list[Any]:
    """Those that are there, as soon as one is."""
    if not answers:
        time.sleep(seconds)
        return []
    if not ray.wait(answers, num_returns=1, timeout=seconds)[0]:
        return []
    ready: list[Any] = ray.wait(answers, num_returns=len(answers), timeout=0)[0]
    return ready


def wait_for(answers: list[Any]) -> list[Any]:
    """Those that are there, within a moment."""
    return wait(answers, TICK_SECONDS)


def line_of_cause(error: BaseException) -> str:
    """What was raised at the other end, which comes with that end's stack before it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return f"{type(cause).__name__}: {line_of(cause)}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def line_of(error: BaseException) -> str:
    """The first line that says anything."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
