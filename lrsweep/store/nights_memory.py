"""Nights in memory: the meaning of their contract, for tests of what stands above it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from lrsweep.records import Json
from lrsweep.store import nights_rules as rules
from lrsweep.store.nights import NightRow, NightTraining


class MemoryNights:
    """Safe in threads by one lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: list[NightRow] = []
        self._trainings: dict[int, list[NightTraining]] = {}

    def rows(self, study: str | None = None) -> Sequence[NightRow]:
        with self._lock:
            return [_copied(row) for row in self._rows if study in (None, row.study)]

    def newest(self, count: int) -> Sequence[NightRow]:
        return self.rows()[::-1][:count]

    def told(self, count: int, failing: str, studies: Collection[str] | None = None) -> Sequence[NightRow]:
        rows = [row for row in self.rows() if studies is None or row.study in studies]
        return rules.told(rows, count, failing)

    def begin(self, study: str, generation: str, key: str, plan: Mapping[str, Json]) -> NightRow:
        with self._lock:
            row = rules.of_key(self._rows, study, generation, key)
            if row is None:
                row = replace(rules.begun(study, generation, key, plan, self._clock()), id=len(self._rows) + 1)
                self._rows.append(row)
                self._trainings[row.id] = []
            return _copied(row)

    def go_on(self, night: int, plan: Mapping[str, Json]) -> NightRow:
        with self._lock:
            row = rules.gone_on(self._known(night), plan)
            self._rows[night - 1] = row
            return _copied(row)

    def trainings(self, night: int) -> Sequence[NightTraining]:
        with self._lock:
            return sorted(self._trainings.get(night, ()), key=lambda each: each.key)

    def add_training(self, training: NightTraining) -> None:
        with self._lock:
            before = self._trainings.get(training.night, [])
            before.append(rules.to_add(self._known(training.night), before, training))

    def end(self, night: int, result: Mapping[str, Json]) -> NightRow:
        with self._lock:
            row = rules.ended(self._known(night), result, self._clock())
            self._rows[night - 1] = row
            return _copied(row)

    def _known(self, night: int) -> NightRow:
        if night not in self._trainings:
            raise rules.no_such(night)
        return self._rows[night - 1]


def _copied(row: NightRow) -> NightRow:
    """With a plan and a result that the caller may change; through JSON, which is ten times as fast as a deep copy."""
    result = None if row.result is None else json.loads(json.dumps(row.result))
    return replace(row, plan=json.loads(json.dumps(row.plan)), result=result)
