"""How commands that only look reach the results: nothing is made, and what is not there is said in a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lrsweep.errors import LrsweepError, SettingsError, TryAgain, did_you_mean
from lrsweep.records import Json, StudyRow, SweepRow
from lrsweep.settings import Settings, results_url
from lrsweep.store import Store, open_store
from lrsweep.store.patience import Patience, patient
from lrsweep.store.probing import probe
from lrsweep.store.queue import Queued
from lrsweep.sweep.owner import driver_shown, is_dead


@contextmanager
def results(settings: Settings, patience: Patience = patient) -> Iterator[Store]:
    """The store of this home or database. Raises SettingsError where there is none."""
    url = results_url(settings)
    if not probe(url).is_there:
        where = settings.home if settings.database_url is None else "that database"
        raise SettingsError(
            f"there are no results in {where} yet. `lrsweep demo` or `lrsweep run STUDY` begins some; each demo has a "
            "home of its own, which it prints: set LRSWEEP_HOME to it."
        )
    store = open_store(url, patience=patience)
    try:
        yield store
    finally:
        store.close()


def newest_sweeps(store: Store) -> Mapping[str, SweepRow]:
    """The newest sweep of each study, the newest first."""
    names = dict.fromkeys(row.name for row in store.studies())
    found = {name: sweeps[-1] for name in names if (sweeps := store.sweeps(name))}
    return dict(sorted(found.items(), key=lambda each: -each[1].created_at))


def drivers(store: Store) -> Mapping[str, str]:
    """By study, who holds its lease, for people. A lease whose process is known to have died is nobody's."""
    held = store.holders().items()
    return {study: driver_shown(holder.owner) for study, holder in held if not is_dead(holder.owner)}


@dataclass(frozen=True)
class Request:
    """For a sweep, over HTTP: one that is not over."""

    study: str
    sweep: str
    state: str
    """``queued``, or ``claimed`` by a worker; ``ending`` where all that is wanted is its end"""

    def to_json(self) -> dict[str, Json]:
        return {"study": self.study, "sweep": self.sweep, "state": self.state}


def requests(store: Store) -> Mapping[str, Request]:
    """By study, which has one at most."""
    return {row.study: Request(row.study, row.sweep_id, _state(row)) for row in store.queue.waiting()}


def _state(row: Queued) -> str:
    """One that carries the wish to be cancelled begins nothing: who claims it ends the sweep."""
    return "ending" if row.is_cancelled else row.state.value


def without_sweep(store: Store) -> Mapping[str, str | None]:
    """Studies that have no sweep yet, and who starts one: a driver holds the lease for many seconds before it records
    anything. None where nobody does: a run that fails in those seconds can leave the study alone.
    """
    driven = drivers(store)
    names = dict.fromkeys([*driven, *(row.name for row in store.studies())])
    return {name: driven.get(name) for name in names if not store.sweeps(name)}


def chosen_sweep(store: Store, given: str | None, beginning: str | None = None) -> SweepRow:
    """The newest sweep of the study of that name, or of that file; without one, of all studies. With the beginning of
    an id, the study's sweep of that id.

    Raises TryAgain while a driver starts its first one, SettingsError where there is none, or more than one.
    """
    asked = requests(store)  # first: one that gets its sweep meanwhile is then in both, not in neither
    waiting = without_sweep(store)
    newest = newest_sweeps(store)
    known = list(dict.fromkeys([*newest, *waiting, *asked]))
    name = name_of(given) if given is not None else next(iter(known), None)
    if name is None or not known:
        raise SettingsError("no study has been run here yet. `lrsweep demo` or `lrsweep run STUDY` begins one.")
    if name in newest:
        return newest[name] if beginning is None else _sweep_named(store.sweeps(name), beginning)
    if name in known:
        raise _no_sweep_yet(name, waiting.get(name), asked.get(name))
    raise SettingsError(
        f"there are no results of a study {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}."
    )


def _sweep_named(sweeps: Sequence[SweepRow], beginning: str) -> SweepRow:
    """Of one study's sweeps."""
    found = [each for each in sweeps if beginning and each.sweep_id.startswith(beginning.lower())]
    if len(found) == 1:
        return found[0]
    many = f"{len(found)} sweeps" if found else "no sweep"
    there = ", ".join(each.sweep_id for each in reversed(sweeps))
    raise SettingsError(
        f"study {sweeps[0].study!r} has {many} whose id begins with {beginning!r}: give the beginning of one. There "
        f"are, the newest first: {there}."
    )


def is_superseded(store: Store, sweep: SweepRow) -> bool:
    """Whether a later sweep asked the same of the study: a driver goes on with the newest of those alone."""
    return (
        sweep.sweep_id
        != [each for each in store.sweeps(sweep.study) if each.generation == sweep.generation][-1].sweep_id
    )


def name_of(given: str) -> str:
    """A study's name, or the one that its file says."""
    return _name_in(Path(given)) if given.endswith(".toml") else given


def generation_of(store: Store, sweep: SweepRow) -> StudyRow:
    """The study as the sweep asked it."""
    return next(row for row in store.studies(sweep.study) if row.generation == sweep.generation)


def _no_sweep_yet(study: str, driver: str | None, request: Request | None) -> LrsweepError:
    if driver is not None:
        return TryAgain(
            f"a driver ({driver}) is starting study {study!r}, and nothing of it is recorded yet: look again in half a "
            "minute. `lrsweep cancel` waits for its sweep and ends it."
        )
    if request is not None:
        return TryAgain(
            f"a sweep of study {study!r} was asked for over HTTP and is {request.state}; nothing of it is recorded "
            "yet. `lrsweep worker` drives what is queued, `lrsweep cancel` takes it back."
        )
    return SettingsError(
        f"study {study!r} has no sweep: no run of it came so far. `lrsweep run` with its study file begins one."
    )


def _name_in(file: Path) -> str:
    instead = "Give the name of the study itself, as `lrsweep list` shows it"
    try:
        return str(tomllib.loads(file.read_bytes().decode("utf-8-sig"))["study"]["name"])
    except FileNotFoundError:
        raise SettingsError(f"there is no file {file}. {instead}, or the path of its file.") from None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}). {instead}.") from None
    except UnicodeDecodeError:
        raise SettingsError(
            f"{file} is not UTF-8, which TOML asks for. {instead}, or save the file as UTF-8."
        ) from None
    except (KeyError, TypeError):
        raise SettingsError(
            f"{file} does not say the name of a study: it has no `name` in [study]. {instead}."
        ) from None
    except ValueError as error:  # TOMLDecodeError is one; an integer of thousands of digits raises the plain one
        raise SettingsError(f"{file} is not TOML: {_with_place(str(error))}. {instead}, or mend the file.") from None


def _with_place(message: str) -> str:
    """The parser's message with its place first.

    >>> _with_place("Invalid value (at line 3, column 8)"), _with_place("Too long")
    ('in line 3, column 8: Invalid value', 'Too long')
    """
    reason, _, place = message.removesuffix(")").rpartition(" (at ")
    return message if not reason else f"{'in ' if place.startswith('line') else 'at the '}{place}: {reason}"
