"""A worker whose database goes away, that sleeps past its claim, whose sweep kills it, or that ends sweeps."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lrsweep.records import SweepRow, SweepStatus
from lrsweep.store.queue import Queued, QueueState
from tests.agreement import results
from tests.chaos.test_stopped_driver import run_out_of_lease, stop
from tests.commands import query, wait_for
from tests.databases import a_postgres_server
from tests.drivers import DEATHS, SLOW, Driver, Home, _empty_mlflow, until
from tests.workers import asked, over, registered, row, working

OUTCOMES = "SELECT count(*) FROM lrs_training WHERE status NOT IN ('queued', 'running')"
LOOKS_SECONDS = 2.5
"""A worker whose database is away tries again each second."""


def err(worker: Driver) -> str:
    return (worker.folder / "err").read_text()


@pytest.mark.chaos
def test_a_database_that_goes_away_is_waited_for_and_said_once(tmp_path: Path) -> None:
    """PostgreSQL is stopped at once as a worker waits, and again as it drives: it says so once each time, and when the
    server is back it goes on by itself with the same sweep, not waiting for its own lease."""
    with a_postgres_server() as server:
        home = Home(tmp_path, with_mlflow_in_a_file(tmp_path, server.get_uri()), trials=60)
        shutil.copy(_empty_mlflow(), home.path / "mlflow.db")
        with results(home.path, home.environ) as store:
            registered(home, store)
        with working(home, PACE="0.1") as worker:
            until(lambda: "waits for sweeps" in err(worker), worker)
            assert outage(server, worker) == 1

            sweep = asked(home)
            until(lambda: told(home) >= 2, worker)
            assert outage(server, worker) == 1
            home.shrink()
            with results(home.path, home.environ) as store:
                registered(home, store)
            ended = over(home, sweep)
            assert (ended.state, ended.error, ended.attempts) == (QueueState.ENDED, None, 1), err(worker)
            assert err(worker).count("it waits") == 1
            assert worker.process.is_alive()
        home.assert_whole()


def with_mlflow_in_a_file(folder: Path, url: str) -> dict[str, str]:
    """MLflow's 71 tables would take most of the test's time."""
    return {"LRSWEEP_DATABASE_URL": url, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'home' / 'mlflow.db'}"}


def told(home: Home) -> int:
    with results(home.path, home.environ) as store:
        return sum(trial.is_told for trial in store.trials("tiny"))


def outage(server: Any, worker: Driver) -> int:
    """Stops the server, waits until the worker has said so, and starts it again; how many lines that were."""
    before = err(worker)
    postmaster = int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGQUIT)
    until(lambda: len(err(worker)) > len(before), worker)
    time.sleep(LOOKS_SECONDS)  # what is said again would be said by then
    server.ensure_postgres_running()
    until(lambda: "the database answers again" in err(worker)[len(before) :], worker)
    said = err(worker)[len(before) :].partition("the database answers again")[0]
    assert "The worker waits for it." in said
    return len(said.splitlines())


def test_a_worker_that_wakes_after_its_claim_writes_nothing(tmp_path: Path) -> None:
    """Stopped until its leases have run out; another worker ends the sweep. When it wakes it says that, not a byte of
    the results changes, and it goes on to wait for work."""
    home = Home(tmp_path, trials=20)
    sweep = asked(home)
    with working(home, PACE="0.1") as stopped:
        until(lambda: query(home.path, OUTCOMES) >= 2, stopped)
        stop(stopped, home)
        run_out_of_lease(home)
        with closing(sqlite3.connect(home.path / "results.db", timeout=20)) as database, database:
            assert database.execute("UPDATE lrs_queued SET expires_at = 1").rowcount == 1
        home.shrink()
        with results(home.path) as store:
            registered(home, store)
        with working(home, "--once") as worker:
            ran = worker.wait()
        assert ran.code == 0, ran.err
        ended = over(home, sweep)
        assert (ended.state, ended.attempts) == (QueueState.ENDED, 2)
        before = dump(home)

        stopped.send(signal.SIGCONT)
        until(lambda: "another worker has taken it over; this one leaves it as it is" in err(stopped), stopped)
        stopped.send(signal.SIGTERM)
        ran = stopped.wait()
        assert ran.code == 0, ran.err
        assert "queued again" not in ran.err
        assert dump(home) == before
    home.assert_whole()


def dump(home: Home) -> list[str]:
    """All rows of all tables of the results."""
    with closing(sqlite3.connect(home.path / "results.db", timeout=20)) as database:
        return list(database.iterdump())


def test_a_sweep_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    """After so many deaths (here 2) the next worker fails the request with what to do, and lives; asked again, the same
    sweep goes on."""
    home = Home(tmp_path)
    sweep = asked(home)
    for fault in ("after-create:1", "after-commit:1"):
        with working(home, fault=fault, **{DEATHS: "2"}) as worker:
            assert worker.wait().code == -signal.SIGKILL
    with working(home, "--once", **{DEATHS: "2"}) as worker:
        ran = worker.wait()
    assert ran.code == 0, ran.err
    given_up = over(home, sweep)
    assert (given_up.state, given_up.attempts) == (QueueState.FAILED, 3)
    assert str(given_up.error).startswith(
        "2 workers have died as they drove it, killed or out of memory. `lrsweep run`"
    )
    assert asked(home) == sweep
    with working(home, "--once", **{DEATHS: "2"}) as worker:
        assert worker.wait().code == 0
    ended = over(home, sweep)
    assert (ended.state, ended.attempts) == (QueueState.ENDED, 1)
    home.assert_whole()


def test_a_cancelled_sweep_is_ended_and_the_newest_is_not(tmp_path: Path) -> None:
    """One that was left is asked for by its id: the worker ends that alone. One that was stopped, and cancelled while
    another sweep of its study was queued, is ended by who drives that."""
    home = Home(tmp_path)
    assert home.run(fault="after-commit:2").code == -signal.SIGKILL
    with results(home.path) as store:
        [old] = store.sweeps("tiny")
        lease = store.acquire_lease("tiny", "a test", seconds=600, is_dead=lambda _: True)
        for sweep in ("stopped", "newest"):
            store.create_sweep(lease, SweepRow(sweep, "tiny", old.generation))
        store.update_sweep(lease, "stopped", status=SweepStatus.STOPPED)
        store.release_lease(lease)
        store.queue.add(Queued(old.sweep_id, "tiny", "a test", is_cancelled=True))
    with working(home, "--once") as worker:
        ran = worker.wait()
    assert ran.code == 0, ran.err
    assert over(home, old.sweep_id).state is QueueState.CANCELLED
    with results(home.path) as store:
        assert [(each.status, each.is_cancelled) for each in store.sweeps("tiny")] == [
            (SweepStatus.CANCELLED, True),
            (SweepStatus.STOPPED, False),
            (SweepStatus.RUNNING, False),
        ]
        store.queue.add(Queued("newest", "tiny", "a test"))
        store.ask_to_cancel("stopped")
    with working(home, "--once") as worker:
        ran = worker.wait()
    assert ran.code == 0, ran.err
    with results(home.path) as store:
        ends = [SweepStatus.CANCELLED, SweepStatus.CANCELLED, SweepStatus.FINISHED]
        assert [each.status for each in store.sweeps("tiny")] == ends


def test_the_command_takes_back_what_waits_and_what_a_worker_begins(tmp_path: Path) -> None:
    """`lrsweep cancel` as a process: of one that waits at once; of one whose worker starts, once its sweep is there."""
    home = Home(tmp_path, trials=200)
    waiting = asked(home)
    ran = home.start_command("cancel", "tiny", "--json").wait()
    assert ran.code == 0, ran.err
    assert ran.answer == {"study": "tiny", "sweep": waiting, "status": "cancelled", "by": "queue"}
    begun = asked(home)
    with working(home, **SLOW) as worker:
        wait_for(lambda: row(home, begun).state is QueueState.CLAIMED)
        ran = home.start_command("cancel", "tiny").wait()
        assert ran.code == 0, ran.err
        assert over(home, begun).state is QueueState.CANCELLED
        assert worker.process.is_alive()
