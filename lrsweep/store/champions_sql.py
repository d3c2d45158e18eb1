"""Champions in SQL. Writers wait for each other: the order of rows is the order in which they were committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.store import champions as rules
from lrsweep.store import models
from lrsweep.store.champions import Alias, ChampionRow, TestRead
from lrsweep.store.faults import while_open
from lrsweep.store.transactions import clock, columns, select, writing


class SqlChampions:
    """On the store's engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, name: str | None = None) -> Sequence[ChampionRow]:
        with self._transaction(self._engine) as connection:
            return _rows(connection, name)

    def names(self) -> Sequence[str]:
        with self._transaction(self._engine) as connection:
            return sorted(connection.scalars(sa.select(models.champion.c.name).distinct()))

    def promote(self, row: ChampionRow) -> tuple[ChampionRow, bool]:
        with self._writing(models.champion) as connection:
            before = _rows(connection, row.name)
            new = rules.promoted(row, before)
            if new is not None:
                return _added(connection, new), True
        present = rules.in_force(before, row.name, row.alias)
        assert present is not None
        return present, False

    def demote(self, name: str, alias: Alias, *, note: str | None = None, who: str | None = None) -> ChampionRow:
        with self._writing(models.champion) as connection:
            return _added(connection, rules.demoted(_rows(connection, name), name, alias, note=note, who=who))

    def mark_registered(self, row_id: int, mlflow_version: str) -> None:
        with self._writing(models.champion) as connection:
            marked = sa.update(models.champion).filter_by(id=row_id).values(mlflow_version=mlflow_version)
            if connection.execute(marked).rowcount == 0:
                raise KeyError(f"no champion's row {row_id} is stored")

    def read_test(self, read: TestRead) -> int:
        with self._writing(models.test_read) as connection:
            values = _without_id(read) | {"at": clock(connection), "trials": list(read.trials)}
            connection.execute(sa.insert(models.test_read).values(values))
            counted = sa.select(sa.func.count()).select_from(models.test_read).filter_by(data=read.data)
            return int(connection.scalar(counted) or 0)

    def test_reads(self, data: str | None = None) -> Sequence[TestRead]:
        query = select(TestRead, models.test_read).order_by(models.test_read.c.id)
        with self._transaction(self._engine) as connection:
            found = connection.execute(query if data is None else query.filter_by(data=data)).mappings()
            return [TestRead(**row) for row in found]

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with while_open(self._engine.url), engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self, table: sa.Table) -> Iterator[Connection]:
        """SQLite has one writer at a time; in PostgreSQL ids could be committed out of their order."""
        with self._transaction(writing(self._engine)) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"LOCK TABLE {table.name} IN EXCLUSIVE MODE"))
            yield connection


def _rows(connection: Connection, name: str | None) -> list[ChampionRow]:
    query = select(ChampionRow, models.champion).order_by(models.champion.c.id)
    found = connection.execute(query if name is None else query.filter_by(name=name)).mappings()
    return [ChampionRow(**row) for row in found]


def _added(connection: Connection, row: ChampionRow) -> ChampionRow:
    values = _without_id(row) | {"at": clock(connection)}
    key = connection.execute(sa.insert(models.champion).values(values)).inserted_primary_key
    assert key is not None
    return ChampionRow(**values, id=int(key[0]))


def _without_id(row: Any) -> dict[str, Any]:
    return {name: value for name, value in columns(row).items() if name != "id"}
