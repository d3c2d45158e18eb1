"""Who drives: a text that names the process to people, and lets another driver on the same machine see that it died.

A lease alone would make the command after a `kill -9` wait until it expires. The text says which machine, boot and
process namespace the process id belongs to, and when the process started, so that a number used again is not mistaken.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

LEASE_SECONDS = 30.0
RENEW_EVERY = 5.0

_FORM = re.compile(r"process (?P<pid>\d+) on (?P<host>\S+) \[(?P<machine>[^ \]]*) (?P<started>\d*)\]")


def this_owner() -> str:
    """``process 4242 on box [boot:namespace start]``."""
    pid = os.getpid()
    return f"process {pid} on {socket.gethostname()} [{_machine()} {_started(pid) or ''}]"


def driver_shown(owner: str) -> str:
    """Without what only processes on the same machine read.

    >>> driver_shown("process 4242 on box [1f2e:4026531836 8812]")
    'process 4242 on box'
    """
    return owner.partition(" [")[0]


def is_dead(owner: str) -> bool:
    """True only where it is certain: the same machine, and no such process any more."""
    found = _FORM.fullmatch(owner)
    if found is None or found["host"] != socket.gethostname() or found["machine"] != _machine():
        return False
    pid = int(found["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return _started(pid) not in (None, found["started"])  # another user's, whom /proc may hide
    return found["started"] != (_started(pid) or "")


def _machine() -> str:
    """The boot and the process namespace, where the system tells (Linux); elsewhere nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        return f"{boot}:{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Clock ticks after boot at which the process started; None where there is no such process or no /proc.

    A zombie counts as gone: it was killed and its parent has not looked yet.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] == "Z" else after_name[19]
