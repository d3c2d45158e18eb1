"""The migrations and the models say the same, on both databases."""

from __future__ import annotations

import importlib.resources
import sqlite3
import time

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from lrsweep.errors import LeaseHeld, StoreUnavailable
from lrsweep.records import Curve, Origin, Outcome, Purpose, Status, TrialState
from lrsweep.store import open_store, with_schema
from lrsweep.store.migrating import migrate
from lrsweep.store.models import SCHEMA_VERSION, VERSION_TABLE, metadata
from lrsweep.store.upkeep import check_store, upgrade_store, without_drivers
from tests.databases import administer
from tests.old_databases import CURVE, FIXTURES, RELEASED, make_old_database


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


@pytest.mark.parametrize("version", RELEASED)
def test_a_database_of_each_release_is_refused_and_upgraded_with_all_its_rows(database_url: str, version: str) -> None:
    """``open_store`` names the command and changes nothing; after it every row is there, and the next one fits."""
    make_old_database(database_url, version)
    with pytest.raises(StoreUnavailable, match=rf"older lrsweep \(schema {version}; .* run: lrsweep db upgrade"):
        open_store(database_url)

    done = upgrade_store(database_url)

    assert (done.before, done.after) == (version, SCHEMA_VERSION)
    assert (done.backup is None) == database_url.startswith("postgresql")
    store = open_store(database_url)
    assert store.studies("old")[0].spec["metric"] == "val_loss"
    sweep = store.sweep("s1")
    assert (sweep.seconds, sweep.settings, sweep.is_cancelled) == (2.5, {}, False)
    complete, running = store.trials("old")
    assert (complete.state, complete.value, complete.origin) == (TrialState.COMPLETE, 0.5, Origin.SEARCH)
    assert (running.state, running.params["family"]) == (TrialState.RUNNING, "wsd")
    ended, begun = store.trainings("old")
    assert (ended.status, ended.metrics, ended.steps, ended.is_mirrored) == (
        Status.COMPLETED,
        {"val_loss": 0.5},
        200,
        True,
    )
    assert ended.reason == (None if version == "0001" else "it was nan")
    assert ended.engine == ("fused/32" if version == "0003" else None)
    assert ended.purpose is Purpose.SEARCH
    curve = store.curve("t0")
    assert curve is not None
    assert curve.to_bytes() == CURVE.to_bytes()
    assert [event.kind for event in store.events("old")] == ["trial_added"] * 2 + ["training_ended", "trial_told"]
    lease = store.acquire_lease("old", "bob", seconds=60)
    why = "the training loss was nan at step 131"
    store.end_training(lease, begun.training_id, 1, Outcome(Status.DIVERGED, 132, 1.0, {}, reason=why), Curve.empty())
    assert store.training("t1").reason == why
    store.close()
    found = check_store(database_url)
    assert found is not None
    assert found.problems == ()


def test_the_copy_that_an_upgrade_leaves_is_the_file_as_it_was(sqlite_url: str) -> None:
    """Beside the database, of the old schema, one file without companions; a second upgrade makes none."""
    make_old_database(sqlite_url, "0003")
    done = upgrade_store(sqlite_url)
    assert done.backup is not None
    assert done.backup.name == "results.db.schema-0003"
    assert sorted(file.name for file in done.backup.parent.glob("*.schema-*")) == ["results.db.schema-0003"]
    with sqlite3.connect(done.backup) as copy:
        assert copy.execute("SELECT version_num FROM lrs_alembic_version").fetchone() == ("0003",)
        assert copy.execute("SELECT count(*) FROM lrs_training").fetchone() == (2,)
    copy.close()
    assert upgrade_store(sqlite_url).backup is None


def test_an_upgrade_waits_for_nobody_and_names_who_is_at_work(database_url: str) -> None:
    """A lease that lives is a refusal, exit 99, and nothing has changed; one of a dead process is none."""
    make_old_database(database_url, "0003")
    administer(
        with_schema(database_url, "lrsweep"),
        f"UPDATE lrs_lease SET expires_at = {time.time() + 60}",
    )
    with pytest.raises(LeaseHeld, match="'old' is driven by ann"):
        upgrade_store(database_url)
    with pytest.raises(StoreUnavailable, match="schema 0003"):
        open_store(database_url)
    assert upgrade_store(database_url, is_dead=lambda owner: owner == "ann").after == SCHEMA_VERSION
    with pytest.raises(LeaseHeld, match="'old' is driven by ann"):
        upgrade_store(database_url)


def test_a_view_that_rounds_is_made_anew(database_url: str) -> None:
    """That of schema 0005 showed settings to 15 digits in SQLite; both views are there afterwards, and the same."""
    make_old_database(database_url, "0003")
    address = with_schema(database_url, "lrsweep")
    engine = sa.create_engine(address)
    query = sa.text("SELECT CAST(settings AS TEXT) FROM lrs_trials WHERE number = 0")
    with engine.begin() as connection:
        migrate(connection, "0005")
        update = "UPDATE lrs_trial SET params = '{\"warmup\": 0.30000000000000004}' WHERE number = 0"
        connection.exec_driver_sql(update)
        rounds = "0.30000000000000004" not in str(connection.scalar(query))
    assert rounds == database_url.startswith("sqlite")
    assert upgrade_store(database_url).before == "0005"
    with engine.connect() as connection:
        assert "0.30000000000000004" in str(connection.scalar(query))
        assert connection.scalar(sa.text("SELECT count(*) FROM lrs_families")) == 2
    engine.dispose()


def test_results_from_before_losses_of_examples_were_kept_take_them(database_url: str) -> None:
    """The trainings of schema 0007 have none, and the next that ends may."""
    make_old_database(database_url, "0003")
    engine = sa.create_engine(with_schema(database_url, "lrsweep"))
    with engine.begin() as connection:
        migrate(connection, "0007")
    engine.dispose()
    assert upgrade_store(database_url).before == "0007"
    store = open_store(database_url)
    assert store.example_losses("s1") == {}
    lease = store.acquire_lease("old", "bob", seconds=60)
    losses = np.array([0.25, 4.0], dtype=np.float32)
    done = Outcome(Status.COMPLETED, 200, 1.0, {"decide_loss": 2.125}, example_losses=losses)
    store.end_training(lease, "t1", 1, done, Curve.empty())
    assert store.example_losses("s1")["t1"].tolist() == [0.25, 4.0]
    store.close()


def test_nobody_begins_to_drive_while_other_tools_migrate_their_tables(database_url: str) -> None:
    """Nor does anybody renew a lease; as soon as they are done it is free again."""
    open_store(database_url).close()
    is_sqlite = database_url.startswith("sqlite")
    engine = sa.create_engine(with_schema(database_url, "lrsweep"), connect_args={"timeout": 0} if is_sqlite else {})

    def take_a_lease() -> None:
        with engine.begin() as connection:
            if not is_sqlite:
                connection.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
            connection.exec_driver_sql("UPDATE lrs_lease SET owner = 'bob'")

    with without_drivers(database_url), pytest.raises(sa.exc.OperationalError, match="lock"):
        take_a_lease()
    take_a_lease()
    engine.dispose()
    store = open_store(database_url)
    store.acquire_lease("digits", "ann", seconds=60)
    with pytest.raises(LeaseHeld, match="'digits' is driven by ann"), without_drivers(database_url):
        pass
    store.close()


def test_a_migration_that_fails_half_way_leaves_the_old_schema(sqlite_url: str) -> None:
    """Tables, rows and the record of the version are one transaction."""
    make_old_database(sqlite_url, "0003")
    administer(sqlite_url, "CREATE VIEW lrs_families AS SELECT 1 AS in_the_way")
    with pytest.raises(StoreUnavailable, match="lrs_families already exists"):
        upgrade_store(sqlite_url)
    with sqlite3.connect(make_url(sqlite_url).database or "") as file:
        assert file.execute("SELECT version_num FROM lrs_alembic_version").fetchone() == ("0003",)
        assert "origin" not in [column[1] for column in file.execute("PRAGMA table_info(lrs_trial)")]
    file.close()


def test_every_release_has_its_fixture() -> None:
    """The schema of a release is in the list before the next one is made."""
    names = {file.stem.partition("-")[2] for file in FIXTURES.glob("schema-*.db")}
    assert names == set(RELEASED)


def test_the_newest_migration_is_the_schema_version() -> None:
    """``SCHEMA_VERSION`` is what an up-to-date database is recognised by, without loading Alembic."""
    config = Config()
    config.set_main_option("script_location", "lrsweep.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]
    assert importlib.resources.files("lrsweep.store").joinpath("migrations/env.py").is_file()
