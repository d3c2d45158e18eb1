"""How a cool-down falls: the factor as a function of its own progress, from 1 at 0 to 0 at 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lrsweep.schedules.course import Floats


def falling_cosine(x: Floats) -> Floats:
    """Half a period: flat at both ends."""
    return 0.5 * (1.0 + np.cos(np.pi * x))


def falling_line(x: Floats) -> Floats:
    return 1.0 - x


def falling_root(x: Floats) -> Floats:
    """Steep at first, 1 - √x; the best of the shapes in Hägele et al. 2024, arXiv:2405.18392."""
    return 1.0 - np.sqrt(x)


def falling_exponential(x: Floats) -> Floats:
    """Megatron-LM's form of an exponential that reaches 0: 2·(1/2)^x - 1."""
    return 2.0 * np.power(0.5, x) - 1.0


COOLDOWNS: Mapping[str, Callable[[Floats], Floats]] = {
    "linear": falling_line,
    "cosine": falling_cosine,
    "1-sqrt": falling_root,
    "exponential": falling_exponential,
}
"""Each takes progress in [0, 1] and never rises."""
