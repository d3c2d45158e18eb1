"""The migrations and the models say the same, on both databases."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from lrsweep.records import Curve, Outcome, Status
from lrsweep.store import ensure_schemas, open_store, with_schema
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


def migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", "lrsweep.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


FIRST_ROWS = """
INSERT INTO lrs_study VALUES (1, 'old', 'm1', 'g1', '{"trials": 2}');
INSERT INTO lrs_sweep VALUES (1, 's1', 'old', 'g1', 'running', 1.5, 2.5, NULL);
INSERT INTO lrs_trial (study, number, sweep_id, params, distributions, state)
    VALUES ('old', 0, 's1', '{"family": "cosine"}', '{}', 'running');
INSERT INTO lrs_training VALUES ('t0', 'old', 0, 's1', 0, 200, 7, 1.75, 1, 'completed', '{"val_loss": 0.5}', 200, 9.5,
    'cpu', 3.5, NULL, NULL, 0, 0, NULL);
INSERT INTO lrs_training VALUES ('t1', 'old', 0, 's1', 1, 600, 7, 1.0, 1, 'running', '{}', 0, 0.0,
    'cpu', 4.5, NULL, NULL, 0, 0, NULL)
"""
"""As the release with schema 0001 wrote them."""


def test_a_database_of_the_first_schema_is_opened_with_all_its_rows(database_url: str) -> None:
    """Its trainings have no reason, and the next one that diverges gets one."""
    written_by(database_url, "0001", FIRST_ROWS)

    store = open_store(database_url)

    completed, running = store.trainings("old")
    assert (completed.training_id, completed.metrics, completed.seconds) == ("t0", {"val_loss": 0.5}, 9.5)
    assert (completed.status, completed.reason, running.reason) == (Status.COMPLETED, None, None)
    assert (running.status, running.horizon, running.started_at) == (Status.RUNNING, 600, 4.5)
    lease = store.acquire_lease("old", "ann", seconds=60)
    why = "the training loss was nan at step 131"
    store.end_training(lease, "t1", 1, Outcome(Status.DIVERGED, 132, 1.0, {}, reason=why), Curve.empty())
    assert store.training("t1").reason == why
    store.close()


SECOND_ROWS = FIRST_ROWS.replace("0, 0, NULL)", "0, 0, NULL, 'it was nan')").replace(
    "'running', '{}'", "'queued', '{}'"
)
"""As the release with schema 0002 wrote them: what was added stands last."""


def test_a_database_of_the_second_schema_gets_the_engine_of_what_begins_from_now_on(database_url: str) -> None:
    """What was trained before has none, and its other columns stay as they were."""
    written_by(database_url, "0002", SECOND_ROWS)

    store = open_store(database_url)

    completed, queued = store.trainings("old")
    assert (completed.engine, completed.device, completed.reason) == (None, "cpu", "it was nan")
    assert (completed.status, completed.metrics, completed.steps) == (Status.COMPLETED, {"val_loss": 0.5}, 200)
    assert (queued.engine, queued.status) == (None, Status.QUEUED)
    lease = store.acquire_lease("old", "ann", seconds=60)
    begun = store.start_training(lease, "t1", device="cuda:0", engine="fused/32")
    assert (begun.engine, begun.attempt) == ("fused/32", 2)
    assert store.training("t1") == begun
    store.close()


def written_by(database_url: str, version: str, rows: str) -> None:
    """A database of an earlier release, with its rows."""
    ensure_schemas(database_url, ["lrsweep"])
    url = with_schema(database_url, "lrsweep")
    if url.startswith("sqlite"):
        Path(str(sa.engine.make_url(url).database)).parent.mkdir(parents=True)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config = migrations()
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        for statement in rows.split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_the_newest_migration_is_the_schema_version() -> None:
    """``SCHEMA_VERSION`` is what an up-to-date database is recognised by, without loading Alembic."""
    config = migrations()
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]
    assert importlib.resources.files("lrsweep.store").joinpath("migrations/env.py").is_file()
