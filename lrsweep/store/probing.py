"""A look at a results database that makes nothing, changes nothing and migrates nothing: what is there?"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.pool import NullPool

from lrsweep.store.addresses import SQLITE, shown, with_schema
from lrsweep.store.faults import while_opening
from lrsweep.store.models import SCHEMA_VERSION, VERSION_TABLE
from lrsweep.store.patience import patient

SCHEMA = "lrsweep"
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Probed:
    address: str
    """for people: without a password"""
    server: str
    """``SQLite 3.45.1``, ``PostgreSQL 18.1``"""
    file: Path | None
    """of SQLite"""
    schema_version: str | None
    """of the tables; None where there are none"""
    has_foreign_tables: bool = False
    """an ``alembic_version`` of another tool in our place"""
    schema: str | None = None
    """where connections to PostgreSQL work; None where it does not exist"""
    may_write: bool = True
    journal_mode: str | None = None
    """of SQLite: ``wal`` where readers and the writer do not wait for each other"""
    seconds_ahead: float = 0.0
    """the database's clock, by which leases expire, against this machine's"""

    @property
    def is_there(self) -> bool:
        return self.schema_version is not None

    @property
    def is_current(self) -> bool:
        return self.schema_version == SCHEMA_VERSION


def probe(url: str, *, is_saving: bool = False) -> Probed:
    """Raises SettingsError for an address that lrsweep does not understand, StoreUnavailable with what to check; with
    ``is_saving`` not where the database's encoding is none for results."""
    address = make_url(with_schema(url, SCHEMA))
    with while_opening(address):
        return _sqlite(address) if address.drivername == SQLITE else _postgresql(address, is_saving=is_saving)


def _sqlite(address: URL) -> Probed:
    import sqlite3

    server = f"SQLite {sqlite3.sqlite_version}"
    path = Path(str(address.database)).expanduser().absolute()
    if not path.exists():
        return Probed(shown(address), server, path, None)
    read_only = URL.create(SQLITE, database=path.as_uri(), query={"mode": "ro", "uri": "true"})
    engine = sa.create_engine(read_only, poolclass=NullPool, connect_args={"timeout": _CONNECT_SECONDS})
    with engine.connect() as connection:
        return Probed(
            address=shown(address),
            server=server,
            file=path,
            schema_version=_version(connection),
            has_foreign_tables=sa.inspect(connection).has_table("alembic_version"),
            may_write=os.access(path, os.W_OK) and os.access(path.parent, os.W_OK),
            journal_mode=connection.scalar(sa.text("PRAGMA journal_mode")),
        )


def _postgresql(address: URL, *, is_saving: bool) -> Probed:
    from lrsweep.store.answering import bound  # loads psycopg: not for SQLite

    wait = {} if "connect_timeout" in address.query else {"connect_timeout": _CONNECT_SECONDS}
    engine = sa.create_engine(address, poolclass=NullPool, connect_args=wait, hide_parameters=True)
    bound(engine, patient, is_saving=is_saving)
    with engine.connect() as connection:
        version = str(connection.scalar(sa.text("SHOW server_version"))).partition(" ")[0]
        schema = connection.scalar(sa.text("SELECT current_schema()"))
        began = time.time()
        theirs = float(connection.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")) or 0.0)
        ours = (began + time.time()) / 2
        is_ours = schema == SCHEMA
        return Probed(
            address=shown(address),
            server=f"PostgreSQL {version}",
            file=None,
            schema_version=_version(connection) if is_ours else None,
            has_foreign_tables=is_ours and sa.inspect(connection).has_table("alembic_version"),
            schema=schema,
            may_write=connection.scalar(sa.text("SELECT current_setting('transaction_read_only')")) == "off",
            seconds_ahead=theirs - ours,
        )


def _version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 (a constant)
    return version
