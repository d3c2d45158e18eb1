"""How a worker's signals, and the loss of its claim, reach who drives; and what it does where the database is away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from lrsweep.cli.working.driving import Driving, Ending, Over
from lrsweep.cli.working.worker import Leaving, Worker
from lrsweep.errors import StoreUnavailable
from lrsweep.store import MemoryStore
from lrsweep.store.queue import Queued, QueueState
from lrsweep.sweep.stopping import Stop
from tests.commands import wait_for

LONGEST_SECONDS = 60.0


class Drives:
    """What a test does in the place of a driver."""

    def __init__(self, drive: Callable[[Queued, Callable[[Stop], None]], Ending]) -> None:
        self._drive = drive

    def drive(self, _store: object, claimed: Queued, on_ready: Callable[[Stop], None]) -> Ending:
        return self._drive(claimed, on_ready)


def a_worker(
    store: MemoryStore, leaving: Leaving, drive: Callable[[Queued, Callable[[Stop], None]], Ending]
) -> tuple[Worker, list[str]]:
    said: list[str] = []
    driving = cast(Driving, Drives(drive))
    return Worker(store, driving, leaving, poll_seconds=0.05, say=said.append), said


def test_a_claim_that_is_lost_before_its_driver_is_ready_ends_that_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as it is ready, and no driver of a later claim; the worker goes on."""
    monkeypatch.setattr("lrsweep.cli.working.claiming.RENEW_EVERY", 0.01)
    store, leaving = MemoryStore(), Leaving()
    for number in (1, 2):
        store.queue.add(Queued(f"sweep-{number}", f"study-{number}", "a test"))
    signals: list[int | None] = []

    def drive(claimed: Queued, on_ready: Callable[[Stop], None]) -> Ending:
        stop = Stop()
        if claimed.sweep_id == "sweep-1":
            other = store.queue.claim("another worker", seconds=600, is_dead=lambda _: True)
            assert other is not None
            wait_for(lambda: all(each.name != "claim" for each in threading.enumerate()))
        on_ready(stop)
        signals.append(stop.signum)
        stop.check()
        return Over(QueueState.ENDED)

    worker, said = a_worker(store, leaving, drive)
    worker.work(once=True)
    assert signals == [signal.SIGTERM, None]
    assert leaving.signum is None
    assert "another worker has taken it over; this one leaves it as it is" in said[1]
    assert [row.state for row in store.queue.rows()] == [QueueState.CLAIMED, QueueState.ENDED]


def test_a_signal_ends_a_worker_whose_database_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the database until the signal comes, tries some seconds more, and leaves its claim to run out."""
    monkeypatch.setattr("lrsweep.cli.working.worker.LEAVING_SECONDS", 0.5)
    store, leaving = MemoryStore(), Leaving()
    store.queue.add(Queued("sweep-1", "study-1", "a test"))
    tries: list[float] = []

    def away(*_: Any, **__: Any) -> Queued:
        tries.append(0)
        raise StoreUnavailable("the database does not answer.")

    monkeypatch.setattr(store.queue, "end", away)
    worker, said = a_worker(store, leaving, lambda *_: Over(QueueState.ENDED))
    working = threading.Thread(target=worker.work, kwargs={"once": False}, daemon=True)
    working.start()
    wait_for(lambda: len(tries) >= 2)
    assert working.is_alive()
    leaving.on_signal(signal.SIGTERM)
    working.join(LONGEST_SECONDS)
    assert not working.is_alive()
    assert store.queue.row("sweep-1").state is QueueState.CLAIMED
    assert said[-1].endswith("the claim runs out by itself, then the next worker goes on")
    assert sum("The worker waits for it" in each for each in said) == 1
