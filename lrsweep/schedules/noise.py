"""Noise that belongs to a schedule: the same for a seed on every machine, at every horizon, in every release."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

GRID = 100
"""Cells of progress; between their borders noise runs in straight lines. The grid does not depend on the horizon, so
that a shorter training has the same noise, compressed."""

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def dip(progress: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) at each progress: how much of the full noise is taken off there."""
    return np.interp(progress, np.linspace(0.0, 1.0, GRID + 1), _heights(seed))


@lru_cache(maxsize=256)
def _heights(seed: int) -> tuple[float, ...]:
    return tuple(_mixed(seed * (GRID + 1) + place) / 2**53 for place in range(GRID + 1))


def _mixed(counter: int) -> int:
    """53 well-mixed bits: the finalizer of SplitMix64, in whole numbers and so the same everywhere.

    NumPy's generators promise no such thing from one release to the next.
    """
    z = (counter + 1) * _GOLDEN & _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return (z ^ (z >> 31)) >> 11
