"""Sweeps that are asked for over HTTP, and the studies that may be. Rows, one contract.

    queued ──> claimed (a worker's lease) ──> ended | failed
       └──> cancelled <──────┴──> queued again, where the worker died or was stopped

A claim is a lease: its worker renews it, and whoever asks for work takes over one that has expired or whose worker is
known to have died. Only who holds the claim's token ends it.

``queue_rules.py`` says what each change means, ``queue_memory.py`` and ``queue_sql.py`` keep the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lrsweep.records import Json

RUNS = "runs"
"""Of a queued sweep's options: which text the last worker of it began with."""


@dataclass(frozen=True)
class Registered:
    """A study that may be started over HTTP: nobody sends code, a path or a command over the network."""

    study: str
    folder: str
    """the working folder in which it was checked: paths in the text, and the file's own, are relative to it"""
    text: str
    """of the study's file, which was checked"""
    who: str | None = None
    source: str = ""
    """the file"""
    meaning: str = ""
    """as its workload said it, with the two below: whether a sweep of it goes on follows from them"""
    generation: str = ""
    spec: Mapping[str, Json] = field(default_factory=dict)
    id: int = 0
    at: float = 0.0

    @property
    def text_hash(self) -> str:
        """What ``sha256sum`` says of the file as it was, where it begins with no byte order mark."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class QueueState(StrEnum):
    QUEUED = "queued"
    CLAIMED = "claimed"
    ENDED = "ended"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self not in (QueueState.QUEUED, QueueState.CLAIMED)


@dataclass(frozen=True)
class Queued:
    """One sweep that was asked for."""

    sweep_id: str
    """of the sweep that it becomes, or goes on with"""
    study: str
    asked_by: str
    idempotency_key: str | None = None
    options: Mapping[str, Json] = field(default_factory=dict)
    state: QueueState = QueueState.QUEUED
    owner: str | None = None
    """the worker's process, see ``sweep.owner``"""
    token: str | None = None
    """of the claim, new with each"""
    expires_at: float | None = None
    """of the claim; of one that waits: not to be claimed before"""
    attempts: int = 0
    """times that a worker has begun with it, those left out where somebody else drove the study"""
    ended_at: float | None = None
    error: str | None = None
    """a sentence: why it failed, or came to its end early"""
    is_cancelled: bool = False
    """a wish: its worker, or the next one, ends the sweep"""
    id: int = 0
    at: float = 0.0

    @property
    def is_answer(self) -> bool:
        """It was over when it was added: what its key was answered, as nothing was to be driven."""
        return self.state is QueueState.ENDED and self.attempts == 0


class Queue(Protocol):
    """Every method is one transaction. Raises ``TryAgain`` and ``StoreUnavailable`` as the rest of the store does."""

    def register(self, study: Registered) -> Registered:
        """Adds the study, or puts it in the place of the one of that name."""

    def registered(self, study: str | None = None) -> Sequence[Registered]:
        """By name."""

    def registered_names(self) -> Sequence[str]:
        """In their order."""

    def unregister(self, study: str, *, is_dead: Callable[[str], bool] = lambda _: False) -> bool:
        """Takes it out, if it is in, and cancels what waits of it: whether there was either. What is over stays, for
        the keys that were used. Raises ValueError where a worker has one of it."""

    def add(self, asked: Queued) -> tuple[Queued, bool]:
        """Queues it; or finds the one that has its study, caller and idempotency key; whether it is new. Raises
        ValueError where another one of its study waits or is under way, or where JSON cannot hold its options. One
        whose state is ``ended`` keeps an answer and is never claimed."""

    def rows(self, study: str | None = None) -> Sequence[Queued]:
        """Oldest first."""

    def waiting(self) -> Sequence[Queued]:
        """Those that are not over, oldest first."""

    def row(self, sweep_id: str) -> Queued:
        """The newest that asked for the sweep to be driven. Raises KeyError where none did."""

    def claim(self, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False) -> Queued | None:
        """The oldest that waits, or whose worker's lease has expired or is known to be dead; None where there is
        nothing to do. ``is_dead`` is asked outside the transaction."""

    def renew(self, claimed: Queued, *, seconds: float) -> Queued:
        """As it is now: it may be to be cancelled. Raises LeaseLost where the claim has gone to another worker, or is
        over."""

    def runs(self, claimed: Queued, text: Mapping[str, Json]) -> Queued:
        """Keeps, in the options' ``RUNS``, which text its worker begins with. Raises LeaseLost."""

    def queue_again(self, claimed: Queued, *, after_seconds: float = 0.0, is_attempt: bool = True) -> Queued:
        """For another worker, or this one later, and not before so many seconds; ``is_attempt`` says whether this one
        counts. Raises LeaseLost."""

    def end(self, claimed: Queued, state: QueueState, *, error: str | None = None) -> Queued:
        """Raises LeaseLost."""

    def cancel(self, sweep_id: str, *, has_begun: bool = False) -> Queued:
        """One that waits is over; one that is claimed, or whose sweep has begun, gets the wish. Raises KeyError where
        nobody asked for it, ValueError where it is over."""
