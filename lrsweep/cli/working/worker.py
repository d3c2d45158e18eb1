"""``lrsweep worker``: claims the sweeps that were asked for over HTTP and drives them, one after the other.

A worker may be killed at any moment: another one, or itself when it is started again, takes over the claim and the
same sweep goes on. SIGTERM and SIGINT end it in order: the sweep saves what runs, the claim goes back to the queue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from lrsweep.cli.signals import obeyed
from lrsweep.cli.working.claiming import Claim
from lrsweep.cli.working.driving import Driving, Ending, Over
from lrsweep.errors import Interrupted, LeaseLost, TryAgain, Unavailable
from lrsweep.redaction import masked
from lrsweep.store import Store
from lrsweep.store.patience import ANSWER_SECONDS
from lrsweep.store.queue import Queued
from lrsweep.sweep.owner import LEASE_SECONDS, is_dead, this_owner
from lrsweep.sweep.stopping import Stop

TURN_SECONDS = 5.0
"""After which one whose study somebody else drives is looked at again."""
FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0
"""After an outage, doubled each time."""
LEAVING_SECONDS = 5.0
"""After a signal, for a database that does not answer: then the claim runs out by itself."""


class Settled(Enum):
    """What the queue says of a claim's end."""

    DONE = "it is written"
    LOST = "the claim is another worker's"
    UNKNOWN = "the database has not answered in time"


class Leaving:
    """What a signal ends: the wait for work, or the driver that is at it. A claim's loss ends its driver alone."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._stop: Stop | None = None
        self._wish: int | None = None
        self._came = threading.Event()

    def begin(self) -> None:
        """The next claim: what was wished of the last one's driver is over."""
        self._stop, self._wish = None, None

    def on_ready(self, stop: Stop) -> None:
        self._stop = stop
        if (wish := self._wish if self.signum is None else self.signum) is not None:  # it came as the driver was called
            stop.signum = wish

    def end_driver(self, signum: int) -> None:
        self._wish = signum  # first: the driver is ready at any moment
        if self._stop is not None:
            self._stop.signum = signum

    def on_signal(self, signum: int) -> None:
        self.signum = signum
        self._came.set()
        self.end_driver(signum)

    def patience(self, silent_seconds: float) -> bool:
        """The worker's with a database that accepts and does not answer; its driver has one of its own."""
        return silent_seconds < (ANSWER_SECONDS if self.signum is None else LEAVING_SECONDS)

    def wait(self, seconds: float) -> None:
        """Until a signal has come."""
        self._came.wait(seconds)


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
        self._is_away = False

    def work(self, *, once: bool) -> None:
        """Until a signal comes; with ``once``, until nothing waits that could be claimed now."""
        while self._leaving.signum is None:
            try:
                claimed = self._store.queue.claim(self._owner, seconds=LEASE_SECONDS, is_dead=is_dead)
                self._tell_of_outage(None)
            except (TryAgain, Unavailable) as error:
                if once:
                    raise
                self._tell_of_outage(error)
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
        self._leaving.begin()
        claim = Claim(self._store, claimed, self._leaving.end_driver)
        try:
            with claim.kept():
                ending = self._driving.drive(self._store, claimed, self._leaving.on_ready)
        except Interrupted:
            settled = self._settled(lambda: self._store.queue.queue_again(claimed, is_attempt=False))
            if settled is Settled.DONE:
                self._say(f"{name}: saved, and queued again for the next worker")
        else:
            settled = self._settle(claimed, ending)
            if settled is Settled.DONE:
                self._tell(claimed, name, ending)
        finally:
            self._leaving.begin()
        if settled is Settled.LOST:
            self._say(f"{name}: another worker has taken it over; this one leaves it as it is")
        elif settled is Settled.UNKNOWN:
            self._say(
                f"{name}: the database does not answer: the claim runs out by itself, then the next worker goes on"
            )

    def _settle(self, claimed: Queued, ending: Ending) -> Settled:
        if isinstance(ending, Over):
            return self._settled(lambda: self._store.queue.end(claimed, ending.state, error=ending.sentence))
        seconds = TURN_SECONDS
        if ending.is_outage:
            seconds = self._waits[claimed.study] = min(LONGEST_WAIT, 2 * self._waits.get(claimed.study, FIRST_WAIT / 2))
        return self._settled(lambda: self._store.queue.queue_again(claimed, after_seconds=seconds, is_attempt=False))

    def _tell(self, claimed: Queued, name: str, ending: Ending) -> None:
        if isinstance(ending, Over):
            self._waits.pop(claimed.study, None)
            self._told.pop(claimed.study, None)
            sentence = "" if ending.sentence is None else f": {ending.sentence}"
            self._say(f"{name}: {ending.state.value}{sentence}")
        else:
            self._tell_once(claimed.study, f"{name}: it waits: {ending.why}")

    def _settled(self, change: Callable[[], object]) -> Settled:
        """Waits while the database is away; after a signal some seconds more, and then the claim is left to expire."""
        give_up: float | None = None
        while True:
            try:
                change()
            except LeaseLost:
                return Settled.LOST
            except (TryAgain, Unavailable) as error:
                self._tell_of_outage(error)
            else:
                self._tell_of_outage(None)
                return Settled.DONE
            if self._leaving.signum is None:
                self._leaving.wait(1.0)
                continue
            give_up = give_up or time.monotonic() + LEAVING_SECONDS
            if time.monotonic() >= give_up:
                return Settled.UNKNOWN
            time.sleep(0.2)

    def _tell_once(self, what: str, sentence: str) -> None:
        """Until it is another one, or over."""
        if self._told.get(what) != sentence:
            self._told[what] = sentence
            self._say(sentence)

    def _tell_of_outage(self, error: Exception | None) -> None:
        """Of the database, once until it is over: a server that comes back is away for one reason after the other."""
        if error is None and self._is_away:
            self._say("the database answers again")
        elif error is not None and not self._is_away:
            self._say(f"{masked(str(error))} The worker waits for it.")
        self._is_away = error is not None


def work(
    store: Store,
    driving: Driving,
    leaving: Leaving,
    *,
    once: bool,
    poll_seconds: float,
    say: Callable[[str], None],
) -> None:
    with obeyed(leaving.on_signal):
        with suppress(BrokenPipeError):
            say("lrsweep worker waits for sweeps that are asked for over HTTP. Ctrl-C stops it.")
        Worker(store, driving, leaving, poll_seconds=poll_seconds, say=say).work(once=once)
    if leaving.signum is not None:
        say("stopped")
