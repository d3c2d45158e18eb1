"""Servers that die in the middle of a sweep and come back: the results database, and MLflow's."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lrsweep.records import Status
from lrsweep.tracking.server import MlflowServer
from tests.agreement import results
from tests.databases import a_postgres_server
from tests.drivers import SLOW, Home, until

pytestmark = pytest.mark.chaos


def told(home: Home) -> int:
    with results(home.path, home.environ) as store:
        return sum(trial.is_told for trial in store.trials("tiny"))


def family_of(pid: int) -> list[int]:
    """The process and all that it started: the server's workers hold its port too."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family_of(int(child)))]


def test_postgresql_that_is_restarted_at_once_fails_no_training(tmp_path: Path) -> None:
    """An immediate shutdown, which cuts every connection: exit code 75 with the remedy, unless nobody noticed; the same
    command goes on."""
    with a_postgres_server() as server:
        home = Home(tmp_path, {"LRSWEEP_DATABASE_URL": server.get_uri()}, trials=60)
        driver = home.start(**SLOW)
        until(lambda: told(home) >= 2, driver)
        postmaster = int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        ran = driver.wait()
        assert ran.code == 75, ran.err
        assert "The server was restarted or stopped." in ran.err or "start it, or check the host" in ran.err
        assert "What was committed is safe; the same command continues." in ran.err
        server.ensure_postgres_running()
        home.shrink()
        home.finish()
        with results(home.path, home.environ) as store:
            assert not [row for row in store.trainings("tiny") if row.status is Status.FAILED]


def test_a_tracking_server_that_is_killed_stops_no_training(tmp_path: Path) -> None:
    """Trials are told while it is away; when it is back the same driver sends what it lacks, every curve whole."""
    served = MlflowServer(f"sqlite:///{tmp_path / 'server.db'}", str(tmp_path / "served"), port=0)
    with served as server:
        home = Home(tmp_path, {"MLFLOW_TRACKING_URI": server.url}, trials=60)
        driver = home.start(**SLOW)
        until(lambda: told(home) >= 2, driver)
        assert server.pid is not None
        for pid in family_of(server.pid):
            os.kill(pid, signal.SIGKILL)
        before = told(home)
        until(lambda: told(home) >= before + 5, driver)
        port = int(server.url.rpartition(":")[2])
        with MlflowServer(f"sqlite:///{tmp_path / 'server.db'}", str(tmp_path / "served"), port=port):
            ran = driver.wait(200)
            assert ran.code == 0, ran.err
            home.assert_whole()
