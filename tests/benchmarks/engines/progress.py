"""How far a run is, and how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

BELIEVED = 0.02
"""Before so much is done, the expectation stands as it is."""


class Progress:
    """Pieces of work with the seconds that each is expected to take; what is done corrects the rest.

    >>> clock = iter([0.0, 30.0, 60.0])
    >>> progress = Progress({"a": 10.0, "b": 20.0}, now=lambda: next(clock))
    >>> progress.reached("a", 0.5)
    >>> progress.left()
    150.0
    >>> progress.reached("a")
    >>> progress.left()
    120.0
    """

    def __init__(self, expected: Mapping[str, float], now: Callable[[], float] = time.monotonic) -> None:
        self._expected = dict(expected)
        self._shares = dict.fromkeys(expected, 0.0)
        self._now = now
        self._began = now()

    def reached(self, piece: str, share: float = 1.0) -> None:
        self._shares[piece] = share

    def left(self) -> float:
        """Seconds."""
        done = sum(seconds * self._shares[piece] for piece, seconds in self._expected.items())
        total = sum(self._expected.values())
        passed = self._now() - self._began
        pace = passed / done if done >= BELIEVED * total > 0 else 1.0
        return pace * (total - done)

    def say(self, text: str) -> None:
        minutes = self.left() / 60
        print(f"{f'{minutes:.0f} min left' if minutes >= 1 else 'done soon':12}  {text}", flush=True)
