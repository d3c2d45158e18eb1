"""The tables' version, and how a database gets to the newest one: at its making, and by ``lrsweep db upgrade`` alone.

Every function works in the caller's transaction, so tables and the record of their version are one.
"""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from lrsweep.errors import StoreUnavailable
from lrsweep.store.addresses import shown
from lrsweep.store.models import SCHEMA_VERSION


def migrate(connection: Connection, to: str = "head") -> None:
    from alembic import command

    command.upgrade(_config(connection), to)


def refuse_version(connection: Connection, version: str) -> None:
    """Raises StoreUnavailable with what to do, unless the version is the one that this lrsweep works with."""
    if version == SCHEMA_VERSION:
        return
    refuse_newer(version, f"the results in {shown(connection.engine.url)}")
    raise StoreUnavailable(
        f"the results in {shown(connection.engine.url)} were written by an older lrsweep (schema {version}; this one "
        f"works with {SCHEMA_VERSION}). When nobody uses them, run: lrsweep db upgrade."
    )


def refuse_newer(version: str, what: str) -> None:
    known = [script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions()]
    if version not in known:
        raise StoreUnavailable(
            f"{what} were written by a newer lrsweep (schema {version}; this one knows up to {SCHEMA_VERSION}). "
            "Upgrade: pip install --upgrade lrsweep."
        )


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "lrsweep.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
