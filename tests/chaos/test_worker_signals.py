"""A worker that is told to leave while its database is away: it leaves."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from lrsweep.store.queue import QueueState
from tests.agreement import results
from tests.databases import a_postgres_server
from tests.drivers import SLOW, Home, _empty_mlflow, until
from tests.workers import asked, registered, row, working

LEAVES_SECONDS = 60.0
"""Its own patience with the database and the copies is a part of it; the rest is for a busy machine."""


def test_a_worker_leaves_though_its_database_stays_away(tmp_path: Path) -> None:
    """PostgreSQL is stopped at once as it drives, and stays so: SIGTERM ends it with 0. Its claim is the next worker's
    once it has run out or it is known to have died."""
    with a_postgres_server() as server:
        mlflow = tmp_path / "home" / "mlflow.db"
        environ = {"LRSWEEP_DATABASE_URL": server.get_uri(), "MLFLOW_TRACKING_URI": f"sqlite:///{mlflow}"}
        home = Home(tmp_path, environ, trials=60)
        shutil.copy(_empty_mlflow(), mlflow)
        with results(home.path, home.environ) as store:
            registered(home, store)
        sweep = asked(home)
        with working(home, **SLOW) as worker:

            def is_driving() -> bool:
                with results(home.path, home.environ) as store:
                    return any(trial.is_told for trial in store.trials("tiny"))

            until(is_driving, worker)
            postmaster = int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0])
            os.kill(postmaster, signal.SIGQUIT)
            until(lambda: "The worker waits for it" in (worker.folder / "err").read_text(), worker)
            worker.send(signal.SIGTERM)
            ran = worker.wait(LEAVES_SECONDS)
        assert ran.code == 0, ran.err
        assert "the claim runs out by itself, then the next worker goes on" in ran.err
        assert ran.err.rstrip().endswith("stopped")
        server.ensure_postgres_running()
        left = row(home, sweep)
        assert (left.state, left.attempts) == (QueueState.CLAIMED, 1)
        with results(home.path, home.environ) as store:
            assert store.queue.claim("another worker", seconds=60, is_dead=lambda owner: owner == left.owner)
