"""An MLflow server of our own, as a child process: what ``lrsweep ui`` shows, and what tests talk to over HTTP.

The store's URI, which may hold a password, goes to the child by its environment: arguments can be read by every user
of the machine. What is shown of the child's output has the password taken out.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Final, Self

from lrsweep.errors import SettingsError, TrackingUnavailable
from lrsweep.redaction import shown, without_secrets
from lrsweep.tracking.connection import usable

START_SECONDS: Final = 90.0
"""5 s on an idle machine, several times that where every core trains. MLflow itself asks a database that refuses for
100 s before it gives up; its lines, which then follow the error, say so."""
STOP_SECONDS: Final = 10.0
TAIL_LINES: Final = 20

UVICORN_OPTIONS: Final = ("--uvicorn-opts=--no-access-log",)
"""A line per request would grow the log for as long as a page is open."""

_CHANGES_THE_SERVER: Final = (
    "MLFLOW_ARTIFACTS_ONLY",
    "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "MLFLOW_GUNICORN_OPTS",
    "MLFLOW_READ_REPLICA_BACKEND_STORE_URI",
    "MLFLOW_REGISTRY_STORE_URI",
    "MLFLOW_STATIC_PREFIX",
    "MLFLOW_UVICORN_OPTS",
)
"""Meant for a server that the user runs; ours would come up on another store, at another path, or not at all."""


def ui_command(
    store_uri: str, artifact_root: str, host: str, port: int, environ: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The server's arguments, free of secrets, and its whole environment, made from ``environ``."""
    argv = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    argv += UVICORN_OPTIONS
    env = {name: value for name, value in environ.items() if name not in _CHANGES_THE_SERVER}
    env |= {
        "MLFLOW_BACKEND_STORE_URI": store_uri,
        "MLFLOW_ARTIFACTS_DESTINATION": artifact_root,
        # a second process, for features that lrsweep does not use
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if not {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"} & env.keys():
        env["MLFLOW_DISABLE_TELEMETRY"] = "true"
    return argv, env


class MlflowServer:
    """A running server between ``with`` and its end; ``url`` is where it answers from this machine.

    Port 0 takes a free one. Raises SettingsError for a port or a URI that cannot be, TrackingUnavailable for a port
    in use and for a server that does not come up.
    """

    def __init__(
        self,
        store_uri: str,
        artifact_root: str,
        *,
        host: str = "127.0.0.1",
        port: int = 5000,
        start_seconds: float = START_SECONDS,
    ) -> None:
        if not 0 <= port <= 65535:
            raise SettingsError(f"--port is {port}; wanted: 1 to 65535, or 0 for any free one.")
        self._store_uri = usable(store_uri)
        self._artifact_root = artifact_root
        self._host = host
        self._port = port
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{f'[{self._near}]' if ':' in self._near else self._near}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Also the id of its process group."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Returns once the server answers."""
        self._port = _free_port(self._host, self._port)
        argv, env = ui_command(self._store_uri, self._artifact_root, self._host, self._port, os.environ)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(  # noqa: S603 (no shell, and the program is this Python)
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,  # MLflow starts uvicorn as a child of its own: one group, one signal
        )
        try:
            self._until_it_answers(self._process)
        except BaseException:  # also a Ctrl-C while it starts: no server may be left behind
            self.stop()
            raise

    def wait(self) -> None:
        """Blocks while the server runs. Raises TrackingUnavailable when it ends by itself."""
        if self._process is None:
            return
        code = self._process.wait()
        if self._process is not None:  # None: stopped meanwhile, by us
            raise TrackingUnavailable(f"the MLflow server ended by itself (exit code {code}).{self._tail()}")

    def stop(self) -> None:
        """Ends the server and every process of its group; does nothing when there is none."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            # uvicorn waits for requests in flight, for ever if need be, and may outlive the parent that we waited for
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._output is not None:
            self._output.close()
            self._output = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _near(self) -> str:
        """The host as seen from this machine: "every address" is no address to connect to."""
        return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104

    def _until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_seconds
        while not _is_healthy(self._near, self._port):
            if (code := process.poll()) is not None:
                raise TrackingUnavailable(
                    f"the MLflow server on {shown(self._store_uri)} did not start (exit code {code}).{self._tail()}"
                )
            if time.monotonic() > deadline:
                raise TrackingUnavailable(
                    f"the MLflow server did not answer on {self.url} within {self._start_seconds:.0f} s: "
                    f"the machine is busy, or its database does not answer.{self._tail()}"
                )
            time.sleep(0.1)

    def _tail(self) -> str:
        """The last lines of the output, to be put after a sentence; nothing where there are none."""
        assert self._output is not None
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        if not lines:
            return ""
        return without_secrets("\n".join([" Its last lines:", *(f"  {line}" for line in lines)]), self._store_uri)


def _free_port(host: str, port: int) -> int:
    """The port itself, or a free one for 0. Asked before the child starts, which would tell only seconds later."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does: a port just left is free
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise TrackingUnavailable(
            f"the MLflow server cannot listen on port {port} of {host}: {error.strerror or error}. "
            "Choose another with --port (0 takes any free one), or another address with --host."
        ) from error


def _is_healthy(host: str, port: int) -> bool:
    # not urllib: it would ask the proxy of the environment for our own machine
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
