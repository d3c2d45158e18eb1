"""The queue in memory: the meaning of its contract, for tests of what stands above it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lrsweep.records import Json
from lrsweep.store import queue_rules as rules
from lrsweep.store.queue import Queued, QueueState, Registered


class MemoryQueue:
    """Safe in threads by one lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._registered: dict[str, Registered] = {}
        self._numbers = 0
        self._rows: list[Queued] = []

    def register(self, study: Registered) -> Registered:
        with self._lock:
            present = self._registered.get(study.study)
            self._numbers += present is None
            number = self._numbers if present is None else present.id
            row = replace(study, id=number, at=self._clock())
            self._registered[study.study] = row
            return row

    def registered(self, study: str | None = None) -> Sequence[Registered]:
        with self._lock:
            return [row for name, row in sorted(self._registered.items()) if study in (None, name)]

    def registered_names(self) -> Sequence[str]:
        with self._lock:
            return sorted(self._registered)

    def unregister(self, study: str, *, is_dead: Callable[[str], bool] = lambda _: False) -> bool:
        dead = rules.dead_claims(self.rows(study), self._clock(), is_dead)
        with self._lock:
            waiting = rules.unregistered([row for row in self._rows if row.study == study], self._clock(), dead)
            for row in waiting:
                self._put(row)
            return self._registered.pop(study, None) is not None or bool(waiting)

    def add(self, asked: Queued) -> tuple[Queued, bool]:
        with self._lock:
            of_study = [row for row in self._rows if row.study == asked.study]
            row, is_new = rules.added(asked, of_study, self._clock())
            if is_new:
                row = replace(row, id=len(self._rows) + 1)
                self._rows.append(row)
            return copy.deepcopy(row), is_new

    def rows(self, study: str | None = None) -> Sequence[Queued]:
        with self._lock:
            return [copy.deepcopy(row) for row in self._rows if study in (None, row.study)]

    def waiting(self) -> Sequence[Queued]:
        return [row for row in self.rows() if not row.state.is_over]

    def row(self, sweep_id: str) -> Queued:
        with self._lock:
            return copy.deepcopy(self._newest(sweep_id))

    def claim(self, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False) -> Queued | None:
        dead = rules.dead_claims(self.waiting(), self._clock(), is_dead)
        with self._lock:
            row = rules.claimed(self._rows, owner, self._clock(), seconds, dead)
            return None if row is None else self._put(row)

    def renew(self, claimed: Queued, *, seconds: float) -> Queued:
        with self._lock:
            return self._put(replace(self._held(claimed), expires_at=self._clock() + seconds))

    def runs(self, claimed: Queued, text: Mapping[str, Json]) -> Queued:
        with self._lock:
            return self._put(rules.running(self._held(claimed), text))

    def queue_again(self, claimed: Queued, *, after_seconds: float = 0.0, is_attempt: bool = True) -> Queued:
        with self._lock:
            row = self._held(claimed)
            return self._put(rules.queued_again(row, self._clock(), after_seconds, is_attempt=is_attempt))

    def end(self, claimed: Queued, state: QueueState, *, error: str | None = None) -> Queued:
        with self._lock:
            return self._put(rules.over(self._held(claimed), state, self._clock(), error))

    def cancel(self, sweep_id: str, *, has_begun: bool = False) -> Queued:
        with self._lock:
            return self._put(rules.cancelled(self._newest(sweep_id), self._clock(), has_begun=has_begun))

    def _newest(self, sweep_id: str) -> Queued:
        return rules.newest([row for row in self._rows if row.sweep_id == sweep_id], sweep_id)

    def _held(self, claimed: Queued) -> Queued:
        return rules.check_claim(claimed, next((row for row in self._rows if row.id == claimed.id), None))

    def _put(self, row: Queued) -> Queued:
        self._rows[row.id - 1] = row
        return copy.deepcopy(row)
