"""Nights by hand, of three seeds each: what tests of a verdict's rules are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lrsweep.selection.nights import Judgement, Night, Outcomes, Surroundings

HERE = Surroundings("cpu", {"torch": "2.15.0", "numpy": "2.4"}, "d1", "c1")
USUAL = (-0.1, 0.0, 0.1)
"""Of a night's three seeds, around its level."""
LEVELS = (1.0, 1.02, 0.98, 1.01, 0.99)
"""Of nights in which nothing changes, over and over."""


def outcomes(place: int, level: float | None, noise: Sequence[float] = USUAL) -> Outcomes:
    """Three fresh seeds; None: all of them diverged."""
    seeds = [10 * place + number for number in range(len(noise))]
    if level is None:
        return Outcomes(diverged=frozenset(seeds))
    return Outcomes({seed: level + off for seed, off in zip(seeds, noise, strict=True)})


def night(place: int, level: float | None = None, around: Surroundings = HERE, baseline: float | None = None) -> Night:
    """The ``place``-th night; ``level`` moves its canary from where it usually is."""
    usual = LEVELS[place % len(LEVELS)]
    return Night(
        key=f"night {place}",
        champion="step",
        rung=200,
        surroundings=around,
        canary=outcomes(place, usual if level is None else level),
        baseline="cosine",
        canary_baseline=outcomes(place, usual + 0.5 if baseline is None else baseline, (0.05, -0.1, 0.05)),
    )


def quiet(count: int, start: int = 0, around: Surroundings = HERE) -> list[Night]:
    return [night(place, around=around) for place in range(start, start + count)]


def challenged(one: Night, gains: Mapping[str, float | None], place: int, level: float = 2.0) -> Night:
    """The champion at the full horizon, and challengers that are so much better; None: the challenger diverges."""
    champion = outcomes(place, level)
    arms = {
        name: outcomes(place, None if gain is None else level - gain, (-0.12, 0.02, 0.1))
        for name, gain in gains.items()
    }
    return replace(one, full=champion, challengers=arms)


def verdicts(found: Sequence[Judgement]) -> list[str]:
    return [one.verdict.value for one in found]
