"""Databases that fail in the middle of the work: the store says why, and goes on when they are back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from lrsweep.errors import LrsweepError, StoreUnavailable, TryAgain
from lrsweep.records import StudyRow, SweepRow, TrainingRow, TrialRow
from lrsweep.store import open_store, with_schema
from tests.databases import a_postgres_server, administer

STUDY = StudyRow("digits", meaning="m", generation="g", spec={})


@contextmanager
def on_every_connection(statement: str) -> Iterator[None]:
    """Each new SQLite connection begins with this statement."""

    def prepare(connection: Any, _record: object) -> None:
        connection.execute(statement)

    sa.event.listen(sa.engine.Engine, "connect", prepare)
    try:
        yield
    finally:
        sa.event.remove(sa.engine.Engine, "connect", prepare)


@pytest.mark.parametrize(
    ("pragma", "advice"),
    [
        ("PRAGMA max_page_count = 40", "database or disk is full. Make room on that disk."),
        ("PRAGMA query_only = ON", "Make the file and its folder writable"),
    ],
)
def test_a_full_or_read_only_disk_asks_for_its_remedy(sqlite_url: str, pragma: str, advice: str) -> None:
    """The sweep stops with exit code 75, and what was committed stays."""
    store = open_store(sqlite_url)
    lease = store.acquire_lease("digits", "ann", seconds=60)
    store.register_study(lease, STUDY)
    store.close()  # so that the next call connects anew
    with on_every_connection(pragma), pytest.raises(TryAgain) as caught:
        store.register_study(lease, StudyRow("digits", "m", "g2", spec={"filling": "x" * 500_000}))
    assert advice in str(caught.value)
    assert str(caught.value).endswith("What was committed is safe; the same command continues.")
    assert caught.value.exit_code == 75
    store.close()
    assert store.studies() == [STUDY]
    store.close()


def test_a_writer_that_does_not_let_go_is_reported(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the busy timeout the text says that another program writes."""
    monkeypatch.setattr("lrsweep.store.opening.BUSY_SECONDS", 0.2)
    store = open_store(sqlite_url)
    other = sa.create_engine(sqlite_url)
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(TryAgain, match="Another program has been writing to that file"):
            store.acquire_lease("digits", "ann", seconds=60)
        connection.exec_driver_sql("ROLLBACK")
    other.dispose()
    store.acquire_lease("digits", "ann", seconds=60)
    store.close()


def test_a_lost_table_is_no_passing_fault(postgres_url: str) -> None:
    """Somebody dropped our tables: trying again would not help, so the text does not promise it."""
    store = open_store(postgres_url)
    administer(with_schema(postgres_url, "lrsweep"), "DROP TABLE lrs_event")
    with pytest.raises(StoreUnavailable, match="is not as it was"):
        store.events("digits")
    store.close()


@pytest.mark.parametrize("odd", [object(), 2**70], ids=["no number", "too large"])
def test_a_number_that_no_column_takes_is_a_value_error(database_url: str, odd: Any) -> None:
    """A value of a wrong kind is the caller's mistake, not the database's."""
    store = open_store(database_url)
    lease = store.acquire_lease("digits", "ann", seconds=60)
    store.register_study(lease, STUDY)
    store.create_sweep(lease, SweepRow("s", "digits", "g"))
    row = TrainingRow("t", "digits", trial=0, sweep_id="s", rung=0, horizon=odd, seed=1, rate_scale=1.0)
    with pytest.raises(ValueError, match="contradicts what is stored"):
        store.add_trial(lease, TrialRow("digits", 0, "s", {}, {}), [row])
    assert store.trials("digits") == []
    store.close()


def test_the_store_goes_on_after_its_server_restarted() -> None:
    """Down: TryAgain, with the reason. Up again: the same store and the same lease continue."""
    with a_postgres_server() as server:
        store = open_store(server.get_uri())
        lease = store.acquire_lease("digits", "ann", seconds=600)
        server.stop()
        with pytest.raises(TryAgain, match="the same command continues") as caught:
            store.register_study(lease, STUDY)
        assert caught.value.exit_code == 75
        server.ensure_postgres_running()
        store.register_study(lease, STUDY)
        assert store.studies() == [STUDY]
        server.stop()
        server.ensure_postgres_running()
        store.renew_lease(lease, seconds=600)  # nobody asked while it was down: nobody notices
        store.close()


def test_a_connection_that_is_cut_in_the_middle_of_a_write_leaves_nothing(postgres_url: str) -> None:
    """The server ends our session between two statements of one transaction: TryAgain, and no trace of the write."""
    store = open_store(postgres_url)
    lease = store.acquire_lease("digits", "ann", seconds=600)
    store.register_study(lease, STUDY)
    administrator = sa.create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))

    def cut(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.startswith("INSERT INTO lrs_event"):
            with administrator.connect() as connection:
                connection.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(LrsweepError) as caught:
            store.create_sweep(lease, SweepRow("s", "digits", "g"))
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", cut)
        administrator.dispose()
    assert isinstance(caught.value, TryAgain)
    assert "The server was restarted or stopped." in str(caught.value)
    assert store.sweeps("digits") == []
    store.create_sweep(lease, SweepRow("s", "digits", "g"))
    store.close()
