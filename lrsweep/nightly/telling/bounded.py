"""Work that may never end, such as looking up the name of a host: waited for, and then left to itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Raises TimeoutError, and whatever ``work`` does. In a daemon thread, which no exit waits for."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # raised again where somebody waits
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="telling")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return done[0]
