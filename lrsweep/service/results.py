"""The store that the service reads: opened once, and looked at again every second, for a database may go away, come
back, be another file, or be migrated by a newer lrsweep while the service runs."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence

from lrsweep.errors import LrsweepError, StoreUnavailable
from lrsweep.records import Json, SweepRow
from lrsweep.service.problems import unknown
from lrsweep.store import Store, open_store
from lrsweep.store.champions import Alias, ChampionRow, in_force
from lrsweep.store.models import SCHEMA_VERSION
from lrsweep.store.probing import Probed, probe

File = tuple[int, int]
"""A file whatever its name is: its device and its number there."""
LOOK_EVERY = 1.0
"""Seconds for which a look at the database is believed, a failure too: those who wait do not all knock."""


class Results:
    """Safe in threads. Opening raises StoreUnavailable, with the remedy, for a database of another version."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._store = open_store(url)
        self._file = _file_of(probe(url))
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._failure: LrsweepError | None = None

    def store(self) -> Store:
        """Raises StoreUnavailable where the database is away, or is no longer one that this release reads."""
        with self._lock:
            if self._clock() - self._looked_at >= LOOK_EVERY:
                self._failure = self._look()
                self._looked_at = self._clock()
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            return self._store

    def close(self) -> None:
        self._store.close()

    def _look(self) -> LrsweepError | None:
        try:
            found = probe(self._url)
        except LrsweepError as error:
            return error
        if found.is_current:
            return self._followed(_file_of(found))
        if not found.is_there:
            return StoreUnavailable(
                f"the results database {found.address} has no tables any more. Bring back a backup with `lrsweep db "
                "restore`, or start the service again to begin a new one."
            )
        return StoreUnavailable(
            f"the results database {found.address} has schema {found.schema_version}, and this service reads "
            f"{SCHEMA_VERSION}: another release has migrated it. Start the service again with that release."
        )

    def _followed(self, file: File | None) -> LrsweepError | None:
        """Opens the file that stands where ours did, as after a backup was brought back: ours is read to its end by
        whoever reads it now."""
        if file == self._file:
            return None
        try:
            new = open_store(self._url)
        except LrsweepError as error:
            return error
        old, self._store, self._file = self._store, new, file
        old.close()
        return None


def _file_of(found: Probed) -> File | None:
    """Of SQLite; None where it is gone, and on a server."""
    try:
        told = None if found.file is None else found.file.stat()
    except OSError:
        return None
    return None if told is None else (told.st_dev, told.st_ino)


# ── what is asked of it more than once ───────────────────────────────────────────────────────────────────────────────
def study_names(store: Store) -> list[str]:
    """In their order, those too of which a champion is all that is left, or that are registered and have not begun."""
    return sorted({*store.study_names(), *store.champions.names(), *store.queue.registered_names()})


def is_study(store: Store, name: str) -> bool:
    return bool(store.studies(name) or store.champions.rows(name) or store.queue.registered(name))


def champions_of(store: Store, name: str) -> dict[Alias, ChampionRow]:
    rows = store.champions.rows(name)
    return {alias: row for alias in Alias if (row := in_force(rows, name, alias)) is not None}


def sweep_of_id(store: Store, given: str) -> SweepRow:
    """Raises Refused (404) with the newest ids."""
    try:
        return store.sweep(given)
    except KeyError:
        pass
    raise unknown("sweep", given, store.sweep_ids())


def refuse_unknown(store: Store, name: str) -> None:
    """Raises Refused (404) with the names that there are."""
    if not is_study(store, name):
        raise unknown("study", name, study_names(store), "`lrsweep run` with a study's file begins one.")


def state_of(store: Store, study: str, sweeps: Sequence[SweepRow]) -> str:
    """A text that is another one whenever anything about the study's sweeps has changed: every change of a trial or a
    training leaves an event, and a sweep's settings are in its row."""
    last = [(event.at, event.kind, event.sweep_id, dict(event.data)) for event in store.last_events(study, 1)]
    of_sweeps: list[Json] = [
        (each.sweep_id, each.status.value, each.is_cancelled, dict(each.settings)) for each in sweeps
    ]
    return hashlib.sha256(json.dumps([last, of_sweeps], sort_keys=True, default=str).encode()).hexdigest()
