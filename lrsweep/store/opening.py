"""Opening the store: an engine per database, the checks before first use, and the migrations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from lrsweep.errors import StoreUnavailable
from lrsweep.sqlite_files import BUSY_SECONDS, write_ahead
from lrsweep.store.addresses import SQLITE, as_text, parsed, shown, with_schema, without_schema
from lrsweep.store.faults import while_opening
from lrsweep.store.models import SCHEMA_VERSION, VERSION_TABLE
from lrsweep.store.patience import Patience, patient, very_patient
from lrsweep.store.sql import SqlStore
from lrsweep.store.transactions import writing

SCHEMA = "lrsweep"
SCHEMA_LOCK = 0x6C72_7377  # "lrsw": PostgreSQL's advisory locks are numbers
_CONNECT_SECONDS = 10


def open_store(url: str, *, patience: Patience = patient) -> SqlStore:
    """The store at this address; a new SQLite file or PostgreSQL schema is made. ``patience``: of all its statements.

    Raises SettingsError for an address that lrsweep does not understand and StoreUnavailable, with what to do, for a
    database that cannot be used: an older one, too, which only ``lrsweep db upgrade`` migrates.
    """
    engine = open_engine(url, patience)
    with while_opening(engine.url):
        try:
            _make_or_check(engine)
        except BaseException:
            engine.dispose()
            raise
    return SqlStore(engine)


def open_engine(url: str, patience: Patience = patient, *, is_saving: bool = False) -> Engine:
    """Connections to the place of our tables, whatever version they have, or none; raises as ``open_store`` does.
    ``is_saving``: also where the database's encoding is none for results."""
    address = make_url(with_schema(url, SCHEMA))
    with while_opening(address):
        if address.drivername == SQLITE:
            engine = _sqlite_engine(address)
        else:
            engine = _postgresql_engine(address, patience, is_saving=is_saving)
        try:
            if engine.dialect.name == "postgresql":
                _check_schema(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine


@contextmanager
def engine_at(url: str, *, is_saving: bool = False) -> Iterator[Engine]:
    """``open_engine`` for the length of one piece of work, a database's errors in our words."""
    engine = open_engine(url, very_patient, is_saving=is_saving)
    try:
        with while_opening(engine.url):
            yield engine
    finally:
        engine.dispose()


def ensure_schemas(url: str, names: Sequence[str]) -> None:
    """Makes the PostgreSQL schemas that are missing; does nothing for SQLite.

    Schemas that an administrator made are used as they are, so the right to CREATE is needed only for missing ones.
    Raises StoreUnavailable with the statement to run where that right is missing.
    """
    address = without_schema(parsed(url))
    if address.drivername == SQLITE:
        return
    engine = _postgresql_engine(address, patient)
    try:
        with while_opening(address), engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
            present = set(connection.scalars(sa.text("SELECT nspname FROM pg_namespace")))
            missing = [name for name in names if name not in present]
            may_create = connection.scalar(sa.text("SELECT has_database_privilege(current_database(), 'CREATE')"))
            if missing and not may_create:
                _refuse_schemas(connection, missing)
            for name in missing:
                connection.execute(sa.schema.CreateSchema(name))
    finally:
        engine.dispose()


def _refuse_schemas(connection: Connection, missing: list[str]) -> NoReturn:
    user = connection.scalar(sa.text("SELECT quote_ident(current_user)"))
    statements = "; ".join(f"CREATE SCHEMA {name} AUTHORIZATION {user}" for name in missing)
    raise StoreUnavailable(
        f"the database {shown(connection.engine.url)} lacks the schemas {', '.join(missing)}, and this user may not "
        f"create them. Let its administrator run: {statements};"
    )


def _sqlite_engine(address: URL) -> Engine:
    """One file. Python's own transactions are off: SQLAlchemy's BEGIN says whether the transaction will write."""
    path = Path(str(address.database)).expanduser().absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        address.set(database=str(path)), connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")  # a committed result survives a power cut
        connection.execute("PRAGMA foreign_keys = ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and then writes would fail at once, not wait, when another one wrote between.
        is_writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _postgresql_engine(address: URL, patience: Patience, *, is_saving: bool = False) -> Engine:
    from lrsweep.store.answering import bound  # loads psycopg: not for SQLite

    engine = sa.create_engine(
        address,
        connect_args={"connect_timeout": _CONNECT_SECONDS} if "connect_timeout" not in address.query else {},
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
    )
    bound(engine, patience, is_saving=is_saving)
    return engine


def _check_schema(engine: Engine) -> None:
    """Our tables must not fall into somebody else's schema."""
    if _current_schema(engine) == SCHEMA:
        return
    ensure_schemas(as_text(engine.url), [SCHEMA])
    found = _current_schema(engine)
    if found != SCHEMA:
        raise StoreUnavailable(
            f"connections to {shown(engine.url)} work in schema {found!r}, not in {SCHEMA!r}. Either a pooler between "
            "drops `options` from the address: connect to the server itself, or let the pooler's administrator run "
            f"ALTER ROLE … SET search_path; or this user lacks the right: GRANT USAGE ON SCHEMA {SCHEMA} TO …"
        )


def _current_schema(engine: Engine) -> str | None:
    with engine.connect() as connection:
        name: str | None = connection.scalar(sa.text("SELECT current_schema()"))
    return name


def _make_or_check(engine: Engine) -> None:
    """In one writing transaction: of two processes that open a new database, the second waits."""
    with writing(engine).begin() as connection:
        prepare(connection)
        version = version_of(connection)
        if version == SCHEMA_VERSION:
            return
        # loads Alembic only here: a database at the newest version is opened without it
        from lrsweep.store.migrating import migrate, refuse_version

        if version is not None:
            refuse_version(connection, version)
        migrate(connection)


def prepare(connection: Connection) -> None:
    """For one transaction, nobody else makes or migrates tables here. Raises StoreUnavailable where we must not."""
    if connection.dialect.name == "postgresql":
        if connection.scalar(sa.text("SELECT current_setting('transaction_read_only')")) == "on":
            raise StoreUnavailable(
                f"the server of {shown(connection.engine.url)} is read-only, perhaps a standby: "
                "name the one that takes writes."
            )
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
    _refuse_foreign(connection)


def _refuse_foreign(connection: Connection) -> None:
    if sa.inspect(connection).has_table("alembic_version"):
        place = "schema" if connection.dialect.name == "postgresql" else "file"
        raise StoreUnavailable(
            f"the {place} of {shown(connection.engine.url)} holds a table alembic_version of another tool, "
            f"such as Optuna or MLflow. lrsweep's results need a {place} of their own: "
            + (
                f"drop or move the other tool's tables out of schema {SCHEMA!r}."
                if place == "schema"
                else "name another file, it is created when it is missing."
            )
        )


def version_of(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 (a constant)
    return version
