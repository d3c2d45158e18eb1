"""Tokens in memory: the meaning of their contract, for tests of what stands above it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from lrsweep.store import tokens as rules
from lrsweep.store.tokens import Scope, TokenRow


class MemoryTokens:
    """Safe in threads by one lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: list[TokenRow] = []

    def rows(self) -> Sequence[TokenRow]:
        with self._lock:
            return list(self._rows)

    def add(self, name: str, scope: Scope, digest: str) -> TokenRow:
        with self._lock:
            rules.refuse_second(self._rows, name)
            self._rows.append(TokenRow(name, scope, digest, id=len(self._rows) + 1, at=self._clock()))
            return self._rows[-1]

    def revoke(self, name: str) -> TokenRow:
        with self._lock:
            row = replace(rules.to_revoke(self._rows, name), revoked_at=self._clock())
            self._rows[row.id - 1] = row
            return row
