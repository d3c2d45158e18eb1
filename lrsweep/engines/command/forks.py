"""Guards that are forked from a process with the script's imports, where they can be; the engine's side of ``forking``.

A training never fails because of it: what cannot be forked, or not any more, is started plainly.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import shlex
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lrsweep.engines.command import becoming, process
from lrsweep.engines.command.devices import Place
from lrsweep.engines.command.folder import LRSWEEP, PYTHONPATH, RANKS
from lrsweep.engines.command.process import GuardProcess, Start, plainly
from lrsweep.scripts.command import Command
from lrsweep.scripts.plan_file import ATTEMPT, VARIABLE

SERVER = Path(__file__).with_name("forking.py")
PATIENCE = 60.0
"""Seconds for a guard to be forked: the server may be importing what the last training has used."""
STARTS = 2
"""Of one server, the first included."""
OWN = {VARIABLE, ATTEMPT, PYTHONPATH, *Place(("0",), 0).variables()}
"""The variables of one training, which no library looks at before it is used. All others the server has from its start,
for libraries read some at import, such as OMP_NUM_THREADS."""

_log = logging.getLogger(__name__)


class Forks:
    """One server for each interpreter, from its first use until ``close``, or until nobody has this object any more."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: value for name, value in environ.items() if name not in RANKS}
        self._shared = _shared(environ)
        self._servers: dict[_Key, _Server] = {}
        self._starts_left: dict[_Key, int] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self, command: Command) -> Start:
        """How the guard of such a training is started."""
        words = shlex.split(command.command)
        read = becoming.read(words) if command.fork and sys.platform == "linux" else None
        if read is None or any("{" in word for word in (read.interpreter, read.name)):
            return plainly
        key = _Key(read.interpreter, read.unbuffered)

        def start(folder: Path, environ: Mapping[str, str], locks: Sequence[Path]) -> GuardProcess:
            while _shared(environ) == self._shared and (server := self._server(key)) is not None:
                try:
                    return server.fork(folder, environ, locks)
                except OSError as error:
                    self._give_up(key, server, error)
            return plainly(folder, environ, locks)

        return start

    def close(self) -> None:
        """Scripts that run are not touched; later ones start plainly."""
        with self._lock:
            self._is_closed = True
            for server in self._servers.values():
                server.close()
            self._servers.clear()

    def _server(self, key: _Key) -> _Server | None:
        with self._lock:
            left = self._starts_left.setdefault(key, STARTS)
            if key not in self._servers and left and not self._is_closed:
                self._starts_left[key] = left - 1
                try:
                    self._servers[key] = _Server(key, self._environ)
                except OSError as error:
                    self._starts_left[key] = 0
                    _log.warning(_PLAINLY, key.interpreter, error)
            return self._servers.get(key)

    def _give_up(self, key: _Key, server: _Server, error: OSError) -> None:
        with self._lock:
            if self._servers.get(key) is not server:
                return
            del self._servers[key]
            server.close()
            if isinstance(error, _CannotFork):
                self._starts_left[key] = 0
            if not self._starts_left[key]:
                _log.warning(_PLAINLY, key.interpreter, error)


_PLAINLY = "trainings of %r are not forked any more, so that each imports its libraries itself: %s"


class _Key(NamedTuple):
    interpreter: str
    unbuffered: bool


class _CannotFork(OSError):
    """The server says why."""


class _Server:
    def __init__(self, key: _Key, environ: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = str(theirs.fileno())
        unbuffered = ["-u"] if key.unbuffered else []
        with theirs:
            started = subprocess.Popen(  # noqa: S603 (our own file, by the interpreter of the user's command)
                [key.interpreter, *unbuffered, str(SERVER), number, str(process.GUARD), str(LRSWEEP.resolve())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=dict(environ),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.pid = started.pid
        self._telling = threading.Lock()
        self._reason: str | None = None
        self.close = weakref.finalize(self, _end, self._socket, started)

    def fork(self, folder: Path, environ: Mapping[str, str], locks: Sequence[Path]) -> ForkedGuard:
        """Raises OSError with the reason where none comes."""
        into, to_guard = os.pipe()
        from_guard, out = os.pipe()
        guard = ForkedGuard(to_guard, from_guard)
        try:
            try:
                socket.send_fds(self._socket, [b"."], [into, out])
            finally:
                os.close(into)
                os.close(out)
            self._await(guard)
            request = {"folder": str(folder), "environ": dict(environ), "locks": [str(lock) for lock in locks]}
            written = json.dumps(request).encode()
            guard.stdin.write(b"%8d" % len(written) + written)
            guard.stdin.flush()
        except OSError:
            guard.give_up()
            if reason := self._heard():
                raise _CannotFork(reason) from None
            raise
        return guard

    def _await(self, guard: ForkedGuard) -> None:
        """Its first line. A guard that comes later than that hears nothing, and ends."""
        if not select.select([guard.stdout], [], [], PATIENCE)[0]:
            raise TimeoutError(f"nothing was forked within {PATIENCE:.0f} s")
        line = guard.stdout.readline()
        if not line:
            raise ConnectionError("the server of forks has ended")
        guard.pid = json.loads(line)["guard"]

    def _heard(self) -> str | None:
        """Why the server has ended, where it has said so."""
        with self._telling, contextlib.suppress(OSError, ValueError):  # another thread may have closed it
            if self._reason is None and select.select([self._socket], [], [], 0)[0]:
                self._reason = self._socket.recv(4096).decode() or None
        return self._reason


class ForkedGuard:
    """What ``subprocess.Popen`` is of a guard that was started plainly."""

    def __init__(self, into: int, out: int) -> None:
        self.pid = 0
        self.stdin = os.fdopen(into, "wb")
        self.stdout = os.fdopen(out, "rb", buffering=0)

    def wait(self) -> None:
        """It is another's child; but nobody else has the other end of its output."""
        while self.stdout.read(65_536):
            pass

    def give_up(self) -> None:
        self.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()


def _shared(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in OWN and name not in RANKS}


def _end(engine: socket.socket, server: subprocess.Popen[bytes]) -> None:
    engine.close()
    server.kill()
    server.wait()
