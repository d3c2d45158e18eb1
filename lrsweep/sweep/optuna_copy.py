"""The copy of a study in Optuna's own storage, for optuna-dashboard and Optuna's tools: one per generation.

Optuna takes no single trial out of a study and turns none round. Where that is wanted a new study is written beside the
copy and then takes its name, in one transaction: somebody else's trials, which no store of ours has, are never away.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import cast

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from lrsweep.errors import StoreUnavailable
from lrsweep.records import Direction, StudyRow
from lrsweep.redaction import without_secrets
from lrsweep.sqlite_files import write_ahead
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.search import TRIAL_ATTRIBUTE

FRESH, OLD = ".new", ".old"
"""Ends of the names of a copy that is being written, and of one that was replaced."""

MADE_BY_ANOTHER = ("already exists", "UNIQUE constraint failed", "duplicate key value", "database is locked")
"""What SQLite and PostgreSQL say of a table, or its version, that somebody else has just made."""
MAKING_SECONDS = 20.0
MAKING_PAUSE = 0.1


def open_copy(url: str, study: ResolvedStudy) -> optuna.Study:
    """The copy, made where it is missing. Nothing in it is ever RUNNING: finished trials alone are added.

    Raises StoreUnavailable when Optuna cannot use the database.
    """
    try:
        storage = _storage(url)
        if url.startswith("sqlite"):
            with storage.engine.connect() as connection:
                write_ahead(cast(sqlite3.Connection, connection.connection.driver_connection))
        name = copy_name(study)
        _tidy(storage, name)
        copy = optuna.create_study(storage=storage, study_name=name, direction=study.sense, load_if_exists=True)
        if copy.direction.name.lower() == study.sense:
            return copy
        # an earlier release gave it the metric's direction, which a time to a target does not share
        _replace(storage, copy, copy.get_trials(deepcopy=False), [study.sense], lambda: None)
        return optuna.load_study(study_name=name, storage=storage)
    except Exception as error:
        raise _translated(error, url) from None


def close_copy(copy: optuna.Study) -> None:
    """Gives its connections back, which Optuna keeps for as long as a process lives."""
    storage = getattr(copy._storage, "_backend", copy._storage)  # Optuna puts a cache around what it is given
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def without_trials(url: str, name: str, numbers: Collection[int], tick: Callable[[], None]) -> None:
    """Takes these trials of ours out of the copy of that name, and the copy away where none is left in it.

    Raises StoreUnavailable when Optuna cannot use the database. Whoever is killed in it calls it again.
    """
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return
    storage = None
    try:
        storage = _storage(url)
        _tidy(storage, name)
        if name not in optuna.get_all_study_names(storage):
            return
        copy = optuna.load_study(study_name=name, storage=storage)
        trials = copy.get_trials(deepcopy=False)
        stay = [trial for trial in trials if trial.user_attrs.get(TRIAL_ATTRIBUTE) not in numbers]
        if not stay:
            optuna.delete_study(study_name=name, storage=storage)
        elif len(stay) < len(trials):
            _replace(storage, copy, stay, copy.directions, tick)
    except Exception as error:
        if not _is_of_the_database(error):
            raise
        raise _translated(error, url) from None
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def copied_numbers(copy: optuna.Study) -> set[int]:
    """The numbers of our trials that are there; somebody may have added others."""
    try:
        trials = copy.get_trials(deepcopy=False)
        return {trial.user_attrs[TRIAL_ATTRIBUTE] for trial in trials if TRIAL_ATTRIBUTE in trial.user_attrs}
    except Exception as error:
        raise _translated(error) from None


def add_copy(copy: optuna.Study, trial: FrozenTrial) -> None:
    """Raises StoreUnavailable when Optuna's database does not take it."""
    try:
        copy.add_trial(trial)
    except Exception as error:
        if not _is_of_the_database(error):
            raise
        raise _translated(error) from None


def _storage(url: str) -> RDBStorage:
    """Of two processes that open a new database Optuna lets one fail over the tables that the other is making; it finds
    them there when it looks again."""
    give_up = time.monotonic() + MAKING_SECONDS
    while True:
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:
            if not any(sign in str(error) for sign in MADE_BY_ANOTHER) or time.monotonic() > give_up:
                raise
            time.sleep(MAKING_PAUSE)


def _replace(
    storage: RDBStorage,
    copy: optuna.Study,
    trials: Sequence[FrozenTrial],
    directions: Sequence[StudyDirection | Direction],
    tick: Callable[[], None],
) -> None:
    name, attributes = copy.study_name, copy.user_attrs
    fresh = optuna.create_study(study_name=f"{name}{FRESH}", storage=storage, directions=directions)
    for key, value in attributes.items():
        fresh.set_user_attr(key, value)
    for trial in trials:
        fresh.add_trial(trial)
        tick()
    replaced, new = (storage.get_study_id_from_name(each) for each in (name, f"{name}{FRESH}"))
    with storage.engine.begin() as connection:  # Optuna renames nothing
        for number, renamed in (
            (replaced, f"study_name || '{OLD}'"),
            (new, f"substr(study_name, 1, length(study_name) - {len(FRESH)})"),
        ):
            connection.exec_driver_sql(f"UPDATE studies SET study_name = {renamed} WHERE study_id = {int(number)}")  # noqa: S608 (our own)
    optuna.delete_study(study_name=f"{name}{OLD}", storage=storage)


def _tidy(storage: RDBStorage, name: str) -> None:
    """What a kill in the middle of ``_replace`` has left; the copy itself is whole."""
    for left in {f"{name}{FRESH}", f"{name}{OLD}"} & set(optuna.get_all_study_names(storage)):
        optuna.delete_study(study_name=left, storage=storage)


def _is_of_the_database(error: Exception) -> bool:
    """An outage passes; anything else is a fault that must be seen, and would otherwise be tried for ever."""
    home = type(error).__module__.partition(".")[0]
    known = isinstance(error, OSError | optuna.exceptions.StorageInternalError)
    return known or home in ("sqlalchemy", "sqlite3", "psycopg")


def _translated(error: Exception, url: str = "") -> StoreUnavailable:
    """Optuna lets the errors of SQLAlchemy, the driver and Alembic through; their first line says what happened.

    Without ``url``, which a study does not give back, passwords are recognised by where they stand alone.
    """
    lines = without_secrets(str(error), url).strip().splitlines() or [""]
    return StoreUnavailable(
        f"Optuna's storage cannot be used: {type(error).__name__}: {lines[0]}. It holds copies only; "
        "check that its database answers and may be written, then run the same command again."
    )


def copy_name(study: ResolvedStudy | StudyRow) -> str:
    """``digits@1a2b3c4d``: the study and its generation."""
    return f"{study.name}@{study.generation[:8]}"
