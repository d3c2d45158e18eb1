"""A PostgreSQL that still accepts and answers nobody: its processes are really stopped, and go on later."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lrsweep.store.patience import ANSWER_SECONDS
from lrsweep.store.queue import QueueState
from lrsweep.sweep.silence import SAID_AFTER
from tests.agreement import results
from tests.chaos.test_worker_outages import err, told, with_mlflow_in_a_file
from tests.databases import a_postgres_server
from tests.drivers import Driver, Home, _empty_mlflow, until
from tests.night_drivers import NightHome
from tests.workers import asked, over, registered, working

pytestmark = pytest.mark.chaos

PACE = {"PACE": "0.1"}
LONGEST = 60.0
"""Until a command is back: a statement's patience, and ten seconds for each new connection that is tried."""


@contextmanager
def silent(server: Any) -> Iterator[None]:
    """Stopped first the one that would start others; continued last."""
    postmaster = int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)
    children = [int(pid) for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in (*children, postmaster):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def out(driver: Driver) -> str:
    return (driver.folder / "out").read_text()


@pytest.fixture
def server() -> Iterator[Any]:
    with a_postgres_server() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, server: Any) -> Home:
    home = Home(tmp_path, with_mlflow_in_a_file(tmp_path, server.get_uri()), trials=60)
    shutil.copy(_empty_mlflow(), home.path / "mlflow.db")
    return home


def test_a_driver_says_what_it_waits_for_and_obeys_a_signal(home: Home, server: Any) -> None:
    """Exit code 143 long before the database would be given up; when it answers again the same command goes on."""
    driver = home.start(**PACE)
    until(lambda: told(home) >= 2, driver)
    with silent(server):
        until(lambda: "the results database has not answered for 5 s; it is waited for" in out(driver), driver)
        began = time.monotonic()
        driver.send(signal.SIGTERM)
        ran = driver.wait()
        assert ran.code == 128 + signal.SIGTERM, ran.err
        assert time.monotonic() - began < ANSWER_SECONDS - 2 * SAID_AFTER
        assert "to continue:" in ran.out
        assert "interrupted while the results database was waited for." in ran.err
    home.shrink()
    home.finish()


def test_a_driver_gives_a_silent_database_up(home: Home, server: Any) -> None:
    """Exit code 75, with what to look at, and 69 for whoever asks meanwhile; nothing is lost."""
    driver = home.start(**PACE)
    until(lambda: told(home) >= 2, driver)
    with silent(server):
        asks = home.start_command("status", "tiny").wait(LONGEST)
        assert asks.code == 69, asks.err
        assert "The host does not answer, or the server hangs" in asks.err
        ran = driver.wait(2 * LONGEST)
        assert ran.code == 75, ran.err
        assert "the server has not answered for" in ran.err or "or the server hangs" in ran.err
        assert "What was committed is safe; the same command continues." in ran.err
    home.shrink()
    home.finish()


@pytest.fixture
def nights(tmp_path: Path, server: Any) -> NightHome:
    """Three studies, the first with a champion."""
    home = NightHome(tmp_path, with_mlflow_in_a_file(tmp_path, server.get_uri()))
    shutil.copy(_empty_mlflow(), home.path / "mlflow.db")
    text = (home.folder / "tiny.toml").read_text()
    for name in ("two", "three"):
        (home.folder / f"{name}.toml").write_text(text.replace('name = "tiny"', f'name = "{name}"'))
    home.promote()
    return home


def begun(home: NightHome) -> Driver:
    """Its first study trains."""
    files = [str(home.folder / f"{name}.toml") for name in ("tiny", "two", "three")]
    night = home.command("nightly", "run", "--key", "k", "--always", *files, PACE="0.5")
    until(lambda: home.trained >= 1, night)
    return night


def test_a_night_gives_a_silent_database_up_once(nights: NightHome, server: Any) -> None:
    """Exit code 75 within a minute, however many studies are left."""
    night = begun(nights)
    with silent(server):
        began = time.monotonic()
        ran = night.wait(3 * LONGEST)
        took = time.monotonic() - began
    assert ran.code == 75, ran.err
    assert took < LONGEST, ran.err
    assert "the results database has not answered for 5 s; it is waited for" in ran.err
    assert "it is not asked any more, and from" in ran.err


def test_a_night_obeys_a_signal_while_a_database_is_silent(nights: NightHome, server: Any) -> None:
    """Exit code 143 long before the database would be given up."""
    night = begun(nights)
    with silent(server):
        until(lambda: "the results database has not answered for 5 s" in err(night), night)
        began = time.monotonic()
        night.send(signal.SIGTERM)
        ran = night.wait()
        took = time.monotonic() - began
    assert ran.code == 128 + signal.SIGTERM, ran.err
    assert took < ANSWER_SECONDS - 2 * SAID_AFTER
    assert "tiny: interrupted while the results database was waited for." in ran.out
    assert "to continue:" in ran.err


def test_a_worker_waits_for_a_silent_database(home: Home, server: Any) -> None:
    """As it drives: it says so, goes on by itself with the same sweep once it is answered, and obeys a signal while it
    is not."""
    with results(home.path, home.environ) as store:
        registered(home, store)
    sweep = asked(home)
    with working(home, **PACE) as worker:
        until(lambda: told(home) >= 2, worker)
        with silent(server):
            until(lambda: "The worker waits for it." in err(worker), worker)
        until(lambda: "the database answers again" in err(worker), worker)
        home.shrink()
        with results(home.path, home.environ) as store:
            registered(home, store)
        ended = over(home, sweep)
        assert (ended.state, ended.error) == (QueueState.ENDED, None), err(worker)
        with silent(server):
            time.sleep(1.0)  # it looks for work ten times in that
            began = time.monotonic()
            worker.send(signal.SIGTERM)
            ran = worker.wait()
            assert ran.code == 0, ran.err
            assert time.monotonic() - began < ANSWER_SECONDS
    home.assert_whole()
