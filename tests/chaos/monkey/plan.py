"""What the monkey does, and when: a pure function of the seed and the round.

A strike waits until so many more trainings have ended since all was well again, so that the same seed meets a sweep at
the same places however fast the machine is. Its faults follow each other within seconds, and may overlap.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final


class Kind(StrEnum):
    """The text is how the figures call it."""

    DRIVER_KILLED = "driver killed"
    DRIVER_STOPPED = "driver stopped for a while"
    DRIVER_SLEEPS = "driver stopped past its lease"
    ENGINE_KILLED = "engine killed"
    ENGINE_STOPPED = "engine stopped for a while"
    CHECKPOINT_TORN = "checkpoint torn, engine killed"
    POSTGRES_KILLED = "PostgreSQL killed"
    POSTGRES_BACKEND_KILLED = "a PostgreSQL backend killed"
    POSTGRES_STOPPED = "PostgreSQL stopped for a while"
    POSTGRES_FULL = "disk of PostgreSQL full"
    MLFLOW_KILLED = "MLflow killed"
    MLFLOW_STOPPED = "MLflow stopped for a while"
    MLFLOW_FULL = "disk of MLflow full"
    HOME_FULL = "disk of checkpoints full"
    ACTOR_KILLED = "Ray actor killed"
    RAYLET_KILLED = "raylet killed"
    RAYLET_STOPPED = "raylet stopped for a while"


EVERYWHERE: Final[Mapping[Kind, int]] = {
    Kind.DRIVER_KILLED: 3,
    Kind.DRIVER_STOPPED: 1,
    Kind.DRIVER_SLEEPS: 1,
    Kind.ENGINE_KILLED: 3,
    Kind.ENGINE_STOPPED: 1,
    Kind.CHECKPOINT_TORN: 2,
    Kind.POSTGRES_KILLED: 2,
    Kind.POSTGRES_BACKEND_KILLED: 1,
    Kind.POSTGRES_STOPPED: 1,
    Kind.POSTGRES_FULL: 1,
    Kind.MLFLOW_KILLED: 2,
    Kind.MLFLOW_STOPPED: 1,
    Kind.MLFLOW_FULL: 1,
    Kind.HOME_FULL: 1,
}
"""How often each comes among as many faults as there are here."""
ON_RAY: Final[Mapping[Kind, int]] = {Kind.ACTOR_KILLED: 2, Kind.RAYLET_KILLED: 1, Kind.RAYLET_STOPPED: 1}
DECKS: Final[Mapping[str, Mapping[Kind, int]]] = {"local": EVERYWHERE, "ray": {**EVERYWHERE, **ON_RAY}}

LONGEST_WAIT = 2
"""trainings between two strikes"""
LONGEST_DELAY = 6.0
"""A driver starts in about as many seconds, and is to be met in them too."""
LONGEST_STAY = 4.0
SECOND_IN = 0.5
"""of the strikes have a second fault"""


@dataclass(frozen=True)
class Fault:
    kind: Kind
    delay: float
    """seconds from the strike's moment"""
    which: int
    """of several processes or files: counted round"""
    seconds: float
    """how long it stays; what is killed comes back after it"""

    def __str__(self) -> str:
        return f"{self.kind.value} (+{self.delay:.1f} s, for {self.seconds:.1f} s)"


@dataclass(frozen=True)
class Strike:
    wait: int
    """trainings that end before it"""
    faults: Sequence[Fault]


def strikes(seed: int, number: int, executor: str = "local", only: Sequence[Kind] = ()) -> Iterator[Strike]:
    """Of one round. Faults are dealt from shuffled decks without an end, so that none is long in coming; or each
    of ``only`` once, one after the other.

    >>> next(strikes(7, 0)) == next(strikes(7, 0)), next(strikes(7, 0)) == next(strikes(7, 1))
    (True, False)
    """
    chance = random.Random(f"{seed} {number} {executor}")
    kinds = _dealt(chance, DECKS[executor], only)
    while True:
        count = 2 if not only and chance.random() < SECOND_IN else 1
        wait = chance.randint(0, LONGEST_WAIT)
        drawn = [_fault(chance, kind) for kind in islice(kinds, count)]
        if not drawn:
            return
        yield Strike(wait, tuple(sorted(drawn, key=lambda fault: fault.delay)))


def tally(faults: Sequence[Kind]) -> dict[str, int]:
    """By name, in the order of ``Kind``."""
    counted = Counter(faults)
    return {kind.value: counted[kind] for kind in Kind if counted[kind]}


def _dealt(chance: random.Random, deck: Mapping[Kind, int], only: Sequence[Kind]) -> Iterator[Kind]:
    if only:
        yield from only
        return
    while True:
        cards = [kind for kind, times in deck.items() for _ in range(times)]
        chance.shuffle(cards)
        yield from cards


def _fault(chance: random.Random, kind: Kind) -> Fault:
    # half of them at once, where a sweep is well under way; the others at some moment of what follows
    delay = chance.choice((chance.uniform(0.0, 1.0), chance.uniform(0.0, LONGEST_DELAY)))
    return Fault(kind, round(delay, 2), chance.randrange(8), round(chance.uniform(0.3, LONGEST_STAY), 2))
