"""A driver that a machine put to sleep past its lease, and two that start at once: one alone writes."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from lrsweep.store.base import Event
from tests.agreement import results
from tests.commands import query, wait_for
from tests.drivers import SLOW, Driver, Home, until

OUTCOMES = "SELECT count(*) FROM lrs_training WHERE status NOT IN ('queued', 'running')"


@pytest.mark.parametrize("outcomes", [2, pytest.param(9, marks=pytest.mark.chaos)])
def test_a_driver_that_wakes_after_its_lease_writes_nothing(tmp_path: Path, outcomes: int) -> None:
    """Stopped, as by a machine that sleeps, until its lease has run out; another driver ends the sweep. When it wakes
    it leaves with exit code 99 and says why; neither the history nor MLflow show it."""
    home = Home(tmp_path, trials=20)
    stopped = home.start(**SLOW)
    until(lambda: query(home.path, OUTCOMES) >= outcomes, stopped)
    stop(stopped, home)
    run_out_of_lease(home)
    home.shrink()
    home.finish()
    before = history(home)

    stopped.send(signal.SIGCONT)
    ran = stopped.wait()
    assert ran.code == 99, ran.err
    assert "no longer drives study 'tiny': its lease was given back. Nothing was written." in ran.err
    assert "the same command continues the sweep" in ran.err
    assert history(home) == before
    home.assert_whole()


def test_of_two_drivers_that_start_at_once_one_leads_and_the_other_leaves(tmp_path: Path) -> None:
    """Exit codes 0 and 99, whoever was first; the one that left says who drives, and has written nothing."""
    home = Home(tmp_path)
    drivers = [home.start(**SLOW), home.start(**SLOW)]
    ended = sorted([driver.wait() for driver in drivers], key=lambda ran: ran.code)
    assert [ran.code for ran in ended] == [0, 99], "\n".join(ran.err for ran in ended)
    leader = next(driver for driver in drivers if driver.process.exitcode == 0)
    assert f"study 'tiny' is driven by process {leader.pid} on " in ended[1].err
    assert "the same command then continues the sweep" in ended[1].err
    assert [event.kind for event in history(home)].count("lease_acquired") == 1
    home.assert_whole()


def stop(driver: Driver, home: Home) -> None:
    """At a moment at which it writes to no file: the lock of one that sleeps as it writes would keep all others out."""
    while True:
        driver.send(signal.SIGSTOP)
        wait_for(lambda: driver.is_stopped, seconds=60)
        if all(is_free(file) for file in home.path.glob("*.db")):
            return
        driver.send(signal.SIGCONT)
        time.sleep(0.05)


def is_free(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0.1, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def run_out_of_lease(home: Home) -> None:
    """What the next half minute would do."""
    with closing(sqlite3.connect(home.path / "results.db", timeout=20)) as database, database:
        changed = database.execute("UPDATE lrs_lease SET expires_at = 1").rowcount
    assert changed == 1
    assert query(home.path, "SELECT count(*) FROM lrs_lease WHERE token IS NOT NULL") == 1


def history(home: Home) -> list[Event]:
    with results(home.path) as store:
        return list(store.events("tiny"))
