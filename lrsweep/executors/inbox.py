"""What the driver has asked of an engine's process and was not yet taken up."""

from __future__ import annotations

import queue

from lrsweep.executors.messages import Describe, Drain, Measure, Prepare, Stop, Use
from lrsweep.records import TrainingPlan

Message = Prepare | Describe | TrainingPlan | Use | Stop | Measure | Drain


class Inbox:
    """In the order of asking. One thread puts, one takes: so the taker may be deep in a training, and still sees at
    once which trainings are to stop."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stopped: set[str] = set()
        self._drains = 0

    def put(self, message: Message) -> None:
        match message:
            case TrainingPlan():
                self._stopped.discard(message.training_id)  # meant an earlier attempt, which had ended by then
            case Stop(training_id):
                self._stopped.add(training_id)
            case Drain():
                self._drains += 1
        self._messages.put(message)

    def take(self, *, wait: bool) -> Message | None:
        """The next one; None where there is none and nobody waits."""
        try:
            message = self._messages.get(block=wait)
        except queue.Empty:
            return None
        if isinstance(message, Drain):
            self._drains -= 1
        return message

    def is_drained(self) -> bool:
        """Whether all is to give way: until the taker has come to that message."""
        return self._drains > 0

    def is_stopped(self, training_id: str) -> bool:
        return training_id in self._stopped
