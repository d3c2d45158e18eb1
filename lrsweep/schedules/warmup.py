"""How a warm-up rises: the factor as a function of its own progress, from ``start`` at 0 to 1 at 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RISES: Mapping[str, Callable[[Floats, float, float], Floats]] = {
    "linear": lambda x, start, _: start + (1.0 - start) * x,
    "cosine": lambda x, start, _: start + (1.0 - start) * (0.5 * (1.0 - np.cos(np.pi * x))),
    "exponential": lambda x, start, _: start ** (1.0 - x),
    "polynomial": lambda x, start, power: start + (1.0 - start) * x**power,
    "constant": lambda x, start, _: np.full_like(x, start),
}
"""A constant warm-up stays at ``start`` and jumps to the peak after it."""

NEED_A_START = ("exponential", "constant")
"""From 0 these two would never leave it."""


def rise(shape: str, x: Floats, start: float, power: float) -> Floats:
    """The factor at progress ``x`` in [0, 1] of the warm-up."""
    return RISES[shape](x, start, power)
