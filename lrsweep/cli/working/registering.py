"""``lrsweep register``: a study file, checked whole, may be started over HTTP from now on; or no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lrsweep.champion.history import when
from lrsweep.cli.new_results import made_results
from lrsweep.errors import SettingsError, did_you_mean
from lrsweep.executors.local import LocalExecutor
from lrsweep.findings.reading import results
from lrsweep.records import Json
from lrsweep.report.numbers import moment
from lrsweep.settings import Settings
from lrsweep.store.queue import Registered
from lrsweep.study import examine_file
from lrsweep.sweep.refusals import completed
from lrsweep.sweep.remembering import forget, has_changed, remember

HASH_SHOWN = 12


def register(settings: Settings, given: str, *, device: str, say: Callable[[str], None]) -> Registered:
    """Its workload is asked what it is, as ``plan`` and ``run`` do. Raises StudyError with all that ``run`` would
    refuse."""
    examined = examine_file(given)
    executor = LocalExecutor(device, data=settings.data)
    try:
        resolved = completed(examined, executor.describe)
    finally:
        executor.close()
    with made_results(settings, say) as (_, store):
        kept = remember(store, examined.study, resolved, say)
    assert kept is not None, "a file has a text"
    return kept


def registered(settings: Settings) -> Sequence[Registered]:
    """By name."""
    with results(settings) as store:
        return store.queue.registered()


def which_text(kept: Registered) -> str:
    """When it was registered and what it was, so that it can be told from the file as it is now."""
    found = f"registered {moment(kept.at)}, text {kept.text_hash[:HASH_SHOWN]}"
    match has_changed(kept):
        case None:
            return f"{found}; the file cannot be read here, and the registered text is what runs"
        case True:
            return f"{found}; the file has changed since: `lrsweep register` takes the new text"
        case False:
            return found


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
        "at": when(kept.at),
        "hash": kept.text_hash,
        "file_has_changed": has_changed(kept),
    }


def told(kept: Registered) -> str:
    """A line of the list."""
    return f"{kept.study}: {kept.source} in {kept.folder}, by {kept.who or 'somebody'}, {which_text(kept)}"
