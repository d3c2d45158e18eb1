"""How Alembic runs our migrations: on the connection, and in the transaction, of the store that is being opened."""

from __future__ import annotations

from alembic import context

from lrsweep.store.models import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite can, though Alembic assumes that it cannot: a migration and its record are one
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
