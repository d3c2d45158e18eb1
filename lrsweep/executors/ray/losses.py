"""What a station takes with it when it ends: trainings that are not to blame, unless they end every station.

A node that leaves is no fault of what it trained, so it does not count among the deaths of which three fail a training.
One that fills the memory of its node may end the station and not the engine: it is counted once it has been lost so
often with no new step in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from lrsweep.executors.messages import Lost
from lrsweep.records import Record

FORGIVEN = 5


class Losses:
    def __init__(self) -> None:
        self._lost: Counter[str] = Counter()
        """stations, since the training's last new step"""
        self._steps: dict[str, int] = {}

    def heard(self, record: Record) -> None:
        if record.outcome is not None:
            self._steps.pop(record.training_id, None)
            del self._lost[record.training_id]
            return
        step = record.first_step + len(record.rates)
        if step > self._steps.get(record.training_id, 0):
            self._steps[record.training_id] = step
            del self._lost[record.training_id]

    def lose(self, trainings: Iterable[str], reason: str, begun: Container[str]) -> list[Lost]:
        """What was in line behind others has not begun, and is not counted."""
        lost = []
        for training in trainings:
            self._lost[training] += training in begun
            lost.append(Lost(training, reason, was_running=training in begun and self._lost[training] > FORGIVEN))
        return lost
