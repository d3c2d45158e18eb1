"""A year of nights, drawn: deviations from seed to seed are 1, and costs lie around 10.

A year is told apart by what it has beside that: noise with a long tail, a deviation from night to night that all arms
share, nights that hang on the one before, nights that are missed, seeds that diverge, seeds that a night lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lrsweep.selection.nights import Night, Outcomes, Surroundings

LEVEL = 10.0
HERE = Surroundings("cpu", {"torch": "2.15.0"}, "data", "commit")
NONE = Outcomes()


@dataclass(frozen=True)
class Year:
    """How one is drawn."""

    nights: int = 365
    seeds: int = 3
    tail: str = "normal"
    """of a seed's noise: normal, ``skewed`` (exponential, towards higher cost) or ``heavy`` (Student's with 4)"""
    night_deviation: float = 0.0
    autocorrelation: float = 0.0
    """of what varies from night to night"""
    missed: float = 0.0
    """share of nights"""
    diverging: float = 0.0
    """share of seeds, on either horizon"""
    lacking: float = 0.0
    """share of nights with one seed fewer"""
    challengers: int = 0
    """that train each night"""
    gain: float = 0.0
    """of the first challenger"""
    shift: float = 0.0
    """of champion's and baseline's canary"""
    shifted_from: int = 0
    """the night with which ``shift`` begins"""

    def drawn(self, random: np.random.Generator) -> list[Night]:
        arms = 3 + self.challengers  # champion and baseline at the rung; champion and challengers in full
        noise = self._noise(random, (self.nights, arms, self.seeds)) + self._of_nights(random)[:, None, None]
        noise[self.shifted_from :, :2] += self.shift
        if self.challengers:
            noise[:, 3] -= self.gain
        costs = (LEVEL + noise).tolist()
        lost = (random.random((self.nights, arms, self.seeds)) < self.diverging).tolist()
        lacks = random.random(self.nights) < self.lacking
        missed = random.random(self.nights) < self.missed
        return [
            self._night(place, costs[place], lost[place], self.seeds - int(lacks[place]))
            for place in range(self.nights)
            if not missed[place]
        ]

    def _noise(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if self.tail == "skewed":
            return random.exponential(1.0, shape) - 1.0
        if self.tail == "heavy":
            return np.asarray(random.standard_t(4, shape) / np.sqrt(2.0))
        return random.normal(0.0, 1.0, shape)

    def _of_nights(self, random: np.random.Generator) -> np.ndarray:
        fresh = random.normal(0.0, self.night_deviation, self.nights)
        keep = self.autocorrelation
        for place in range(1, self.nights):
            fresh[place] = keep * fresh[place - 1] + np.sqrt(1 - keep**2) * fresh[place]
        return fresh

    def _night(self, place: int, costs: list[list[float]], lost: list[list[bool]], seeds: int) -> Night:
        first = place * self.seeds
        arms = [
            Outcomes(
                {first + seed: own[seed] for seed in range(seeds) if not gone[seed]},
                frozenset(first + seed for seed in range(seeds) if gone[seed]),
            )
            for own, gone in zip(costs, lost, strict=True)
        ]
        return Night(
            key=f"night {place}",
            champion="champion",
            rung=200,
            surroundings=HERE,
            canary=arms[0],
            baseline="baseline",
            canary_baseline=arms[1],
            full=arms[2] if self.challengers else NONE,
            challengers={f"challenger {number}": arm for number, arm in enumerate(arms[3:])},
        )


def years(year: Year, count: int, seed: int = 0) -> Iterator[list[Night]]:
    random = np.random.default_rng(seed)
    return (year.drawn(random) for _ in range(count))
