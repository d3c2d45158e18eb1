"""Names of files that a process has for itself, by which others can tell what one has left that was killed."""

from __future__ import annotations

import os
import platform
import re
import time
import uuid
from pathlib import Path

LEFT_SECONDS = 3600.0
"""No writer takes so long between two of its writes: what another machine has not touched since was left."""

_TAG = re.compile(r"(?P<node>\w+)\.(?P<pid>\d+)\.[0-9a-f]{8}")


def tag() -> str:
    """A part of a name that nobody else uses: machine, process, and which of its files."""
    return f"{_node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"


def is_left(path: Path) -> bool:
    """Whether nobody writes it any more."""
    if (pid := _pid_here(path)) is not None:
        return not _runs(pid)
    try:
        return time.time() - path.stat().st_mtime > LEFT_SECONDS
    except OSError:  # it has just gone
        return False


def is_of_an_ended_process(path: Path) -> bool:
    """Of this machine: of another one nobody knows it."""
    pid = _pid_here(path)
    return pid is not None and not _runs(pid)


def _pid_here(path: Path) -> int | None:
    """None: of another machine, or no name of ours."""
    found = _TAG.search(path.name)
    return int(found["pid"]) if found is not None and found["node"] == _node() else None


def _node() -> str:
    return re.sub(r"\W", "_", platform.node()) or "machine"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, and is another user's
        return True
    return True
