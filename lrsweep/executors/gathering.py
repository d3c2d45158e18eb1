"""Records on their way out of an engine's process, several at a time.

An engine tells of each evaluation. A small training has twenty of them in a few hundredths of a second, and a message
costs both processes as much as an update of it: what comes within ``SECONDS`` of a training's last message is kept back
for so long, and goes with what comes meanwhile.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lrsweep.records import Floats, Record

SECONDS = 0.2
"""Nobody who looks at a live view sees it."""


class Gathering:
    """The first record of a training goes at once, for then it runs; the last goes with all that was kept back."""

    def __init__(self, send: Callable[[object], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._kept: dict[str, list[Record]] = {}
        self._sent_at: dict[str, float] = {}
        self._due = math.inf
        """when something was kept back for long enough"""

    def add(self, record: Record) -> None:
        name, now = record.training_id, self._clock()
        kept = self._kept.get(name)
        if kept and record.first_step != kept[-1].first_step + len(kept[-1].rates):  # it takes something back
            self._flush(name)
        self._kept.setdefault(name, []).append(record)
        goes_at = self._sent_at.get(name, -math.inf) + SECONDS
        if record.outcome is None and now < goes_at:
            self._due = min(self._due, goes_at)
            return
        self._flush(name)
        self._sent_at[name] = now
        if record.outcome is not None:
            del self._sent_at[name]

    def tick(self) -> None:
        """To be called after each update: sends what has been kept back for long enough."""
        now = self._clock()
        if now < self._due:
            return
        self._due = math.inf
        for name in list(self._kept):
            goes_at = self._sent_at[name] + SECONDS
            if now >= goes_at:
                self._flush(name)
                self._sent_at[name] = now
            else:
                self._due = min(self._due, goes_at)

    def flush(self) -> None:
        """All that was kept back, of all trainings."""
        for name in list(self._kept):
            self._flush(name)

    def _flush(self, name: str) -> None:
        self._send(joined(self._kept.pop(name)))


def joined(records: Sequence[Record]) -> Record:
    """One record for several of a training, each of which begins where the one before it ends.

    A metric that some of them lack is NaN at their evaluations.
    """
    if len(records) == 1:
        return records[0]
    names = dict.fromkeys(name for each in records for name in each.evaluations)

    def values(of: Record, name: str) -> Floats:
        return of.evaluations.get(name, np.full(len(of.evaluation_steps), np.nan))

    return replace(
        records[-1],
        first_step=records[0].first_step,
        rates=np.concatenate([each.rates for each in records]),
        train_losses=np.concatenate([each.train_losses for each in records]),
        evaluation_steps=np.concatenate([each.evaluation_steps for each in records]),
        evaluations={name: np.concatenate([values(each, name) for each in records]) for name in names},
    )
