"""Sweeps that are asked for over HTTP, and the studies that may be. Rows, rules, one contract.

    queued ──> claimed (a worker's lease) ──> ended | failed
       └──> cancelled        └──> queued again, where the worker died or was stopped

A claim is a lease: its worker renews it, and whoever asks for work takes over one that has expired or whose worker is
known to have died. Only who holds the claim's token ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lrsweep.records import Json


@dataclass(frozen=True)
class Registered:
    """A study that may be started over HTTP: nobody sends code, a path or a command over the network."""

    study: str
    folder: str
    """that the paths in the text are relative to"""
    text: str
    """of the study's file, which was checked"""
    who: str | None = None
    id: int = 0
    at: float = 0.0


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
    expires_at: float | None = None
    attempts: int = 0
    ended_at: float | None = None
    error: str | None = None
    """a sentence, of one that failed"""
    id: int = 0
    at: float = 0.0


class Queue(Protocol):
    """Every method is one transaction. Raises ``TryAgain`` and ``StoreUnavailable`` as the rest of the store does."""

    def register(self, study: Registered) -> Registered:
        """Adds the study, or puts it in the place of the one of that name."""

    def registered(self, study: str | None = None) -> Sequence[Registered]:
        """By name."""

    def add(self, asked: Queued) -> tuple[Queued, bool]:
        """Queues it; or finds the one that has its study, caller and idempotency key; whether it is new. Raises
        ValueError where another one of its study waits or is under way."""

    def rows(self, study: str | None = None) -> Sequence[Queued]:
        """Oldest first."""

    def row(self, sweep_id: str) -> Queued:
        """The newest that asked for the sweep. Raises KeyError where none did."""

    def claim(self, owner: str, *, seconds: float, is_dead: Callable[[str], bool] = lambda _: False) -> Queued | None:
        """The oldest that waits, or whose worker's lease has expired or is known to be dead; None where there is
        nothing to do. ``is_dead`` is asked outside the transaction."""

    def renew(self, claimed: Queued, *, seconds: float) -> None:
        """Raises LeaseLost where the claim has gone to another worker."""

    def queue_again(self, claimed: Queued) -> Queued:
        """For another worker, or this one later. Raises LeaseLost."""

    def end(self, claimed: Queued, state: QueueState, *, error: str | None = None) -> Queued:
        """Raises LeaseLost."""

    def cancel(self, sweep_id: str) -> Queued:
        """One that waits. Raises KeyError where none did ask for it, ValueError where it waits no more: then it is the
        sweep that is to be cancelled."""
