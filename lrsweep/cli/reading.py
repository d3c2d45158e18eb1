"""How commands that only look reach the results: nothing is made, and what is not there is said in a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lrsweep.errors import SettingsError, did_you_mean
from lrsweep.records import StudyRow, SweepRow
from lrsweep.settings import Settings, results_url
from lrsweep.store import Store, open_store
from lrsweep.store.probing import probe


@contextmanager
def results(settings: Settings) -> Iterator[Store]:
    """The store of this home or database. Raises SettingsError where there is none."""
    url = results_url(settings)
    if not probe(url).is_there:
        where = settings.home if settings.database_url is None else "that database"
        raise SettingsError(
            f"there are no results in {where} yet. `lrsweep demo` or `lrsweep run STUDY` begins some; each demo has a "
            "home of its own, which it prints: set LRSWEEP_HOME to it."
        )
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def newest_sweeps(store: Store) -> Mapping[str, SweepRow]:
    """The newest sweep of each study, the newest first."""
    names = dict.fromkeys(row.name for row in store.studies())
    found = {name: sweeps[-1] for name in names if (sweeps := store.sweeps(name))}
    return dict(sorted(found.items(), key=lambda each: -each[1].created_at))


def chosen_sweep(store: Store, given: str | None) -> SweepRow:
    """The newest sweep of the study of that name, or of that file; without one, of all studies."""
    newest = newest_sweeps(store)
    if not newest:
        raise SettingsError("no study has been run here yet. `lrsweep demo` or `lrsweep run STUDY` begins one.")
    if given is None:
        return next(iter(newest.values()))
    name = _name_in(Path(given)) if given.endswith(".toml") else given
    if name not in newest:
        raise SettingsError(
            f"there are no results of a study {name!r}.{did_you_mean(name, newest)} There are: {', '.join(newest)}."
        )
    return newest[name]


def generation_of(store: Store, sweep: SweepRow) -> StudyRow:
    """The study as the sweep asked it."""
    return next(row for row in store.studies(sweep.study) if row.generation == sweep.generation)


def _name_in(file: Path) -> str:
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8"))["study"]["name"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{file} does not say the name of a study ({type(error).__name__}: {error}); give the name itself, as "
            "`lrsweep list` shows it."
        ) from None
