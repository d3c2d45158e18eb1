"""Database addresses (URLs): which are understood, and which schema they open."""

from __future__ import annotations

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from lrsweep import redaction
from lrsweep.errors import SettingsError, did_you_mean

POSTGRESQL = "postgresql+psycopg"
SQLITE = "sqlite"
_READ_AS = {
    "sqlite": SQLITE,
    "sqlite+pysqlite": SQLITE,
    "postgres": POSTGRESQL,
    "postgresql": POSTGRESQL,
    POSTGRESQL: POSTGRESQL,
}
_WANTED = "Use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."


def parsed(url: str) -> URL:
    """The address with the driver that lrsweep uses. Raises SettingsError for any other database."""
    try:
        given = make_url(url)
    except (ArgumentError, ValueError):
        # The address itself is not shown, nor the first error: a password may stand anywhere in it.
        raise SettingsError(
            f"the database address cannot be read. {_WANTED} In a password, write @ as %40, : as %3A and / as %2F."
        ) from None
    driver = _READ_AS.get(given.drivername)
    if driver is None:
        raise SettingsError(
            f"results cannot be kept in {given.drivername!r}, only in SQLite or PostgreSQL (with psycopg 3)."
            f"{did_you_mean(given.drivername, _READ_AS)} {_WANTED}"
        )
    if driver == SQLITE and given.database in (None, "", ":memory:"):
        raise SettingsError(
            f"results need a file, not {url!r}, which two threads would not share. "
            "Use sqlite:///FILE; tests may use lrsweep.store.MemoryStore."
        )
    return given.set(drivername=driver)


def normalised(url: str) -> str:
    """The address, password and all, as SQLAlchemy, Optuna and MLflow take it.

    >>> normalised("postgres://ann@db/results")
    'postgresql+psycopg://ann@db/results'
    """
    return as_text(parsed(url))


def with_schema(url: str, schema: str) -> str:
    """A PostgreSQL address whose connections work in ``schema``; an SQLite address as it is.

    >>> with_schema("postgres://ann@db/results", "lrsweep")
    'postgresql+psycopg://ann@db/results?options=-csearch_path%3Dlrsweep'
    """
    address = parsed(url)
    if address.drivername == SQLITE:
        return normalised(url)
    wanted = f"-csearch_path={schema}"
    given = _options(address)
    if wanted not in given:
        if any("search_path" in option for option in given):
            raise SettingsError(
                f"the address {shown(address)} sets search_path, but lrsweep, Optuna and MLflow each need a schema of "
                "their own. Leave search_path out of its options."
            )
        address = address.update_query_dict({"options": " ".join([*given, wanted])})
    return as_text(address)


def without_schema(address: URL) -> URL:
    """The address without a ``search_path``: for what is done before the schema exists."""
    others = [option for option in _options(address) if "search_path" not in option]
    address = address.difference_update_query(["options"])
    return address.update_query_dict({"options": " ".join(others)}) if others else address


def as_text(address: URL) -> str:
    """Password and all: for libraries, not for people."""
    return address.render_as_string(hide_password=False)


def shown(address: URL) -> str:
    """For people, as they wrote it: without the driver and the schema of ours, nor a password, wherever it stands."""
    return redaction.shown(as_text(without_schema(address).set(drivername=address.get_backend_name())))


def _options(address: URL) -> list[str]:
    given = address.query.get("options", "")
    return (given if isinstance(given, str) else " ".join(given)).split()
