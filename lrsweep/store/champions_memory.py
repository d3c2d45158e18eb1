"""Champions in memory: the meaning of their contract, for tests of what stands above it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from lrsweep.store import champions as rules
from lrsweep.store.champions import Alias, ChampionRow, TestRead


class MemoryChampions:
    """Safe in threads by one lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: list[ChampionRow] = []
        self._reads: list[TestRead] = []

    def rows(self, name: str | None = None) -> Sequence[ChampionRow]:
        with self._lock:
            return [row for row in self._rows if name in (None, row.name)]

    def names(self) -> Sequence[str]:
        with self._lock:
            return sorted({row.name for row in self._rows})

    def promote(self, row: ChampionRow) -> tuple[ChampionRow, bool]:
        with self._lock:
            new = rules.promoted(row, [each for each in self._rows if each.name == row.name])
            if new is not None:
                return self._added(new), True
            present = rules.in_force(self._rows, row.name, row.alias)
        assert present is not None
        return present, False

    def demote(self, name: str, alias: Alias, *, note: str | None = None, who: str | None = None) -> ChampionRow:
        with self._lock:
            return self._added(rules.demoted(self._rows, name, alias, note=note, who=who))

    def mark_registered(self, row_id: int, mlflow_version: str) -> None:
        with self._lock:
            for place, row in enumerate(self._rows):
                if row.id == row_id:
                    self._rows[place] = replace(row, mlflow_version=mlflow_version)
                    return
        raise KeyError(f"no champion's row {row_id} is stored")

    def read_test(self, read: TestRead) -> int:
        with self._lock:
            self._reads.append(replace(read, id=len(self._reads) + 1, at=self._clock(), trials=list(read.trials)))
            return sum(each.data == read.data for each in self._reads)

    def test_reads(self, data: str | None = None) -> Sequence[TestRead]:
        with self._lock:
            return [read for read in self._reads if data in (None, read.data)]

    def _added(self, row: ChampionRow) -> ChampionRow:
        self._rows.append(replace(row, id=len(self._rows) + 1, at=self._clock()))
        return self._rows[-1]
