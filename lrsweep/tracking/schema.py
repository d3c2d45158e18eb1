"""The tables of MLflow, where its database is ours: which version they have, and how they get to the newest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lrsweep.tracking.connection import load_mlflow, translated, usable


def versions(uri: str) -> tuple[str, str] | None:
    """What the tables have and what this MLflow wants; None where there are none. Nothing is made."""
    from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version

    engine = _opened(uri)
    if engine is None:
        return None
    try:
        with translated(uri):
            current = _get_schema_version(engine)  # type: ignore[no-untyped-call]
            return None if current is None else (str(current), str(_get_latest_schema_revision()))  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def upgrade(uri: str) -> None:
    """As ``mlflow db upgrade`` does, which would show the address to everybody who lists processes."""
    from mlflow.store.db.utils import _upgrade_db

    engine = _opened(uri)
    if engine is not None:
        try:
            with translated(uri):
                _upgrade_db(engine)  # type: ignore[no-untyped-call]
        finally:
            engine.dispose()


def _opened(uri: str) -> Any:
    """MLflow's own engine, or None where there is no file."""
    load_mlflow()
    from mlflow.store.db.utils import create_sqlalchemy_engine

    uri = usable(uri)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return None
    with translated(uri):
        return create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
