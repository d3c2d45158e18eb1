"""Results that a command makes where there were none: a home that was mistyped begins them silently, so it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lrsweep.settings import Settings, make_homes
from lrsweep.store import Store, open_store
from lrsweep.store.patience import Patience, patient
from lrsweep.store.probing import Probed, probe
from lrsweep.sweep.homes import Homes


@contextmanager
def made_results(
    settings: Settings, say: Callable[[str], None], patience: Patience = patient
) -> Iterator[tuple[Homes, Store]]:
    """The homes and the opened store, which is closed at the end; ``say`` hears where they are new."""
    homes = make_homes(settings)
    before = probe(homes.results_url)
    store = open_store(homes.results_url, patience=patience)
    try:
        if not before.is_there:
            say(_told(before, homes))
        yield homes, store
    finally:
        store.close()


def _told(before: Probed, homes: Homes) -> str:
    if before.file is None:
        return f"there was no results database at {before.address}: its tables were made, and hold nothing yet"
    return f"there was no results database at {before.address}: a new home was made at {homes.folder}"
