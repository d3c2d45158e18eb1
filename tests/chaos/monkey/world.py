"""All that one round consists of: a driver that is started again whenever it ends, its servers and their disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from lrsweep.records import SweepStatus
from tests.chaos.monkey import study
from tests.chaos.monkey.cluster import Cluster
from tests.chaos.monkey.processes import Known, engines, family, known, send
from tests.chaos.monkey.servers import Disk, Mlflow, Postgres

ROOT = Path(__file__).parents[3]
EXPECTED = (0, 69, 75, 99)
"""Exit codes: done, something did not answer, a passing fault, another driver has the lease."""
LOADING = "could not be loaded: the engine's process was killed by SIGKILL"
"""An engine that is killed before its first word may be one that its workload ends: that is told as a failure."""


def engine_environ(folder: Path) -> dict[str, str]:
    """What a process needs to train slowly what the study in that folder names."""
    path = os.pathsep.join((str(folder), str(ROOT)))
    return {"PYTHONPATH": path, study.PAUSE: str(study.PAUSE_SECONDS), "RAY_AUTH_MODE": "disabled"}


class Unexpected(AssertionError):
    """What a driver must not do, whatever happens around it."""


@dataclass
class Driver:
    process: subprocess.Popen[bytes]
    folder: Path
    begun_at: int
    """trainings that had ended"""
    is_killed: bool = False
    is_asleep: bool = False
    """stopped past its lease"""
    engine_deaths: int = 0
    """how often engines of it were killed"""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return "".join((self.folder / name).read_text(errors="replace") for name in ("out", "err"))


@dataclass
class World:
    """``away``: what is not to be started again for the time being."""

    folder: Path
    home: Disk
    postgres_disk: Disk
    mlflow_disk: Disk
    postgres: Postgres
    mlflow: Mlflow
    cluster: Cluster | None = None
    away: set[str] = field(default_factory=set)
    driver: Driver | None = None
    sleepers: list[Driver] = field(default_factory=list)
    engines_seen: set[Known] = field(default_factory=set)
    exits: list[int] = field(default_factory=list)
    ended: int = 0
    """trainings"""
    status: str | None = None
    """of the sweep"""
    _starting: threading.Thread | None = None
    _broken: list[BaseException] = field(default_factory=list)
    _connection: psycopg.Connection[tuple[object, ...]] | None = None

    # ── what is looked at ────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def disks(self) -> tuple[Disk, ...]:
        return self.home, self.postgres_disk, self.mlflow_disk

    @property
    def is_well(self) -> bool:
        """A driver runs, and both servers."""
        is_up = self.postgres.pid is not None and self.mlflow.pid is not None and self._starting is None
        is_up = is_up and (self.cluster is None or self.cluster.is_up)
        return self.driver is not None and is_up and not self.away and not self.sleepers

    @property
    def is_finished(self) -> bool:
        return self.driver is None and self.status == SweepStatus.FINISHED.value

    def look(self) -> None:
        """How far the sweep is; nothing new while the database does not answer."""
        if "postgres" in self.away or self.postgres.pid is None:
            self._leave()
            return
        try:
            if self._connection is None:
                address = self.postgres.url(study.NAME).replace("+psycopg", "")
                self._connection = psycopg.connect(address, autocommit=True, connect_timeout=3)
            counted = self._connection.execute(
                "SELECT (SELECT count(*) FROM lrsweep.lrs_training WHERE status NOT IN ('queued', 'running')), "
                "(SELECT status FROM lrsweep.lrs_sweep ORDER BY id DESC LIMIT 1)"
            ).fetchone()
        except psycopg.Error:
            self._leave()
            return
        assert counted is not None
        self.ended = int(str(counted[0]))
        self.status = None if counted[1] is None else str(counted[1])

    def _leave(self) -> None:
        with suppress(psycopg.Error):
            if self._connection is not None:
                self._connection.close()
        self._connection = None

    def engines(self) -> list[int]:
        """Of the driver, or of the cluster's nodes."""
        if self.cluster is not None:
            return [engine for node in self.cluster.pids for engine in engines(node)]
        return [] if self.driver is None else engines(self.driver.pid)

    # ── what is kept up ──────────────────────────────────────────────────────────────────────────────────────────────
    def keep_up(self) -> None:
        """Starts again what has ended. Raises Unexpected."""
        if self._broken:
            raise self._broken[0]
        if "postgres" not in self.away and self.postgres.pid is None:
            self.postgres.start()
        if self._starting is not None and not self._starting.is_alive():
            self._starting = None
        if "mlflow" not in self.away and self.mlflow.pid is None and self._starting is None:
            self._starting = threading.Thread(target=self._start_mlflow, daemon=True)
            self._starting.start()
        if self.cluster is not None:
            self.cluster.keep_up()
        self._reap_sleepers()
        if self.driver is not None:
            self.engines_seen.update(each for pid in self.engines() if (each := known(pid)) is not None)
            if self.driver.process.poll() is not None:
                self._has_ended(self.driver)
                self.driver = None
                self.look()
        if self.driver is None and "driver" not in self.away and not self.is_finished:
            self.driver = self._start_driver()

    def _start_mlflow(self) -> None:
        try:
            self.mlflow.start()
        except BaseException as error:
            if "mlflow" not in self.away and not self.mlflow_disk.is_full:
                self._broken.append(error)

    def _start_driver(self) -> Driver:
        folder = self.folder / "drivers" / str(len(self.exits) + len(self.sleepers))
        folder.mkdir(parents=True)
        outer = {name: value for name, value in os.environ.items() if not name.startswith(("LRSWEEP_", "MLFLOW_"))}
        own = {
            "LRSWEEP_HOME": str(self.home.folder / "home"),
            "LRSWEEP_DATABASE_URL": self.postgres.url(study.NAME),
            "LRSWEEP_ENGINE": "sequential:2" if self.cluster is None else "sequential",
            "MLFLOW_TRACKING_URI": self.mlflow.url,
            **engine_environ(self.folder),
        }
        executor = "local" if self.cluster is None else self.cluster.option
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "lrsweep.cli", "run", f"{study.NAME}.toml", "--executor", executor],
                env={**outer, **own},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        return Driver(process, folder, self.ended)

    def _has_ended(self, driver: Driver) -> None:
        code = driver.process.returncode
        self.exits.append(code)
        if "Traceback (most recent call last)" in driver.said:
            raise Unexpected(f"driver {driver.folder.name} ended with a traceback:\n{driver.said[-4000:]}")
        if (code == -signal.SIGKILL and driver.is_killed) or code in EXPECTED:
            return
        if LOADING in driver.said:
            return
        raise Unexpected(f"driver {driver.folder.name} ended with exit code {code}:\n{driver.said[-4000:]}")

    def _reap_sleepers(self) -> None:
        for sleeper in self.sleepers:
            if sleeper.process.poll() is not None:
                self.sleepers.remove(sleeper)
                self._has_ended(sleeper)
                return

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def close(self) -> None:
        for driver in (self.driver, *self.sleepers):
            if driver is not None:
                send([*family(driver.pid), driver.pid], signal.SIGKILL)
                driver.process.wait()
        if self._starting is not None:
            self._starting.join()
        self._leave()
        if self.cluster is not None:
            self.cluster.stop()
        self.mlflow.stop()
        self.postgres.stop()
        time.sleep(0.2)
        for disk in self.disks:
            disk.unmount()
