"""How long a PostgreSQL that accepts and never answers is waited for; SQLite waits for nobody but other writers."""

from __future__ import annotations

from collections.abc import Callable

ANSWER_SECONDS = 30.0
"""Of silence, for a statement of the store: also behind a lock that a stopped process holds."""
UPKEEP_SECONDS = 600.0
"""For a migration's statements, a backup's, those of a check and of a removal, which read or rewrite whole tables."""

Patience = Callable[[float], bool]
"""Whether to wait on for a database that has been silent for so many seconds; with 0, whether to connect to it."""


def patient(silent_seconds: float) -> bool:
    return silent_seconds < ANSWER_SECONDS


def very_patient(silent_seconds: float) -> bool:
    return silent_seconds < UPKEEP_SECONDS
