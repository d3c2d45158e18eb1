"""One transaction of the SQL store: rows by their dataclass, the database's clock, and what a write carries with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.records import Json, StudyRow, SweepRow, TrainingRow, TrialRow
from lrsweep.store import models, rules
from lrsweep.store.base import Event, Lease
from lrsweep.store.champions import ChampionRow, TestRead
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.store.rules import Holding

Row = TypeVar(
    "Row", StudyRow, SweepRow, TrialRow, TrainingRow, Event, Holding, ChampionRow, TestRead, NightRow, NightTraining
)

# Seconds since 1970. unixepoch('subsec') needs SQLite 3.42; PostgreSQL's now() stands still during a transaction.
_CLOCK = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
}


def writing(engine: Engine) -> Engine:
    """The same engine and pool, for transactions that write (SQLite takes its write lock at BEGIN)."""
    return engine.execution_options(writing=True)


def clock(connection: Connection) -> float:
    """The database's time, the only one that leases go by."""
    return float(connection.execute(sa.select(sa.literal_column(_CLOCK[connection.dialect.name]))).scalar_one())


@dataclass(frozen=True)
class Writing:
    """One transaction that writes: its connection, the database's time and the lease."""

    connection: Connection
    now: float
    lease: Lease

    def get(self, kind: type[Row], table: sa.Table, **key: str | int) -> Row | None:
        row = self.connection.execute(select(kind, table).filter_by(**key)).first()
        return None if row is None else kind(**row._mapping)

    def known(self, kind: type[Row], table: sa.Table, **key: str) -> Row:
        row = self.get(kind, table, **key)
        if row is None:
            raise KeyError(f"no {table.name.removeprefix('lrs_')} {next(iter(key.values()))!r} is stored")
        return row

    def training(self, training_id: str) -> TrainingRow:
        return self.known(TrainingRow, models.training, training_id=training_id)

    def trial_of(self, row: TrainingRow) -> TrialRow:
        trial = self.get(TrialRow, models.trial, study=row.study, number=row.trial)
        assert trial is not None, "a foreign key"
        return trial

    def add(self, table: sa.Table, *rows: Any) -> None:
        if rows:
            self.connection.execute(sa.insert(table), [columns(row) for row in rows])

    def put(self, table: sa.Table, row: Any, *key: str) -> None:
        """Writes the row over the one with the same key."""
        values = columns(row)
        self.connection.execute(sa.update(table).filter_by(**{name: values[name] for name in key}).values(values))

    def put_curve(self, row: TrainingRow, steps: int, data: bytes) -> None:
        self.drop_curve(row.training_id)
        self.connection.execute(
            sa.insert(models.curve).values(training_id=row.training_id, attempt=row.attempt, steps=steps, data=data)
        )

    def drop_curve(self, training_id: str) -> None:
        self.connection.execute(sa.delete(models.curve).filter_by(training_id=training_id))

    def add_example_losses(self, training_id: str, examples: int, data: bytes) -> None:
        values = {"training_id": training_id, "examples": examples, "data": data}
        self.connection.execute(sa.insert(models.example_losses).values(values))

    def queue(self, trial: TrialRow, trainings: Sequence[TrainingRow]) -> list[str]:
        rows = rules.queued_trainings(trial, trainings)
        self.add(models.training, *rows)
        return [row.training_id for row in rows]

    def record(self, kind: str, sweep_id: str | None, data: Mapping[str, Json]) -> None:
        plain = rules.plain(dict(data), kind)
        self.add(models.event, Event(self.now, self.lease.study, sweep_id, kind, self.lease.token, plain))


def select(kind: type[Row], table: sa.Table) -> sa.Select[Any]:
    """The columns that the dataclass has; a table may have more."""
    return sa.select(*(table.c[field.name] for field in fields(kind)))


def rows(connection: Connection, kind: type[Row], query: sa.Select[Any]) -> Sequence[Row]:
    """Of a query that was made by ``select``: in the order of the fields, which is half of the time by their names."""
    return [kind(*row) for row in connection.execute(query).all()]


def columns(row: Any) -> dict[str, Any]:
    """By name; NumPy's numbers as Python's, for sqlite3 would store an ``np.int64`` as eight raw bytes."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
