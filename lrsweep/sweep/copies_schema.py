"""The tables that Optuna keeps its copies in: which version they have, and how they get to the newest one."""

from __future__ import annotations

from pathlib import Path

import optuna

from lrsweep.errors import StoreUnavailable
from lrsweep.redaction import without_secrets


def versions(url: str) -> tuple[str, str] | None:
    """What the tables have and what this Optuna wants; None where there are none. Nothing is made."""
    storage = _opened(url)
    return None if storage is None else (storage.get_current_version(), storage.get_head_version())


def upgrade(url: str) -> None:
    """As ``optuna storage upgrade`` does; the caller holds everybody else off."""
    storage = _opened(url)
    if storage is not None:
        storage.upgrade()


def _opened(url: str) -> optuna.storages.RDBStorage | None:
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    try:
        storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
        with storage.engine.connect() as connection:
            has_tables = storage.engine.dialect.has_table(connection, "alembic_version")
    except Exception as error:
        first = (without_secrets(str(error), url).strip().splitlines() or [""])[0]
        raise StoreUnavailable(
            f"Optuna's database cannot be opened: {type(error).__name__}: {first}. Check that it answers."
        ) from None
    return storage if has_tables else None
