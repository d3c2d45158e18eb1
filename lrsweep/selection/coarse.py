"""Coarse values: an accuracy of few examples is often the same for every seed, and still not known exactly.

Three seeds that agree by chance would have no spread, and whatever lies beside them would be shown to differ. So no
arm's spread is taken to be less than half the smallest step between any two values that are compared, which is the most
that a value moving between two neighbours varies. It changes nothing of a metric whose values are all different: their
smallest step is far below any spread.

A training that does not use its seed looks the same as a coarse metric, and is treated so: three equal seeds show a gap
of more than one smallest step, and four show that one too. Where all values are one value there is no step, and they
are as good as each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lrsweep.selection.arms import Arm

MOST = 0.5
"""Deviation of a value that is one of two neighbours, in steps between them."""
SAME = 1e-6
"""Neighbours that differ by less, as a part of themselves, are one value: the same share of examples, added up
otherwise."""


def with_least_spreads(arms: Sequence[Arm]) -> list[Arm]:
    """The same arms, which know how little their values can vary.

    >>> [arm.spread for arm in with_least_spreads([Arm("a", "a", (0.5, 0.5)), Arm("b", "b", (0.75, 0.75))])]
    [0.125, 0.125]
    """
    least = MOST * step_of(cost for arm in arms for cost in arm.costs)
    return [arm if arm.least_spread >= least else replace(arm, least_spread=least) for arm in arms]


def step_of(values: Iterable[float]) -> float:
    """The smallest between two values; 0 where all are the same."""
    found = np.unique(np.fromiter(values, dtype=np.float64))
    steps = np.diff(found)
    apart = steps[steps > SAME * np.maximum(np.abs(found[1:]), np.abs(found[:-1]))]
    return float(apart.min()) if len(apart) else 0.0
