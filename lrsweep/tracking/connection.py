"""How MLflow is reached: its settings, the database before MLflow opens it, and its errors in our words.

MLflow takes two seconds to import and reads its settings from the environment, so it is imported inside functions,
by ``load_mlflow`` first.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from lrsweep.errors import SettingsError, TrackingUnavailable
from lrsweep.redaction import shown, without_secrets
from lrsweep.sqlite_files import write_ahead

FRESH_SUFFIX = ".new"
POSTGRESQL = "postgresql+psycopg"
WANTED = "it wants http://host:port of an MLflow server, sqlite:///path or postgresql://user:password@host/database."


def load_mlflow(timeout_seconds: float = 10) -> None:
    """Imports MLflow (2 s) with our settings where the user has none: no usage reports, no chatter, no long waits.

    It may run in a thread beside other openings. Connecting may not: Alembic, which MLflow, Optuna and the store use to
    make their tables, keeps the migration that is under way in a variable of its module.
    """
    defaults = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # 0, because creating a run is not idempotent in MLflow: a second try whose first was heard makes two runs.
        # Our callers try again with the same rows, and look for the run first. (MLflow's 7 tries block for 4 minutes.)
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(math.ceil(timeout_seconds)),
        # Besides printing, it asks the server for the run once more at each end of a run.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    import mlflow.tracking  # noqa: F401

    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        # Its warnings repeat what its exceptions say, some with the whole URI.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)


def usable(uri: str) -> str:
    """The tracking URI as MLflow takes it: PostgreSQL with the driver that lrsweep installs, anything else unchanged.

    >>> usable("postgres://ann@db/lrsweep")
    'postgresql+psycopg://ann@db/lrsweep'
    """
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 (it is checked only when it is read)
    except ValueError:
        # Neither the URI nor the first error is shown: a password may stand anywhere in it.
        raise SettingsError(
            f"the tracking URI cannot be read; {WANTED} Check MLFLOW_TRACKING_URI; in a password, write @ as %40, "
            ": as %3A, / as %2F and [ as %5B."
        ) from None
    return f"{POSTGRESQL}:{uri.partition(':')[2]}" if parts.scheme in ("postgres", "postgresql") else uri


@contextmanager
def ready(uri: str, *, artifact_root: Path | None, timeout_seconds: float) -> Iterator[str]:
    """The URI (a ``usable`` one) as MLflow is to open it, which must happen inside the context.

    A database is ours where ``artifact_root`` says where its artifacts go: it is made when there is none. Somebody
    else's must be there, and is left as it is.
    """
    scheme = urlsplit(uri).scheme
    if scheme in ("http", "https"):
        yield uri
    elif scheme == "sqlite":
        _ready_sqlite(uri, artifact_root, timeout_seconds)
        yield uri
    elif scheme == POSTGRESQL:
        with _ready_postgresql(uri, artifact_root is not None, timeout_seconds) as with_timeout:
            yield with_timeout
    else:
        raise TrackingUnavailable(
            f"the tracking URI {shown(uri)!r} is of a kind that lrsweep does not know; {WANTED} "
            "Check MLFLOW_TRACKING_URI."
        )


def _ready_sqlite(uri: str, artifact_root: Path | None, timeout_seconds: float) -> None:
    name = uri.removeprefix("sqlite:///").partition("?")[0]
    if name in ("", "sqlite://", ":memory:"):
        raise TrackingUnavailable(
            f"the tracking URI {uri!r} is a database in memory, which ends with the process; give it a file: "
            "sqlite:///mlflow.db"
        )
    file = Path(name)
    if artifact_root is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _make_sqlite(file, artifact_root)
    elif not file.exists():
        raise _not_made(uri, f"there is no file {name}")
    with closing(sqlite3.connect(file, timeout=timeout_seconds)) as database:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        _refuse_foreign(uri, tables, ours=artifact_root is not None, place="file")
        if artifact_root is not None:
            write_ahead(database)


def _make_sqlite(file: Path, artifact_root: Path) -> None:
    """MLflow's tables, whole or not at all: half of its 2 s of migrations, after a kill, could not be continued."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    fresh = file.with_name(f"{file.name}{FRESH_SUFFIX}{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        store = SqlAlchemyStore(  # type: ignore[no-untyped-call]
            f"sqlite:///{fresh}", artifact_root.absolute().as_uri()
        )
        store.engine.dispose()
        with suppress(FileExistsError):  # another process was as fast; the two are alike
            os.link(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def _ready_postgresql(uri: str, ours: bool, timeout_seconds: float) -> Iterator[str]:
    import psycopg
    from psycopg import sql

    plain = "postgresql://" + uri.partition("://")[2]
    wait = max(2, math.ceil(timeout_seconds))  # libpq takes 1 for 2
    options = unquote(" ".join(parse_qs(urlsplit(uri).query).get("options", [])))
    asked = re.search(r"search_path=(\w+)", options)
    with psycopg.connect(plain, connect_timeout=wait, autocommit=True) as database:
        # Two processes that make the tables at once stop each other half way. The lock goes with the connection.
        database.execute("SELECT pg_advisory_lock(hashtext('lrsweep: tables of mlflow'))")
        if asked and ours:
            database.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(asked[1])))
        row = database.execute("SELECT current_schema()").fetchone()
        schema = row[0] if row else None
        if asked and schema != asked[1]:
            raise TrackingUnavailable(
                f"MLflow's tables at {shown(uri)} belong into the schema {asked[1]!r}, but the connection is in "
                f"{schema!r}. A connection pooler may drop `options`: connect to the database itself, or give the role "
                f"this path (ALTER ROLE … SET search_path = {asked[1]})."
            )
        found = database.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (schema,))
        _refuse_foreign(uri, {name for (name,) in found.fetchall()}, ours=ours, place="schema")
        if "connect_timeout=" not in uri:
            uri += f"{'&' if '?' in uri else '?'}connect_timeout={wait}"
        yield uri


def _refuse_foreign(uri: str, tables: set[str], *, ours: bool, place: str) -> None:
    if "experiments" in tables:
        return
    if "alembic_version" in tables:
        raise TrackingUnavailable(
            f"{shown(uri)} holds another tool's tables (Optuna's, perhaps), and MLflow and that tool break each other "
            f"in one {place}: both keep their version in a table `alembic_version`. Give MLflow a {place} of its own."
        )
    if not ours:
        raise _not_made(uri, f"the {place} has none of MLflow's tables")


def _not_made(uri: str, found: str) -> TrackingUnavailable:
    return TrackingUnavailable(
        f"MLflow's database {shown(uri)} is not there: {found}, and lrsweep makes none where MLFLOW_TRACKING_URI "
        "points. Check the URI, start an MLflow server on it once, or unset it: then lrsweep makes its own."
    )


REMEDIES = {
    "UNAUTHENTICATED": "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    "CUSTOMER_UNAUTHORIZED": "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    "PERMISSION_DENIED": "Check the user's rights, and that the server allows this host name (--allowed-hosts).",
    "ENDPOINT_NOT_FOUND": "What answers there is not an MLflow server of version 3: check MLFLOW_TRACKING_URI.",
    "RESOURCE_DOES_NOT_EXIST": "It may have been deleted in MLflow; the same command makes it again.",
    "TEMPORARILY_UNAVAILABLE": "Check that its database runs and that nothing holds it locked.",
    "OSError": "Check that the folder of the artifacts can be written to and that the disk has room.",
    "sqlite3.Error": "Check that the file is MLflow's database, can be written to, and that the disk has room.",
    "psycopg.Error": "Check that the database runs, and the host, user, password and database name in the URI.",
}
"""What to do, by MLflow's error code or by the kind of an error that comes past MLflow."""

WHEN_IN_DOUBT = "Check that MLflow's server or database runs, and that MLFLOW_TRACKING_URI, where it is set, names it."


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turns what MLflow and all below it raise into TrackingUnavailable, without the URI's password."""
    try:
        yield
    except TrackingUnavailable:
        raise
    except Exception as error:
        if (kind := _kind(error)) is None:
            raise
        reason = without_secrets(_reason(error), uri)
        # The original's text, and its traceback, may show the password.
        cause = error if shown(uri) == uri else None
        raise TrackingUnavailable(
            f"MLflow at {shown(uri)} did not do what was asked: {reason}. {REMEDIES.get(kind, WHEN_IN_DOUBT)}"
        ) from cause


def _kind(error: Exception) -> str | None:
    """The key of REMEDIES, ``""`` for a fault of the connection, or None for an error that is not MLflow's."""
    if isinstance(error, sqlite3.Error):
        return "sqlite3.Error"
    code = getattr(error, "error_code", None)
    if isinstance(code, str):
        return code
    home = type(error).__module__.partition(".")[0]
    if home in ("requests", "urllib3", "http"):  # before OSError, which some of theirs are too
        return ""
    if home in ("psycopg", "sqlalchemy"):
        return "psycopg.Error" if home == "psycopg" else "TEMPORARILY_UNAVAILABLE"
    return "OSError" if isinstance(error, OSError) else None


def _reason(error: BaseException) -> str:
    """The innermost error's first line: what MLflow's own text wraps in three layers of addresses."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return first if hasattr(error, "error_code") else f"{type(error).__name__}: {first}"
