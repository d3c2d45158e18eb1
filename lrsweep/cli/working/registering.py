"""``lrsweep register``: a study file, checked whole, may be started over HTTP from now on; or no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lrsweep.errors import SettingsError, did_you_mean
from lrsweep.executors.local import LocalExecutor
from lrsweep.findings.reading import results
from lrsweep.records import Json
from lrsweep.settings import Settings, make_homes
from lrsweep.store import open_store
from lrsweep.store.queue import Registered
from lrsweep.study import examine_file
from lrsweep.sweep.refusals import completed
from lrsweep.sweep.remembering import forget, remember


def register(settings: Settings, given: str, *, device: str, say: Callable[[str], None]) -> Registered:
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
        kept = remember(store, examined.study, resolved, say)
    finally:
        store.close()
    assert kept is not None, "a file has a text"
    return kept


def registered(settings: Settings) -> Sequence[Registered]:
    """By name."""
    with results(settings) as store:
        return store.queue.registered()


def unregister(settings: Settings, study: str) -> None:
    """Its results stay. Raises SettingsError for one that is not registered, TryAgain where a worker has it."""
    with results(settings) as store:
        if not forget(store, study):
            names = [row.study for row in store.queue.registered()]
            there = f" There are: {', '.join(names)}." if names else ""
            raise SettingsError(f"study {study!r} is not registered.{did_you_mean(study, names)}{there}")


def to_json(kept: Registered) -> dict[str, Json]:
    return {
        "study": kept.study,
        "file": kept.source,
        "folder": kept.folder,
        "generation": kept.generation,
        "who": kept.who,
    }
