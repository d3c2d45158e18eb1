"""The migrations and the models say the same, on both databases."""

from __future__ import annotations

import importlib.resources

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from lrsweep.store import open_store, with_schema
from lrsweep.store.models import SCHEMA_VERSION, VERSION_TABLE, metadata


def test_the_migrations_give_the_schema_of_the_models(database_url: str) -> None:
    """Alembic finds nothing to generate: tables, columns, types, keys and indexes."""
    open_store(database_url).close()
    engine = sa.create_engine(with_schema(database_url, "lrsweep"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == SCHEMA_VERSION
    engine.dispose()


def test_a_changed_model_would_be_seen(sqlite_url: str) -> None:
    """The comparison above can fail: a column more is a difference."""
    open_store(sqlite_url).close()
    changed = sa.MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["lrs_training"].append_column(sa.Column("new", sa.Text))
    engine = sa.create_engine(sqlite_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert [difference[0] for difference in compare_metadata(context, changed)] == ["add_column"]
    engine.dispose()


def test_the_newest_migration_is_the_schema_version() -> None:
    """``SCHEMA_VERSION`` is what an up-to-date database is recognised by, without loading Alembic."""
    config = Config()
    config.set_main_option("script_location", "lrsweep.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]
    assert importlib.resources.files("lrsweep.store").joinpath("migrations/env.py").is_file()
