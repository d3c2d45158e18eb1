"""Ctrl-C and SIGTERM: the first lets a command end in order, a later one ends it at once."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_SECONDS = 1.0
"""Within which one is the first again: ``timeout``, as others that end a whole process group, sends it to the command
and then to the group."""

Handler = Callable[[int, FrameType | None], None]


def obey(hear: Callable[[int], None]) -> None:
    """For the rest of the process."""
    leave = leaving(hear)
    for each in SIGNALS:
        signal.signal(each, leave)


@contextmanager
def obeyed(hear: Callable[[int], None]) -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    obey(hear)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def leaving(hear: Callable[[int], None]) -> Handler:
    numbers = itertools.count()  # one step, for the next signal may come at any moment of this one's
    first: list[float] = []

    def leave(signum: int, _frame: FrameType | None) -> None:
        if next(numbers) == 0:
            first.append(time.monotonic())
            hear(signum)
        elif first and time.monotonic() - first[0] > SAME_SECONDS:
            os._exit(128 + signum)

    return leave
