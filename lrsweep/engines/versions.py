"""With what a process trains: the versions and the processor by which the same plan gives the same bits.

A sweep keeps them in its settings, ``with_versions(sweep.settings, versions())``, whenever a process begins to drive
it; ``lrsweep reproduce`` and MLflow's tags read them there. Nothing is imported to learn a version.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata

from lrsweep.engines.machine import cpu_model, nvidia_driver
from lrsweep.records import Json

SETTING = "versions"
"""Where a sweep's settings hold them: a list, the oldest first, of what the processes had that drove it."""
PACKAGES = ("lrsweep", "torch", "torchvision", "numpy", "optuna", "mlflow")


def versions() -> dict[str, str]:
    """By name; a package that is not installed is left out, and so is the driver where there is no GPU."""
    from lrsweep import __version__

    found = {name: version for name in PACKAGES if (version := version_of(name)) is not None}
    # the checkout's own, where lrsweep runs without having been installed, or was installed before it changed
    found |= {"lrsweep": __version__, "python": platform.python_version(), "processor": cpu_model()}
    return found | ({"driver": driver} if (driver := nvidia_driver()) else {})


def version_of(package: str) -> str | None:
    """As its metadata say it, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def with_versions(settings: Mapping[str, Json], now: Mapping[str, str]) -> dict[str, Json]:
    """What is to be merged into a sweep's settings: ``now`` is added where the last process had others.

    >>> with_versions({}, {"torch": "2.15"})
    {'versions': [{'torch': '2.15'}]}
    >>> with_versions({"versions": [{"torch": "2.15"}]}, {"torch": "2.15"})
    {'versions': [{'torch': '2.15'}]}
    """
    known = list(kept_versions(settings))
    return {SETTING: known if known and known[-1] == dict(now) else [*known, dict(now)]}


def kept_versions(settings: Mapping[str, Json]) -> Sequence[Mapping[str, str]]:
    """Empty for a sweep of a release that kept none."""
    kept = settings.get(SETTING, [])
    return [kept] if isinstance(kept, Mapping) else list(kept)
