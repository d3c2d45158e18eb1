"""Nodes on which no station is put for the time being: none could be made there, or the one that was had to be refused.

Each time that it happens on a node again it is left alone for twice as long: what was wrong may have been mended, such
as a download that failed, and what has not been costs little.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_SECONDS = 60.0
MOST_SECONDS = 3600.0


class Shunned:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str | None, float] = {}
        self._seconds: dict[str | None, float] = {}

    def shun(self, node_id: str | None) -> None:
        """None: nobody knows which node it was; then none at all is tried for as long."""
        if self._is_on(node_id):
            return  # another station of the same node, which was asked for before
        seconds = min(MOST_SECONDS, 2 * self._seconds.get(node_id, FIRST_SECONDS / 2))
        self._seconds[node_id] = seconds
        self._until[node_id] = self._clock() + seconds

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(node_id for node_id in self._until if node_id is not None and self._is_on(node_id))

    @property
    def are_all(self) -> bool:
        """Whether no station is to be asked for at all."""
        return self._is_on(None)

    def _is_on(self, node_id: str | None) -> bool:
        return self._clock() < self._until.get(node_id, 0.0)
