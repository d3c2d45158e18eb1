"""``lrsweep doctor``: does everything that a sweep needs work here? Checks as data: what was found, and the remedy.

    findings.py     a finding: ok, a warning or a fault
    versions.py     packages against what lrsweep supports
    machine.py      devices, cores, memory, open files, disks
    environment.py  variables that are misspelt or left from a test
    remote.py       checkpoints and data that lie at a URL
    databases.py    the results database, and leases that hang
    tracking.py     MLflow, and what it permits

Each large dependency is asked in its own home (``store/probing.py``, ``tracking/probing.py``, ``engines/probing.py``).
Nothing is made but a scratch run in an MLflow of the user's, which is deleted again, and no secret is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lrsweep.doctor.databases import check_database, check_leases
from lrsweep.doctor.environment import check_environment
from lrsweep.doctor.findings import Finding, Level, checked
from lrsweep.doctor.machine import bytes_needed, check_devices, check_disk, check_limits
from lrsweep.doctor.remote import check_checkpoints, check_data
from lrsweep.doctor.tracking import check_tracking
from lrsweep.doctor.versions import check_versions
from lrsweep.engines.probing import probing_torch
from lrsweep.settings import FILES, SCHEMAS, Settings, read_settings, results_url
from lrsweep.store import open_store, with_schema
from lrsweep.store.probing import probe

__all__ = ["Finding", "Level", "bytes_needed", "diagnose"]

DATA = Path("~/.cache/lrsweep/data")
"""Where workloads keep data by default."""


def diagnose(
    environ: Mapping[str, str],
    *,
    study: str | None = None,
    needed_bytes: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """All findings, in the order in which one would look. ``study`` limits what concerns studies to one; its results
    will take ``needed_bytes``; ``say`` hears what is being asked."""
    settings: list[Settings] = []

    def read() -> list[Finding]:
        settings.append(read_settings(environ))
        return []

    with probing_torch() as answer:  # it takes as long to import PyTorch as to look at all the rest
        rest = checked("settings", read)
        if settings:  # else nothing else can be reached
            [here] = settings
            say("the results database")
            rest += checked("databases", lambda: _databases(here, study))
            say("MLflow")
            rest += checked("MLflow", lambda: _tracking(here))
            say("the disks")
            rest += check_disk(_folders(here), needed_bytes)
            if isinstance(at := here.checkpoints, str):
                rest += check_checkpoints(at)
            if here.data is not None:
                rest += check_data(here.data)
        say("the packages and devices")
        torch = answer()
    machine = [*check_versions(torch), *check_devices(torch), *check_limits(), *check_environment(environ)]
    return machine + rest


def _databases(here: Settings, study: str | None) -> list[Finding]:
    url = results_url(here)
    probed = probe(url)
    found = check_database(probed)
    if not (probed.is_there and probed.is_current):
        return found
    store = open_store(url)
    try:
        return found + check_leases(store, study)
    finally:
        store.close()


def _tracking(here: Settings) -> list[Finding]:
    if here.tracking_uri is not None:
        return check_tracking(here.tracking_uri, is_ours=False)
    if here.database_url is not None:
        return check_tracking(with_schema(here.database_url, SCHEMAS[2]), is_ours=True)
    return check_tracking(f"sqlite:///{here.home / FILES[2]}", is_ours=True)


def _folders(here: Settings) -> dict[str, Path]:
    """The home first: databases, artifacts and, unless they have a place of their own, checkpoints are there."""
    found = {"the home": here.home, "the data folder": here.data or DATA.expanduser()}
    return found | ({"the checkpoints": here.checkpoints} if isinstance(here.checkpoints, Path) else {})
