"""What of this machine a process may use: cores and memory, as Linux and version 2 of its control groups say it."""

from __future__ import annotations

import math
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


_limit: int | None = None


def limit_cores(count: int | None) -> None:
    """This process has a share of the machine that nothing holds it to; None: the whole machine."""
    global _limit  # noqa: PLW0603 (as the affinity of the process, which is no argument either)
    _limit = count


def available_cores() -> int:
    """That this process may use: by its affinity, by the time that its container has on them, and by its share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = cores if _limit is None else min(cores, _limit)
    try:
        quota, period = map(int, (CGROUP / "cpu.max").read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no such file, or "max": no limit
        return cores
    return max(1, min(cores, math.ceil(quota / period)))


def available_bytes() -> int:
    """Of memory that nobody uses, what this process may have; 0 where nobody says."""
    said = [free for free in (_free_of_the_machine(), _free_of_the_container()) if free is not None]
    return min(said, default=0)


def peak_bytes() -> int:
    """The most memory that this process has held so far. Linux's ``ru_maxrss`` would begin with what the process held
    that started it: a driver with its libraries, in the place of a trainer."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def nvidia_driver() -> str | None:
    try:
        return NVIDIA_DRIVER.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError:
        return None


def _free_of_the_machine() -> int | None:
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return None


def _free_of_the_container() -> int | None:
    """At least 1, because 0 says that nobody knows."""
    try:
        most, held = (int((CGROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        counts = dict(line.split() for line in (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
    return max(1, most - held + int(counts.get("inactive_file", 0)))  # of files read before, which give way
