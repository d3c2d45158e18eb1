"""The tables that Optuna keeps its copies in: which version they have, and how they get to the newest one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna

from lrsweep.errors import StoreUnavailable
from lrsweep.redaction import without_secrets
from lrsweep.store.upkeep import has_table


def versions(url: str) -> tuple[str, str] | None:
    """What the tables have and what this Optuna wants; None where there are none. Nothing is made."""
    with _opened(url) as storage:
        return None if storage is None else (storage.get_current_version(), storage.get_head_version())


def upgrade(url: str) -> None:
    """As ``optuna storage upgrade`` does; the caller holds everybody else off."""
    with _opened(url) as storage:
        if storage is not None:
            storage.upgrade()


@contextmanager
def _opened(url: str) -> Iterator[optuna.storages.RDBStorage | None]:
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        yield None
        return
    storage = None
    try:
        if has_table(url, "alembic_version"):  # Optuna's storage does not open where it is not
            storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
    except Exception as error:
        first = (without_secrets(str(error), url).strip().splitlines() or [""])[0]
        raise StoreUnavailable(
            f"Optuna's database cannot be opened: {type(error).__name__}: {first}. Check that it answers."
        ) from None
    try:
        yield storage
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()
