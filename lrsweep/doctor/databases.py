"""The results database: is it there, ours, current, safe where it lies? And do leases hang?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lrsweep.doctor.findings import Finding, fault, ok, warning
from lrsweep.records import Status
from lrsweep.store.base import Holder, Store
from lrsweep.store.probing import Probed
from lrsweep.sweep.owner import driver_shown, is_dead

AREA, LEASES = "databases", "leases"
CLOCK_SECONDS = 60.0
SILENT_SECONDS = 3600.0
MOUNTS = Path("/proc/self/mountinfo")
OVER_A_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|afs|ceph|glusterfs|lustre|beegfs|gpfs|9p|fuse\.(sshfs|glusterfs|rclone|s3fs)"
)


def check_database(probed: Probed, mounts: str | None = None) -> list[Finding]:
    """``mounts``: Linux's table of them, for tests; else this machine's."""
    where = f"results in {probed.address} ({probed.server})"
    if probed.has_foreign_tables:
        place = "file" if probed.file else "schema"
        return [fault(AREA, f"{where}: another tool's tables are there", f"Give lrsweep a {place} of its own.")]
    found = []
    if not probed.is_there:
        found.append(ok(AREA, f"{where}: nothing yet; the first sweep makes it"))
    elif not probed.is_current:
        found.append(
            fault(
                AREA,
                f"{where}: its schema {probed.schema_version} is not that of this lrsweep",
                "`lrsweep db upgrade` migrates an older one; for a newer one, upgrade lrsweep.",
            )
        )
    else:
        found.append(ok(AREA, where))
    if not probed.may_write:
        remedy = "Make the file and its folder writable." if probed.file else "Name the server that takes writes."
        found.append(fault(AREA, "the results database is read-only", remedy))
    if abs(probed.seconds_ahead) > CLOCK_SECONDS:
        ahead = "ahead of" if probed.seconds_ahead > 0 else "behind"
        found.append(
            warning(
                AREA,
                f"the database's clock is {abs(probed.seconds_ahead):.0f} s {ahead} this machine's",
                "Leases go by the database's alone and are safe, but times that you read differ: set the clocks (NTP).",
            )
        )
    return found + (_file(probed, probed.file, mounts) if probed.file else [])


def check_leases(store: Store, study: str | None, is_dead: Callable[[str], bool] = is_dead) -> list[Finding]:
    """Of all studies, or of one."""
    holders: Mapping[str, Holder] = store.holders()
    named = {name: each for name, each in holders.items() if study in (None, name)}
    if not named:
        return [ok(LEASES, "nobody drives a sweep")]
    return [_lease(store, name, each, is_dead) for name, each in named.items()]


def _lease(store: Store, study: str, holder: Holder, is_dead: Callable[[str], bool]) -> Finding:
    owner = driver_shown(holder.owner)
    if is_dead(holder.owner):
        return warning(
            LEASES,
            f"study {study!r} is held by {owner}, which has died; its lease has {holder.seconds_left:.0f} s left",
            "Nothing to do: the next `lrsweep run` on that machine takes over at once.",
        )
    last = store.last_events(study, 1)
    silent = time.time() - last[0].at if last else 0.0
    trains = any(row.status is Status.RUNNING for row in store.trainings(study))
    if silent > SILENT_SECONDS and not trains:
        return warning(
            LEASES,
            f"study {study!r} is driven by {owner}, but nothing trains and for {silent / 3600:.1f} h nothing happened",
            "Look at that process; where it hangs, end it: the same command continues the sweep.",
        )
    return ok(LEASES, f"study {study!r} is driven by {owner}")


def network_file_system(folder: Path, mounts: str) -> str | None:
    """The kind, where the folder lies on one; by the longest mount point above it.

    >>> table = "1 0 8:1 / / rw - ext4 /dev/sda rw\\n2 1 0:40 / /share rw - nfs4 server:/share rw"
    >>> network_file_system(Path("/share/ann/.lrsweep"), table), network_file_system(Path("/srv"), table)
    ('nfs4', None)
    """
    best, kind = Path("/"), ""
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split()
        if not dash or len(fields) < 5 or not after.split():
            continue
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        if point in (folder, *folder.parents) and len(point.parts) >= len(best.parts):
            best, kind = point, after.split()[0]
    return kind if OVER_A_NETWORK.fullmatch(kind) else None


def _file(probed: Probed, file: Path, mounts: str | None) -> list[Finding]:
    found = []
    if probed.is_there and probed.journal_mode != "wal":
        found.append(
            warning(
                AREA,
                f"{file.name} is in journal mode {probed.journal_mode!r}, so whoever reads holds up the driver",
                "The next sweep sets WAL; where it stays so, the file system does not support it.",
            )
        )
    if mounts is None:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace") if MOUNTS.exists() else ""
    if kind := network_file_system(file.parent, mounts):
        found.append(
            fault(
                AREA,
                f"{file} lies on a network file system ({kind}), where SQLite's locks and WAL do not hold",
                "Set LRSWEEP_HOME to a local folder, or LRSWEEP_DATABASE_URL to a PostgreSQL database.",
            )
        )
    return found
