"""SQLite files that several processes use at the same time: ours, Optuna's copy, and MLflow's."""

from __future__ import annotations

import sqlite3
import time

BUSY_SECONDS = 20
BUSY_PAUSE = 0.01


def write_ahead(connection: sqlite3.Connection) -> None:
    """Readers and the one writer do not wait for each other; the file remembers it.

    Where anybody writes SQLite refuses to change a file's mode at once, without waiting as for any other lock: two
    processes that begin with the same new file would meet it.
    """
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(BUSY_PAUSE)
