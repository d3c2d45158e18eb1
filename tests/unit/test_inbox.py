"""What an engine's process was asked: in order, and a training that is to stop is known before its turn comes."""

from __future__ import annotations

from dataclasses import replace

from lrsweep.executors.inbox import Inbox, Message
from lrsweep.executors.messages import Drain, Stop, Use
from tests.trainings import PLAN


def test_messages_come_in_their_order_and_nobody_waits_for_none() -> None:
    """A stop too, for those who are not asked while they train."""
    inbox = Inbox()
    asked: list[Message] = [Use(4), PLAN, Stop("t")]
    for message in asked:
        inbox.put(message)
    assert [inbox.take(wait=True) for _ in asked] == asked
    assert inbox.take(wait=False) is None


def test_a_stop_is_known_at_once_and_meant_for_one_attempt() -> None:
    """It may cross the end of its training, and the next attempt is trained."""
    inbox = Inbox()
    inbox.put(PLAN)
    assert not inbox.is_stopped("t")
    inbox.put(Stop("t"))
    assert inbox.is_stopped("t")
    assert not inbox.is_stopped("other")
    inbox.put(replace(PLAN, attempt=2))
    assert not inbox.is_stopped("t")


def test_a_drain_is_known_at_once_and_over_when_it_is_taken_up() -> None:
    """A training that was sent before it gives way, one that is sent after it is trained."""
    inbox = Inbox()
    inbox.put(PLAN)
    inbox.put(Drain())
    assert inbox.is_drained()
    assert inbox.take(wait=True) == PLAN
    assert inbox.is_drained()
    assert inbox.take(wait=True) == Drain()
    assert not inbox.is_drained()
