"""What each change of a queued sweep means: rows in, a row out; the same for every home of the queue."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from lrsweep.errors import LeaseLost
from lrsweep.records import Json
from lrsweep.store.queue import RUNS, Queued, QueueState
from lrsweep.store.rules import plain, storable_text

LONGEST_ERROR = 2000


def added(asked: Queued, of_study: Sequence[Queued], now: float) -> tuple[Queued, bool]:
    """``of_study``: the rows of its study. Whether it is new; a new one has no id yet."""
    if asked.idempotency_key is not None:
        for row in of_study:
            if (row.asked_by, row.idempotency_key) == (asked.asked_by, asked.idempotency_key):
                return row, False
    for row in of_study:
        if not row.state.is_over:
            raise ValueError(f"study {asked.study!r} has a sweep that is {row.state.value} already: {row.sweep_id}")
    options = plain(dict(asked.options), "the options of a queued sweep")
    fresh = Queued(asked.sweep_id, asked.study, asked.asked_by, asked.idempotency_key, options, at=now)
    if asked.state is QueueState.ENDED:
        return over(fresh, QueueState.ENDED, now, None), True
    return replace(fresh, is_cancelled=asked.is_cancelled), True


def held(row: Queued, now: float) -> bool:
    """Whether its time has not come: a worker's lease runs, or it waits for a moment that is ahead."""
    return row.expires_at is not None and row.expires_at > now


def claimed(rows: Sequence[Queued], owner: str, now: float, seconds: float, dead: Collection[str]) -> Queued | None:
    """The first of the rows that may be claimed, as this owner's; ``dead``: tokens whose workers are known to be."""
    for row in rows:
        is_free = row.state is QueueState.CLAIMED and row.token in dead
        if not row.state.is_over and (is_free or not held(row, now)):
            return replace(
                row,
                state=QueueState.CLAIMED,
                owner=owner,
                token=secrets.token_hex(16),
                expires_at=now + seconds,
                attempts=row.attempts + 1,
            )
    return None


def dead_claims(rows: Sequence[Queued], now: float, is_dead: Callable[[str], bool]) -> set[str]:
    """Tokens of claims that run, and whose worker is known to have died."""
    live = [row for row in rows if row.state is QueueState.CLAIMED and held(row, now)]
    return {row.token for row in live if row.token is not None and row.owner is not None and is_dead(row.owner)}


def check_claim(claim: Queued, row: Queued | None) -> Queued:
    """The row as it is stored. Raises LeaseLost unless the claim is still the one in force; one that has expired and
    that nobody took is."""
    if row is not None and row.state is QueueState.CLAIMED and row.token == claim.token:
        return row
    why = "is gone" if row is None else f"is {row.state.value}"
    if row is not None and row.state is QueueState.CLAIMED:
        why = f"has gone to {row.owner}"
    raise LeaseLost(f"{claim.owner} no longer works on sweep {claim.sweep_id} of study {claim.study!r}: it {why}.")


def running(row: Queued, text: Mapping[str, Json]) -> Queued:
    return replace(row, options=plain({**row.options, RUNS: dict(text)}, "the options of a queued sweep"))


def queued_again(row: Queued, now: float, after_seconds: float, *, is_attempt: bool) -> Queued:
    return replace(
        row,
        state=QueueState.QUEUED,
        owner=None,
        token=None,
        expires_at=now + after_seconds if after_seconds > 0 else None,
        attempts=row.attempts if is_attempt else row.attempts - 1,
    )


def over(row: Queued, state: QueueState, now: float, error: str | None) -> Queued:
    if not state.is_over:
        raise ValueError(f"{state.value} is no end of a queued sweep")
    told = None if error is None else storable_text(error)[:LONGEST_ERROR]
    return replace(row, state=state, expires_at=None, ended_at=now, error=told)


def cancelled(row: Queued, now: float, *, has_begun: bool) -> Queued:
    if row.state.is_over:
        raise ValueError(f"sweep {row.sweep_id} is {row.state.value} already")
    asked = replace(row, is_cancelled=True)
    is_workers = has_begun or row.state is QueueState.CLAIMED  # who ends the sweep as well
    return asked if is_workers else over(asked, QueueState.CANCELLED, now, None)


def unregistered(of_study: Sequence[Queued], now: float, dead: Collection[str]) -> list[Queued]:
    """What waits of a study, cancelled; so is what a worker has left."""
    waiting = [row for row in of_study if not row.state.is_over]
    for row in waiting:
        if row.state is QueueState.CLAIMED and row.token not in dead and held(row, now):
            raise ValueError(f"a worker has sweep {row.sweep_id} of study {row.study!r}")
    return [over(replace(row, is_cancelled=True), QueueState.CANCELLED, now, None) for row in waiting]


def newest(asked_for: Sequence[Queued], sweep_id: str) -> Queued:
    """Of the rows of one sweep, oldest first."""
    driven = [row for row in asked_for if not row.is_answer]
    if not driven:
        raise not_queued(sweep_id)
    return driven[-1]


def not_queued(sweep_id: str) -> KeyError:
    return KeyError(f"nobody has asked for a sweep {sweep_id!r}")
