"""Tokens in SQL. Writers wait for each other: of two that give the same name, the second is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lrsweep.store import models
from lrsweep.store import tokens as rules
from lrsweep.store.faults import while_open
from lrsweep.store.tokens import Scope, TokenRow
from lrsweep.store.transactions import clock, columns, writing


class SqlTokens:
    """On the store's engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self) -> Sequence[TokenRow]:
        with while_open(self._engine.url), self._engine.begin() as connection:
            return _rows(connection)

    def add(self, name: str, scope: Scope, digest: str) -> TokenRow:
        with self._writing() as connection:
            rules.refuse_second(_rows(connection), name)
            row = TokenRow(name, scope, digest, at=clock(connection))
            values = {key: value for key, value in columns(row).items() if key != "id"}
            key = connection.execute(sa.insert(models.token).values(values)).inserted_primary_key
            assert key is not None
            return replace(row, id=int(key[0]))

    def revoke(self, name: str) -> TokenRow:
        with self._writing() as connection:
            row = replace(rules.to_revoke(_rows(connection), name), revoked_at=clock(connection))
            changed = sa.update(models.token).filter_by(id=row.id).values(revoked_at=row.revoked_at)
            connection.execute(changed)
            return row

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with while_open(self._engine.url), writing(self._engine).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"LOCK TABLE {models.token.name} IN EXCLUSIVE MODE"))
            yield connection


def _rows(connection: Connection) -> list[TokenRow]:
    found = connection.execute(sa.select(models.token).order_by(models.token.c.id)).mappings()
    return [TokenRow(**row) for row in found]
