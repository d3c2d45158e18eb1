"""The process between an engine and a user's script: whatever happens to the engine, nothing of the script is left.

    engine ──job, "stop", "kill"──> guard ──starts, signals──> script and all its descendants
       ^──"waits", "locked", "started", "output", "ended"──┘

It is a program of its own, on the standard library alone, started with ``python -I -S guard.py FOLDER LOCK...``, so
that it begins in about 50 ms. Every message is a JSON object on a line. When the pipe from the engine closes, because
the engine or its driver was killed, that means "stop".

    stop   the file ``stop`` is made, the script has ``stop_grace`` seconds to save and leave, and then as for kill
    kill   SIGTERM to all, and after ``TERM_SECONDS`` SIGKILL

``forking`` runs the same ``main`` in a fork of its own, where the script is one more fork and no program to execute.

On Linux the guard is the subreaper of its descendants: one that left the process group comes to it when its parent
ends, and has no way out. Elsewhere the process group alone is killed. A lock on a file in the folder is held until all
are dead, so that a later attempt of the same training never trains beside this one; and so is one on each LOCK, a file
that stands for a device. The script inherits them: should the guard be killed, they last as long as it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

TERM_SECONDS = 5.0
"""Between SIGTERM and SIGKILL."""
OUTPUT_LIMIT = 1_000_000
"""Bytes of a file of output; it is then renamed to ``….1``, in place of the one before."""
TAIL = 4_096
LONGEST_LINE = 65_536
"""Of a report on standard output."""
TICK = 0.05

_PR_SET_CHILD_SUBREAPER = 36


class Output:
    """One stream of the script: its last part in a file, its very last in memory, and its lines that are reports."""

    def __init__(self, source: int, path: Path, reports: Path | None) -> None:
        self.source = source
        self.tail = b""
        self._path = path
        self._reports = reports
        self._line = b""

    def take(self) -> bool:
        """Reads what is there; False at the end of the stream."""
        try:
            read = os.read(self.source, 65_536)
        except BlockingIOError:
            return True
        if not read:
            return False
        self.tail = (self.tail + read)[-TAIL:]
        with contextlib.suppress(OSError):  # a full disk: the script goes on, its output is not kept
            self._keep(read)
        if self._reports is not None:
            self._report(read)
        return True

    def _keep(self, read: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(read)
            is_full = file.tell() > OUTPUT_LIMIT
        if is_full:
            self._path.replace(self._path.with_name(self._path.name + ".1"))

    def _report(self, read: bytes) -> None:
        *lines, self._line = (self._line + read).split(b"\n")
        self._line = self._line[:LONGEST_LINE]
        said = [line.strip() + b"\n" for line in lines if line.lstrip().startswith(b"{") and b'"step"' in line]
        if said:
            assert self._reports is not None
            with self._reports.open("ab") as file:
                file.write(b"".join(said))

    def finish(self) -> None:
        """The last line may have no end."""
        if self._reports is not None:
            self._report(b"\n")


class Engine:
    """The two pipes to the engine."""

    def __init__(self) -> None:
        self.is_there = True
        self._read = b""
        os.set_blocking(1, False)

    def say(self, **message: Any) -> None:
        """An engine that is stopped must not stop the script: what does not fit into the pipe is left out."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(1, json.dumps(message).encode() + b"\n")

    def say_last(self, **message: Any) -> None:
        os.set_blocking(1, True)
        self.say(**message)

    def heard(self) -> list[Any]:
        """What has come; the end of the pipe is heard as "stop"."""
        read = os.read(0, 65_536)
        if not read:
            self.is_there = False
            return ["stop"]
        *lines, self._read = (self._read + read).split(b"\n")
        return [json.loads(line) for line in lines]


class Script(BaseException):
    """Raised in a child that is to become the script: all that the guard has on the stack is left behind by it."""

    def __init__(self, argv: list[str]) -> None:
        super().__init__()
        self.argv = argv


def main(folder: Path, devices: list[Path], *, becomes: bool = False) -> None:
    """``becomes``: the script is started by raising ``Script`` in a child, in the place of executing its command."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are the script's to obey; the guard stays until all are dead
    engine = Engine()
    wanted, held, job = [folder / "lock", *devices], [], None
    waits: Path | None = None
    while wanted or job is None:
        try:
            while wanted and (lock := _locked(wanted[0])) is not None:
                held.append(lock)
                del wanted[0]
                if not wanted:
                    engine.say(locked=True)
        except OSError as error:  # a full disk, or a file system without locks
            engine.say(waits=str(wanted[0]))
            engine.say_last(ended=None, output="", errors=error.strerror)
            return
        if wanted and wanted[0] != waits:
            waits = wanted[0]
            engine.say(waits=str(waits))
        if select.select([0], [], [], TICK if wanted else None)[0]:
            for message in engine.heard():
                if not isinstance(message, dict):
                    return  # given up before it began
                job = message
    Guard(folder, job, engine, held, becomes=becomes).run()
    for lock in held:
        fcntl.flock(lock, fcntl.LOCK_UN)  # for all that have inherited it: where /proc is not, some may still live


class Guard:
    def __init__(
        self, folder: Path, job: dict[str, Any], engine: Engine, locks: list[int], *, becomes: bool = False
    ) -> None:
        self._folder = folder
        self._stop_grace: float = job["stop_grace"]
        self._engine = engine
        self._code: int | None = None
        """of the script itself; None while it runs"""
        self._terminate_at = float("inf")
        self._kill_at = float("inf")
        self._output_told = 0.0
        _become_subreaper()
        self._wake, woken = os.pipe()
        for end in (self._wake, woken):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        reports = Path(job["reports"]) if job["reports"] else None
        own = (self._wake, woken)
        self._pid, output, errors = _start(job["argv"], locks, own, becomes=becomes)
        self._outputs = [
            Output(output, folder / "output.log", reports),
            Output(errors, folder / "errors.log", None),
        ]
        engine.say(started=self._pid)

    def run(self) -> None:
        open_outputs = list(self._outputs)
        while self._some_live():
            listening = [self._wake, *(each.source for each in open_outputs), *([0] if self._engine.is_there else [])]
            ready = select.select(listening, [], [], self._patience())[0]
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 512)
            if 0 in ready:
                for message in self._engine.heard():
                    self._obey(message)
            for each in [each for each in open_outputs if each.source in ready]:
                self._tell_of_output()
                if not each.take():
                    open_outputs.remove(each)
            self._press()
        for each in open_outputs:
            os.set_blocking(each.source, False)
            while select.select([each.source], [], [], 0)[0] and each.take():
                pass
        for each in self._outputs:
            each.finish()
        output, errors = (each.tail.decode(errors="replace") for each in self._outputs)
        self._engine.say_last(ended=self._code, output=output, errors=errors)

    def _obey(self, message: str) -> None:
        now = time.monotonic()
        if message == "stop":
            with contextlib.suppress(OSError):
                (self._folder / "stop").touch()
            self._terminate_at = min(self._terminate_at, now + self._stop_grace)
        else:
            self._terminate_at = now

    def _press(self) -> None:
        """What the script's end asks for, or the time that has passed."""
        now = time.monotonic()
        if self._code is not None:  # what it left behind may not stay
            self._terminate_at = min(self._terminate_at, now)
        if now >= self._terminate_at and self._kill_at == float("inf"):
            self._signal(signal.SIGTERM)
            self._kill_at = now + TERM_SECONDS
        elif now >= self._kill_at:
            self._signal(signal.SIGKILL)

    def _patience(self) -> float | None:
        """Until something is to be done without being woken; a process that was adopted is looked for every tick."""
        if self._code is not None or self._kill_at < float("inf"):
            return TICK
        return None if self._terminate_at == float("inf") else max(0.0, self._terminate_at - time.monotonic())

    def _some_live(self) -> bool:
        """Reaps what has ended. As a subreaper the guard has a child as long as any descendant lives."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                return True
            if pid == self._pid:
                self._code = os.waitstatus_to_exitcode(status)
        if sys.platform == "linux":
            return False
        try:
            os.killpg(self._pid, 0)
        except OSError:
            return False
        return True

    def _signal(self, number: int) -> None:
        if self._code is None or sys.platform != "linux":
            with contextlib.suppress(OSError):
                os.killpg(self._pid, number)  # first and at once: a group cannot fork away from it
        own = os.getpid()
        parents = _parents()
        for pid in parents:
            ancestor: int | None = pid
            while ancestor not in (None, own):
                ancestor = parents.get(ancestor)
            if ancestor == own and pid != own and (self._code is not None or _group(pid) != self._pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, number)

    def _tell_of_output(self) -> None:
        if time.monotonic() - self._output_told > 1.0:
            self._output_told = time.monotonic()
            self._engine.say(output=True)


def _start(argv: list[str], locks: list[int], own: tuple[int, ...], *, becomes: bool) -> tuple[int, int, int]:
    """The script in a session of its own; its pid and the reading ends of its output. ``own``: descriptors of the guard
    that are none of the script's."""
    output, output_in = os.pipe()
    errors, errors_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for place, end in enumerate((nothing, output_in, errors_in)):
                os.dup2(end, place)
            for lock in locks:
                os.set_inheritable(lock, True)
            for end in (nothing, output, output_in, errors, errors_in, *own):
                os.close(end)  # which nobody does where nothing is executed
            if becomes:
                raise Script(argv)
            os.execvp(argv[0], argv)  # noqa: S606 (the user's own command, and no shell)
        except Script:
            raise
        except OSError as error:
            os.write(2, f"{argv[0]} cannot be started: {error.strerror}\n".encode())
            os._exit(127)
        except BaseException:  # there must not be a second guard
            os._exit(127)
    os.close(output_in)
    os.close(errors_in)
    return pid, output, errors


def _locked(path: Path) -> int | None:
    """The descriptor of the file, with its lock; None while another has that."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _become_subreaper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _parents() -> dict[int, int]:
    """Every process and its parent; empty without /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, rest = entry.read_text(errors="replace").rpartition(")")
            found[int(entry.parent.name)] = int(rest.split()[1])
    return found


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(given) for given in sys.argv[2:]])
