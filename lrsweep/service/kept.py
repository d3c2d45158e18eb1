"""Answers that were made, kept under what they depend on; the one that was not asked for longest goes first.

Two requests for the same answer make it once: the second waits. Requests for other answers do not wait for it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

STRIPES = 16
"""Locks that makers share by their keys."""
T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    body: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Made:
        return cls(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    def is_known_by(self, if_none_match: str | None) -> bool:
        """Whether who asks has it, by the header If-None-Match.

        >>> Made(b"", "", '"a"').is_known_by('"b", W/"a"'), Made(b"", "", '"a"').is_known_by("a")
        (True, False)
        """
        if if_none_match is None:
            return False
        given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
        return "*" in given or self.etag in given


def bytes_of(made: Made) -> int:
    return len(made.body)


class Kept(Generic[T]):
    """Safe in threads. What is larger than the whole is made each time."""

    def __init__(self, most: int, size: Callable[[Any], int] = bytes_of) -> None:
        self._most = most
        self._size = size
        self._sum = 0
        self._made: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()
        self._makers = [threading.Lock() for _ in range(STRIPES)]

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if (known := self._known(key)) is not None:
            return known
        with self._makers[hash(key) % STRIPES]:
            if (known := self._known(key)) is not None:
                return known
            made = make()
            self._keep(key, made)
            return made

    def _known(self, key: Hashable) -> T | None:
        with self._lock:
            if (made := self._made.get(key)) is not None:
                self._made.move_to_end(key)
            return made

    def _keep(self, key: Hashable, made: T) -> None:
        size = self._size(made)
        if size > self._most:
            return
        with self._lock:
            self._made[key] = made
            self._sum += size
            while self._sum > self._most:
                _, gone = self._made.popitem(last=False)
                self._sum -= self._size(gone)
