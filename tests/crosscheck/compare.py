"""What the cross-checks share: a peak, horizons, and one sense of "the same curve"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lrsweep.schedules import Schedule
from lrsweep.schedules.course import Floats

PEAK = 0.4
HORIZONS = (1, 2, 7, 100, 600)
AFTER = 3
"""steps after the end that are compared too, where both sides hold their last value"""
CLOSE = 1e-12


@dataclass(frozen=True)
class Case:
    """One of our schedules, and a peer's way to the same rates."""

    of: str
    """what the peer calls it"""
    ours: Schedule
    theirs: Callable[[int], Floats]
    """the peer's rates of the first so many steps"""
    steps: int
    holds: bool = False
    """whether the peer, too, keeps its last value after the end"""
    close: float = CLOSE

    def __str__(self) -> str:
        return f"{self.of}, {self.steps} steps: {self.ours!r}"


def rates_and_after(schedule: Schedule, steps: int, count: int) -> Floats:
    """Our rates, and what holds after them, for ``count`` steps in all."""
    held = np.full(count - steps, PEAK * schedule.course(steps).factor(steps))
    return np.concatenate([schedule.rates(steps, PEAK), held])


def assert_same(case: Case) -> None:
    """Every step agrees, and where both hold the end, what comes after it as well."""
    count = case.steps + AFTER * case.holds
    ours = rates_and_after(case.ours, case.steps, count)
    np.testing.assert_allclose(ours, case.theirs(count), rtol=0, atol=case.close, err_msg=str(case))


def noisy_losses(count: int, seed: int) -> list[float]:
    """Positive losses that fall, flatten out and jump about: every rule for plateaus has something to do."""
    generator = np.random.default_rng(seed)
    return list(0.2 + np.exp(-np.arange(count) / 8) + 0.05 * generator.random(count))


def own_curve(progress: float) -> float:
    """A function of a user's own, for the family ``function``."""
    return 1.0 - 0.75 * progress**3
