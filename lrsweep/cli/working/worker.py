"""``lrsweep worker``: claims the sweeps that were asked for over HTTP and drives them, one after the other.

A worker may be killed at any moment: another one, or itself when it is started again, takes over the claim and the
same sweep goes on. SIGTERM and SIGINT end it in order: the sweep saves what runs, the claim goes back to the queue.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lrsweep.cli.working.claiming import Claim
from lrsweep.cli.working.driving import Driving, Ending, Over
from lrsweep.errors import Interrupted, LeaseLost, TryAgain, Unavailable
from lrsweep.redaction import masked
from lrsweep.store import Store
from lrsweep.store.queue import Queued
from lrsweep.sweep.owner import LEASE_SECONDS, is_dead, this_owner
from lrsweep.sweep.stopping import Stop

TURN_SECONDS = 5.0
"""After which one whose study somebody else drives is looked at again."""
FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0
"""After an outage, doubled each time."""


class Leaving:
    """What a signal ends: the wait for work, or the driver that is at it."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._stop: Stop | None = None
        self._came = threading.Event()

    def on_ready(self, stop: Stop) -> None:
        self._stop = stop
        if self.signum is not None:  # it came as the driver was called
            stop.signum = self.signum

    def end_driver(self, signum: int) -> None:
        if self._stop is not None:
            self._stop.signum = signum

    def on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self.signum is not None:  # the second one: now
            os._exit(128 + signum)
        self.signum = signum
        self._came.set()
        self.end_driver(signum)

    def wait(self, seconds: float) -> None:
        self._came.wait(seconds)

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {each: signal.signal(each, self.on_signal) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class Worker:
    def __init__(
        self, store: Store, driving: Driving, leaving: Leaving, *, poll_seconds: float, say: Callable[[str], None]
    ) -> None:
        self._store = store
        self._driving = driving
        self._leaving = leaving
        self._poll_seconds = poll_seconds
        self._say = say
        self._owner = this_owner()
        self._waits: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def work(self, *, once: bool) -> None:
        """Until a signal comes; with ``once``, until nothing waits that could be claimed now."""
        while self._leaving.signum is None:
            try:
                claimed = self._store.queue.claim(self._owner, seconds=LEASE_SECONDS, is_dead=is_dead)
                self._tell_once("the database", None)
            except (TryAgain, Unavailable) as error:
                if once:
                    raise
                self._tell_once("the database", masked(str(error)))
                self._leaving.wait(max(self._poll_seconds, 1.0))
                continue
            if claimed is not None:
                self._work_on(claimed)
            elif once:
                return
            else:
                self._leaving.wait(self._poll_seconds)

    def _work_on(self, claimed: Queued) -> None:
        name = f"{claimed.study}, sweep {claimed.sweep_id}"
        if claimed.study not in self._told:
            self._say(f"{name}: claimed, asked for by {claimed.asked_by}")
        claim = Claim(self._store, claimed, self._leaving.end_driver)
        try:
            with claim.kept():
                ending = self._driving.drive(self._store, claimed, self._leaving.on_ready)
        except Interrupted:
            if not claim.is_lost:
                self._settled(lambda: self._store.queue.queue_again(claimed, is_attempt=False))
                self._say(f"{name}: saved, and queued again for the next worker")
            else:
                self._say(f"{name}: another worker has taken it over")
            return
        finally:
            self._leaving.on_ready(Stop())
        if self._settled(lambda: self._settle(claimed, ending)):
            self._tell(claimed, name, ending)

    def _settle(self, claimed: Queued, ending: Ending) -> None:
        if isinstance(ending, Over):
            self._store.queue.end(claimed, ending.state, error=ending.sentence)
            return
        seconds = TURN_SECONDS
        if ending.is_outage:
            seconds = self._waits[claimed.study] = min(LONGEST_WAIT, 2 * self._waits.get(claimed.study, FIRST_WAIT / 2))
        self._store.queue.queue_again(claimed, after_seconds=seconds, is_attempt=False)

    def _tell(self, claimed: Queued, name: str, ending: Ending) -> None:
        if isinstance(ending, Over):
            self._waits.pop(claimed.study, None)
            self._told.pop(claimed.study, None)
            sentence = "" if ending.sentence is None else f": {ending.sentence}"
            self._say(f"{name}: {ending.state.value}{sentence}")
        else:
            self._tell_once(claimed.study, f"{name}: it waits: {ending.why}")

    def _settled(self, change: Callable[[], object]) -> bool:
        """Waits while the database is away; whether the claim was still this worker's. A second signal leaves it to
        expire."""
        while True:
            try:
                change()
            except LeaseLost:
                return False
            except (TryAgain, Unavailable) as error:
                self._tell_once("the database", masked(str(error)))
                time.sleep(1.0)
            else:
                self._tell_once("the database", None)
                return True

    def _tell_once(self, what: str, sentence: str | None) -> None:
        """Until it is another one, or over."""
        if sentence is None:
            if self._told.pop(what, None) is not None:
                self._say(f"{what} answers again")
        elif self._told.get(what) != sentence:
            self._told[what] = sentence
            self._say(sentence)


def work(store: Store, driving: Driving, *, once: bool, poll_seconds: float, say: Callable[[str], None]) -> None:
    leaving = Leaving()
    with leaving.listening():
        with suppress(BrokenPipeError):
            say("lrsweep worker waits for sweeps that are asked for over HTTP. Ctrl-C stops it.")
        Worker(store, driving, leaving, poll_seconds=poll_seconds, say=say).work(once=once)
    if leaving.signum is not None:
        say("stopped")
