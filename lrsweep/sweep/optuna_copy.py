"""The copy of a study in Optuna's own storage, for optuna-dashboard and Optuna's tools: one per generation."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

from lrsweep.errors import StoreUnavailable
from lrsweep.redaction import without_secrets
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.search import TRIAL_ATTRIBUTE


def open_copy(url: str, study: ResolvedStudy) -> optuna.Study:
    """The copy, made where it is missing. Nothing in it is ever RUNNING: finished trials alone are added.

    Raises StoreUnavailable when Optuna cannot use the database.
    """
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        if url.startswith("sqlite"):
            with storage.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # kept in the file
        return optuna.create_study(
            storage=storage,
            study_name=copy_name(study),
            direction=study.direction,
            load_if_exists=True,
        )
    except Exception as error:
        raise _translated(error, url) from None


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


def copy_name(study: ResolvedStudy) -> str:
    """``digits@1a2b3c4d``: the study and its generation."""
    return f"{study.name}@{study.generation[:8]}"
