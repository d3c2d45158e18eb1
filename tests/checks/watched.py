"""Runs a command and says what it and its children tried to send out of the machine; without a route where possible."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDER = Path(__file__).parent / "outgoing"
KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR")

# In a network of its own, where even the loopback device is down at first; `ip` is not everywhere, so by ioctl:
# SIOCSIFFLAGS 0x8914 with IFF_UP 1 on "lo", then the command itself.
WITHOUT_ROUTE = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Watched:
    returncode: int
    stdout: str
    stderr: str
    attempts: tuple[Mapping[str, Any], ...]
    """``event``, ``host``, ``command`` and ``calls`` of each attempt to leave, in order"""


@functools.cache
def without_route() -> tuple[str, ...]:
    """The words to put before a command so that it has no way out; empty where this machine does not permit that."""
    for unshare in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        prefix = (*unshare, sys.executable, "-I", "-c", WITHOUT_ROUTE)
        try:
            if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
                return prefix
        except FileNotFoundError:
            break
    return ()


def run_watched(
    command: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None, timeout_seconds: float
) -> Watched:
    """Runs ``command`` in ``folder``; every Python process that it starts is watched.

    It gets a bare environment and ``environment``: a tool that keeps silent because it sees CI's variables, or a user's
    wish not to be tracked, would prove nothing.
    """
    record = folder / "outgoing.jsonl"
    bare = {name: os.environ[name] for name in KEPT if name in os.environ}
    done = subprocess.run(
        [*without_route(), *command],
        cwd=folder,
        env={**bare, **(environment or {}), "PYTHONPATH": str(RECORDER), "OUTGOING_RECORD": str(record)},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
    )
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return Watched(done.returncode, done.stdout, done.stderr, tuple(json.loads(line) for line in lines))
