"""What a figure was measured on: the machine, and the versions of all that took part."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import lrsweep
from lrsweep.engines.machine import cpu_model

PACKAGES = ("torch", "optuna", "mlflow", "ray", "sqlalchemy", "numpy")


def machine() -> dict[str, str | int | float]:
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Without those that are not installed."""
    found = {"lrsweep": lrsweep.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
