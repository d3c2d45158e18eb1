"""The queue in SQL. Writers wait for each other: of two that claim, or ask for one study, one is first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.records import Json
from lrsweep.sqlite_files import BUSY_SECONDS
from lrsweep.store import models
from lrsweep.store import queue_rules as rules
from lrsweep.store.faults import while_open
from lrsweep.store.queue import Queued, QueueState, Registered
from lrsweep.store.transactions import clock, columns, writing

_OPEN = models.queued.c.state.in_([state.value for state in QueueState if not state.is_over])


class SqlQueue:
    """On the store's engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # ── studies that may be started ──────────────────────────────────────────────────────────────────────────────
    def register(self, study: Registered) -> Registered:
        with self._writing(models.registered) as connection:
            values = _without_id(replace(study, at=clock(connection)))
            changed = sa.update(models.registered).filter_by(study=study.study).values(values)
            if connection.execute(changed).rowcount == 0:
                connection.execute(sa.insert(models.registered).values(values))
            return _registered(connection, study.study)[0]

    def registered(self, study: str | None = None) -> Sequence[Registered]:
        with self._reading() as connection:
            return _registered(connection, study)

    def registered_names(self) -> Sequence[str]:
        with self._reading() as connection:
            return sorted(connection.scalars(sa.select(models.registered.c.study)))

    def unregister(self, study: str, *, is_dead: Callable[[str], bool] = lambda _: False) -> bool:
        mine = models.queued.c.study == study
        with self._reading() as connection:
            seen, now = _rows(connection, mine, _OPEN), clock(connection)
        dead = rules.dead_claims(seen, now, is_dead)
        with self._writing(models.queued) as connection:
            waiting = rules.unregistered(_rows(connection, mine, _OPEN), clock(connection), dead)
            for row in waiting:
                _put(connection, row)
            gone = connection.execute(sa.delete(models.registered).filter_by(study=study)).rowcount
            return bool(gone) or bool(waiting)

    # ── sweeps that were asked for ───────────────────────────────────────────────────────────────────────────────
    def add(self, asked: Queued) -> tuple[Queued, bool]:
        with self._writing(models.queued) as connection:
            of_study = _rows(connection, models.queued.c.study == asked.study)
            row, is_new = rules.added(asked, of_study, clock(connection))
            if not is_new:
                return row, False
            key = connection.execute(sa.insert(models.queued).values(_without_id(row))).inserted_primary_key
            assert key is not None
            return replace(row, id=int(key[0])), True

    def rows(self, study: str | None = None) -> Sequence[Queued]:
        with self._reading() as connection:
            return _rows(connection, *([] if study is None else [models.queued.c.study == study]))

    def waiting(self) -> Sequence[Queued]:
        with self._reading() as connection:
            return _rows(connection, _OPEN)

    def row(self, sweep_id: str) -> Queued:
        with self._reading() as connection:
            return _newest(connection, sweep_id)

    def claim(self, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False) -> Queued | None:
        with self._reading() as connection:
            seen, now = _rows(connection, _OPEN), clock(connection)
        dead = rules.dead_claims(seen, now, is_dead)
        if rules.claimed(seen, owner, now, seconds, dead) is None:
            return None  # who waits for work asks often: without the lock that writers wait for
        with self._writing(models.queued) as connection:
            row = rules.claimed(_rows(connection, _OPEN), owner, clock(connection), seconds, dead)
            return None if row is None else _put(connection, row)

    def renew(self, claimed: Queued, *, seconds: float) -> Queued:
        with self._writing(models.queued) as connection:
            return _put(connection, replace(_held(connection, claimed), expires_at=clock(connection) + seconds))

    def runs(self, claimed: Queued, text: Mapping[str, Json]) -> Queued:
        with self._writing(models.queued) as connection:
            return _put(connection, rules.running(_held(connection, claimed), text))

    def queue_again(self, claimed: Queued, *, after_seconds: float = 0.0, is_attempt: bool = True) -> Queued:
        with self._writing(models.queued) as connection:
            row = _held(connection, claimed)
            return _put(connection, rules.queued_again(row, clock(connection), after_seconds, is_attempt=is_attempt))

    def end(self, claimed: Queued, state: QueueState, *, error: str | None = None) -> Queued:
        with self._writing(models.queued) as connection:
            return _put(connection, rules.over(_held(connection, claimed), state, clock(connection), error))

    def cancel(self, sweep_id: str, *, has_begun: bool = False) -> Queued:
        with self._writing(models.queued) as connection:
            return _put(
                connection, rules.cancelled(_newest(connection, sweep_id), clock(connection), has_begun=has_begun)
            )

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with while_open(self._engine.url), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self, table: sa.Table) -> Iterator[Connection]:
        with while_open(self._engine.url), writing(self._engine).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'"))  # as SQLite waits
                connection.execute(sa.text(f"LOCK TABLE {table.name} IN EXCLUSIVE MODE"))
            yield connection


def _registered(connection: Connection, study: str | None) -> list[Registered]:
    query = sa.select(models.registered).order_by(models.registered.c.study)
    found = connection.execute(query if study is None else query.filter_by(study=study)).mappings()
    rows = [Registered(**row) for row in found]
    return sorted(rows, key=lambda row: row.study)  # databases differ in what comes first


def _rows(connection: Connection, *which: sa.ColumnElement[bool]) -> list[Queued]:
    found = connection.execute(sa.select(models.queued).where(*which).order_by(models.queued.c.id)).mappings()
    return [Queued(**{**row, "state": QueueState(row["state"])}) for row in found]


def _newest(connection: Connection, sweep_id: str) -> Queued:
    return rules.newest(_rows(connection, models.queued.c.sweep_id == sweep_id), sweep_id)


def _held(connection: Connection, claimed: Queued) -> Queued:
    return rules.check_claim(claimed, next(iter(_rows(connection, models.queued.c.id == claimed.id)), None))


def _put(connection: Connection, row: Queued) -> Queued:
    connection.execute(sa.update(models.queued).filter_by(id=row.id).values(_without_id(row)))
    return row


def _without_id(row: Any) -> dict[str, Any]:
    return {name: value for name, value in columns(row).items() if name != "id"}
