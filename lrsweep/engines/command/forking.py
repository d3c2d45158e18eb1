"""The program that trainings of a script are forked from, so that what they import is imported once.

    engine ──the ends of two pipes──> server ──forks──> guard ──forks──> script, and all its descendants
                                        ^──────what it has imported─────────┘

It runs as ``python [-u] forking.py SOCKET GUARD LRSWEEP`` in the script's own interpreter, on the standard library
alone, from Python 3.9. The guard is the one of ``guard.py``, whose promises hold unchanged: it is the script's parent
here too. The first training finds nothing imported. At its end it teaches the server which modules of well-known
libraries it used, and the server imports these while nobody asks, and this lrsweep (60 ms). Modules of the user's own
are never imported beforehand, so that what is edited counts from the next training on.

The server ends when the engine has closed its socket or was killed; guards live on, for they hear the engine by pipes
of their own. It also ends, and says why on the socket, where a library is none to fork with.
"""

# ruff: noqa: E402 (what is there at the start is looked at first)

from __future__ import annotations

import sys

AT_START = frozenset(sys.modules)
"""A script's own folder does not come before these in a plain start either."""

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import select
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = frozenset(
    {"PIL", "einops", "numpy", "pandas", "safetensors", "scipy", "sklearn"}
    | {"timm", "torch", "torchaudio", "torchvision"}
)
"""Which do at import nothing that a fork would suffer from, nor anything that two trainings should not share."""
INSTALLED = ("site-packages", "dist-packages")
NAMES_AT_A_TIME = 1_000
"""A datagram holds 200 kB."""
REAP_EVERY = 1.0
GONE_SECONDS = 2.0
DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri", "/dev/accel")


def _load(name: str, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Server:
    def __init__(self, engine: socket.socket, guard: ModuleType, becoming: ModuleType, lrsweep: Path) -> None:
        self._engine = engine
        self._lrsweep = lrsweep
        self._guard = guard
        self._becoming = becoming
        self.before = becoming.Interpreter(AT_START, os.environ.get("PYTHONPATH", ""))
        self._lessons, self._teacher = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._lessons.setblocking(False)
        self._teacher.setblocking(False)
        self._children: set[int] = set()
        self._wanted: list[str] = []
        self._known: frozenset[str] = frozenset()
        """what had been imported when a child was forked"""
        self._is_settled = True

    def serve(self) -> None:
        """Until the engine is gone; a request comes before the next import."""
        while True:
            self._reap()
            patience = 0 if self._wanted else REAP_EVERY if self._children else None
            ready = select.select([self._engine, self._lessons], [], [], patience)[0]
            if self._engine in ready:
                _, pipes, _, _ = socket.recv_fds(self._engine, 1, 2)
                if len(pipes) < 2 or not self._settle():
                    return
                self._fork(*pipes)
            elif self._lessons in ready:
                self._wanted += json.loads(self._lessons.recv(1 << 20))
            elif self._wanted:
                self._import(self._wanted.pop(0))
                if not self._wanted and not self._settle():
                    return

    def teach(self) -> None:
        """In a script that has ended in order: the libraries it used, in the order in which it came to them."""
        roots = {root for root in LIBRARIES if _is_installed(sys.modules.get(root))}
        if _folder_of(sys.modules.get("lrsweep")).resolve() == self._lrsweep:
            roots.add("lrsweep")
        names = [name for name in list(sys.modules) if name.partition(".")[0] in roots and name not in self._known]
        for begin in range(0, len(names), NAMES_AT_A_TIME):
            self._teacher.send(json.dumps(names[begin : begin + NAMES_AT_A_TIME]).encode())

    def _fork(self, into: int, out: int) -> None:
        self._known = frozenset(sys.modules)
        pid = os.fork()
        if pid:
            os.close(into)
            os.close(out)  # else the end of a guard would not be heard
            self._children.add(pid)
            return
        try:
            self._engine.close()
            self._lessons.close()
            os.setsid()
            for end, place in ((into, 0), (out, 1)):
                os.dup2(end, place)
                os.close(end)
            os.write(1, json.dumps({"guard": os.getpid()}).encode() + b"\n")
            request = _request()
            os.environ.clear()
            os.environ.update(request["environ"])
            self._guard.main(Path(request["folder"]), [Path(lock) for lock in request["locks"]], becomes=True)
        except self._guard.Script:
            raise
        except BaseException:  # whatever it is: this process is no server
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def _import(self, name: str) -> None:
        if name not in sys.modules:
            self._is_settled = False
            with _quiet(), contextlib.suppress(BaseException):  # the script will meet it itself
                if name == "lrsweep":  # its folder is on no path here: there may be packages of the engine's beside it
                    _load(name, str(self._lrsweep / "__init__.py"))
                else:
                    importlib.import_module(name)

    def _settle(self) -> bool:
        """What is there is not looked at by collections any more, whose marks would copy every page; False where it
        must not be forked."""
        if self._is_settled:
            return True
        gc.collect()
        gc.freeze()
        reason = _why_not()
        if reason is not None:
            with contextlib.suppress(OSError):
                self._engine.send(reason.encode())
            return False
        self._is_settled = True
        return True

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while self._children:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._children.discard(pid)


def _request() -> dict[str, Any]:
    """What the engine says first on the pipe, and nothing of what follows: the guard reads that."""
    size = int(_exactly(8))
    found: dict[str, Any] = json.loads(_exactly(size))
    return found


def _exactly(size: int) -> bytes:
    read = b""
    while len(read) < size:
        more = os.read(0, size - len(read))
        if not more:
            os._exit(0)  # the engine is gone, or has waited for too long
        read += more
    return read


def _is_installed(module: ModuleType | None) -> bool:
    return any(folder in _folder_of(module).parts for folder in INSTALLED)


def _folder_of(module: ModuleType | None) -> Path:
    return Path(getattr(module, "__file__", None) or "").parent


def _why_not() -> str | None:
    """Why this process must not be forked; None where it may be."""
    if threading.active_count() > 1:
        return "a library has started a thread as it was imported"
    torch = sys.modules.get("torch")
    is_initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)
    if is_initialized is not None and is_initialized():
        return "torch has begun with CUDA as it was imported"
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            device = str(descriptor.readlink())
            if device.startswith(DEVICES):  # a driver that was begun with does not work in a fork
                return f"a library has opened {device} as it was imported"
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "a library has started a thread as it was imported" if _has_threads() else None


def _has_threads() -> bool:
    """Right after a fork. OpenBLAS ends its threads before one, and joins them; a busy machine takes them off the list
    some time later."""
    give_up = time.monotonic() + GONE_SECONDS
    while len(list(Path("/proc/self/task").iterdir())) > 1:
        if time.monotonic() > give_up:
            return True
        time.sleep(0.01)
    return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What a library writes as it is imported belongs into no terminal of the engine."""
    before = os.dup(2)
    os.dup2(1, 2)  # the null device
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os.dup2(before, 2)
        os.close(before)


def main() -> None:
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    _, number, guard_path, lrsweep = sys.argv
    sys.argv[:] = [""]
    guard = _load("_lrsweep_guard", guard_path)  # names that no module of the user's has
    becoming = _load("_lrsweep_becoming", str(here / "becoming.py"))
    server = Server(socket.socket(fileno=int(number)), guard, becoming, Path(lrsweep))
    try:
        server.serve()
    except guard.Script as script:  # in a child, with the frames of server and guard left behind
        argv = script.argv
    else:
        return
    becoming.become(argv, server.before, server.teach)


if __name__ == "__main__":
    main()
