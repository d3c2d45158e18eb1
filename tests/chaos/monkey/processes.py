"""Processes as Linux shows them: whose children they are, whether they live, and signals to all of a family."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ENGINE = "lrsweep.executors.child"


@dataclass(frozen=True)
class Known:
    """A process that is not mistaken for a later one of the same number."""

    pid: int
    started: str

    @property
    def lives(self) -> bool:
        return known(self.pid) == self


def known(pid: int) -> Known | None:
    """None where there is no such process, or only what is left of one that its parent has not looked for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else Known(pid, fields[19])


def family(pid: int) -> list[int]:
    """The process and all that it started, and they."""
    with suppress(OSError):
        children = [each for thread in Path(f"/proc/{pid}/task").iterdir() for each in _children(thread)]
        return [pid, *(each for child in children for each in family(child))]
    return []


def _children(thread: Path) -> list[int]:
    with suppress(OSError):
        return [int(each) for each in (thread / "children").read_text().split()]
    return []


def command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def engines(driver: int) -> list[int]:
    """The engine processes below it, in the order of their numbers."""
    return sorted(pid for pid in family(driver) if ENGINE in command(pid))


def send(pids: Iterable[int], signum: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)


def all_end(processes: Iterable[Known], seconds: float) -> list[Known]:
    """Waits so long at most; those that live on."""
    left, end = list(processes), time.monotonic() + seconds
    while (left := [each for each in left if each.lives]) and time.monotonic() < end:
        time.sleep(0.1)
    return left
