"""What a figure was measured on: the machine, and the versions of all that took part."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import lrsweep
from lrsweep.engines.machine import cpu_model

CPUS = Path("/sys/devices/system/cpu")
PACKAGES = ("torch", "optuna", "mlflow", "ray", "sqlalchemy", "numpy")


def machine() -> dict[str, str | int | float]:
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
        **topology(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def topology(cpus: Path = CPUS) -> dict[str, int]:
    """How many of the cores above are threads of one core, as Linux has it; empty where nobody says.

    A virtual machine says what it was told: two cores may be threads of one all the same.
    """
    siblings = [file.read_text(encoding="ascii") for file in cpus.glob("cpu*/topology/thread_siblings_list")]
    found = {"threads_per_core": round(len(siblings) / len(set(siblings)))} if siblings else {}
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
        found["virtual"] = "hypervisor" in flags
    return found


def versions() -> dict[str, str]:
    """Without those that are not installed."""
    found = {"lrsweep": lrsweep.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
