"""Times that a test has to keep short: where the machine slept through them, it is tried again with longer ones."""

from __future__ import annotations

from collections.abc import Callable

LONGER = 10.0


def in_time(attempt: Callable[[float], None]) -> None:
    """The attempt multiplies its times by what it is given: 1 first, and where that fails 10, whose failure is the
    test's. For what has no fact to wait for: a grace, a limit, a lease that runs out.
    """
    try:
        attempt(1.0)
    except Exception:
        attempt(LONGER)
