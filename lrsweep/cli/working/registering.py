"""``lrsweep register``: a study file, checked whole, may be started over HTTP from now on."""

from __future__ import annotations

from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Json
from lrsweep.settings import Settings, make_homes
from lrsweep.store import open_store
from lrsweep.store.queue import Registered
from lrsweep.study import examine_file
from lrsweep.sweep.refusals import completed
from lrsweep.sweep.remembering import remember


def register(settings: Settings, given: str, *, device: str) -> Registered:
    """Its workload is asked what it is, as ``plan`` and ``run`` do. Raises StudyError with all that ``run`` would
    refuse."""
    examined = examine_file(given)
    executor = LocalExecutor(device, data=settings.data)
    try:
        resolved = completed(examined, executor.describe)
    finally:
        executor.close()
    store = open_store(make_homes(settings).results_url)
    try:
        kept = remember(store, examined.study, resolved)
    finally:
        store.close()
    assert kept is not None, "a file has a text"
    return kept


def to_json(kept: Registered) -> dict[str, Json]:
    return {
        "study": kept.study,
        "file": kept.source,
        "folder": kept.folder,
        "generation": kept.generation,
        "who": kept.who,
    }
