"""A script under its guard, as the engine sees it (``lrsweep.engines.command.guard`` is the other side)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from lrsweep.scripts.plan_file import VARIABLE

GUARD = Path(__file__).with_name("guard.py")
KILL_ROUNDS = 100


@dataclass(frozen=True)
class Ended:
    """The script and all its descendants are dead."""

    code: int | None
    """negative: killed by that signal; None: its guard was killed, and so was the script"""
    output: str = ""
    """the tail of standard output"""
    errors: str = ""
    """the tail of standard error"""

    @property
    def last_words(self) -> str:
        """The tail of standard error, or of standard output where that is empty."""
        words = self.errors.strip() or self.output.strip()
        return f"; it wrote:\n{words}" if words else ""


class GuardProcess(Protocol):
    """A guard that was started, plainly or in a fork."""

    @property
    def pid(self) -> int: ...
    @property
    def stdin(self) -> IO[bytes] | None: ...
    @property
    def stdout(self) -> IO[bytes] | None: ...
    def wait(self) -> object: ...


Start = Callable[[Path, Mapping[str, str], Sequence[Path]], GuardProcess]
"""Folder, environment, locks."""


def plainly(folder: Path, environ: Mapping[str, str], locks: Sequence[Path]) -> GuardProcess:
    """In a session of its own, so that Ctrl-C and a closed terminal reach the driver alone."""
    return subprocess.Popen(  # noqa: S603 (our own file, by our own interpreter)
        [sys.executable, "-I", "-S", str(GUARD), str(folder), *map(str, locks)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(environ),
        start_new_session=True,
    )


class Guarded:
    """The guard is started at once; ``begin`` starts the script, as soon as ``wait`` has seen ``is_locked``."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], locks: Sequence[Path] = (), start: Start = plainly
    ) -> None:
        """``locks``: files that stand for devices, each used by one script at a time."""
        self._process = start(folder, environ, locks)
        self._read = b""
        self._pid: int | None = None
        self._plan = environ.get(VARIABLE)
        self._own_lock = folder / "lock"
        self.lock = str(folder / "lock")
        """which the guard has last waited for"""
        self.is_locked = False
        """whether no earlier attempt of this training lives any more, and none that has its devices"""
        self.ended: Ended | None = None

    def begin(self, argv: Sequence[str], *, stop_grace: float, reports: Path | None) -> None:
        """``reports``: where lines of standard output that are reports are appended."""
        self._say({"argv": list(argv), "stop_grace": stop_grace, "reports": str(reports) if reports else None})

    def wait(self, seconds: float) -> bool:
        """Until something has happened, or so many seconds have passed; whether the script wrote something."""
        assert self._process.stdout is not None
        if self.ended is not None or not select.select([self._process.stdout], [], [], seconds)[0]:
            return False
        read = os.read(self._process.stdout.fileno(), 65_536)
        if not read:
            self._reap(Ended(None))
            return False
        *lines, self._read = (self._read + read).split(b"\n")
        has_output = False
        for line in lines:
            match json.loads(line):
                case {"waits": str(lock)}:
                    self.lock = lock
                case {"locked": True}:
                    self.is_locked = True
                case {"started": int(pid)}:
                    self._pid = pid
                case {"output": True}:
                    has_output = True
                case {"ended": int() | None as code, "output": str(output), "errors": str(errors)}:
                    self._reap(Ended(code, output, errors))
        return has_output

    def stop(self) -> None:
        """Asks the script to save and leave; it is killed ``stop_grace`` seconds after the first time. One that has
        just ended hears nothing."""
        if self.ended is None:
            self._say("stop")

    def close(self) -> None:
        """Ends what still runs, and waits for it."""
        if self.ended is None:
            self._say("kill")
        while self.ended is None:
            self.wait(1.0)

    def _say(self, message: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _kill_by_plan(self) -> None:
        """Without the guard, what has left the process group is known by its environment alone; or by the lock, which
        forks have that were not executed: /proc shows them with the environment of what they were forked from."""
        for _ in range(KILL_ROUNDS if self._plan else 0):  # they may start others meanwhile
            found = {*_with_plan(f"{VARIABLE}={self._plan}"), *_with_open(self._own_lock)}
            if not found:
                return
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _reap(self, ended: Ended) -> None:
        if ended.code is None and self._pid is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)
            self._kill_by_plan()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self.ended = ended


def _with_plan(variable: str) -> Iterator[int]:
    """The processes of ours that have it in their environment; none without /proc."""
    mark = variable.encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in entry.read_bytes().split(b"\0"):
                yield int(entry.parent.name)


def _with_open(path: Path) -> Iterator[int]:
    """The processes of ours that have the file open; none without /proc."""
    wanted = path.resolve()
    for entry in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if any(_leads_to(each, wanted) for each in entry.iterdir()):
                yield int(entry.parent.name)


def _leads_to(link: Path, wanted: Path) -> bool:
    """Not where it has gone meanwhile: the others of that process are still to be looked at."""
    with contextlib.suppress(OSError):
        return link.readlink() == wanted
    return False
