"""What a process holds, as Linux tells it: memory, open handles, threads, connections."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    rss_mib: float
    handles: int
    threads: int
    sockets: int
    """handles that are connections, to a database among others"""


def held(pid: int) -> Held:
    """Raises OSError for a process that has ended."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
    if "VmRSS" not in status:
        raise ProcessLookupError(f"process {pid} has ended")
    handles = [_target(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return Held(
        rss_mib=int(status["VmRSS"].split()[0]) / 1024,
        handles=len(handles),
        threads=int(status["Threads"]),
        sockets=sum(each.startswith("socket:") for each in handles),
    )


def children(pid: int) -> list[int]:
    """All that it has started and that live, with theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            own = [int(each) for each in (task / "children").read_text(encoding="ascii").split()]
        except OSError:
            continue
        found += [each for child in own for each in (child, *_children_of(child))]
    return found


def _children_of(pid: int) -> list[int]:
    try:
        return children(pid)
    except OSError:
        return []


def _target(handle: Path) -> str:
    try:
        return str(handle.readlink())
    except OSError:
        return ""


def cpu_seconds(pid: int) -> float:
    """Of the process alone, by all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
