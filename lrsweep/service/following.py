"""What happens in a sweep, told as it happens: server-sent events, which a browser or ``curl -N`` can read.

    event: state            data: {"state": "queued", …}     where the sweep stands, at first and when it changes
    id: 812  event: …       data: {"at": …, "trial": 3, …}   a line of the study's history, of this sweep alone
    :                                                        nothing has happened for a while

The history has a number for each line, so whoever comes again with ``Last-Event-ID`` misses nothing. A stream ends when
the sweep is over, and after ten minutes anyway: who comes again is asked for a token that is still in force. A stream
holds no thread while it waits, and there are only so many.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from lrsweep.champion.history import when
from lrsweep.errors import LrsweepError
from lrsweep.records import Json
from lrsweep.redaction import names_a_secret, public
from lrsweep.service.problems import Refused
from lrsweep.service.starting import is_over, state_of_both, sweep_or_queued
from lrsweep.store import Event, Store

MEDIA_TYPE = "text/event-stream"
MOST_STREAMS, MOST_OF_ONE = 100, 10
LOOKS = 2
"""That read the store at a time: streams leave the other threads to others."""
LOOK_EVERY = 1.0
HEARTBEAT = 10.0
LONGEST = 600.0
COME_AGAIN = b"retry: 2000\n\n"
AT_ONCE = 100
LONGEST_TEXT = 1000
NOT_TOLD = ("owner", "host", "user", "pid", "who")
"""What says which machine or person it was."""


_PLAIN = re.compile(r"[a-z_]{1,32}|[0-9a-f]{8,64}")


class Streams:
    """Those that are open, by who opened them. Used in the server's one loop alone."""

    def __init__(self) -> None:
        self.looks = CapacityLimiter(LOOKS)
        self.is_closed = False
        self._open: Counter[str] = Counter()

    def open(self, caller: str) -> None:
        """Raises Refused (429) where there are too many."""
        if self._open.total() >= MOST_STREAMS or self._open[caller] >= MOST_OF_ONE:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._open[caller]} streams of yours and {self._open.total()} in all are open; wanted are "
                f"{MOST_OF_ONE} and {MOST_STREAMS} at most. Close one, or ask for GET /v1/sweeps/ID from time to time.",
                headers={"Retry-After": "10"},
            )
        self._open[caller] += 1

    def close(self, caller: str) -> None:
        self._open[caller] -= 1
        if self._open[caller] <= 0:
            del self._open[caller]

    def close_all(self) -> None:
        """The service stops: each ends at its next look."""
        self.is_closed = True


@dataclass(frozen=True)
class Look:
    """At a sweep, after an event that is known."""

    state: Mapping[str, Json]
    lines: bytes
    """of the events"""
    last: int
    """the number of the last of them"""
    has_more: bool
    is_over: bool


def look_at(store: Store, sweep_id: str, after: int) -> Look:
    """Raises Refused (404) for one that is not there. What stands in the rows is read first: whatever has led there is
    in the history by then."""
    sweep, row = sweep_or_queued(store, sweep_id)
    over = is_over(store, sweep, row)
    events = () if sweep is None else store.events_after(sweep, after, AT_ONCE)
    lines = b"".join(written(event.kind, public_event(event), number) for number, event in events)
    last, has_more = events[-1][0] if events else after, len(events) == AT_ONCE
    return Look(state_of_both(store, sweep, row), lines, last, has_more, over and not has_more)


def _looked(store: Callable[[], Store], sweep_id: str, after: int) -> Look:
    return look_at(store(), sweep_id, after)


async def told(streams: Streams, store: Callable[[], Store], sweep_id: str, after: int) -> AsyncIterator[bytes]:
    yield COME_AGAIN
    began = sent = time.monotonic()
    state: Mapping[str, Json] | None = None
    while not streams.is_closed and time.monotonic() - began < LONGEST:
        try:
            look = await run_sync(_looked, store, sweep_id, after, limiter=streams.looks)
        except LrsweepError:  # it may be back in a moment; who waits longer is told that nothing happens
            look = None
        except Refused:  # it was removed
            return
        lines = b""
        if look is not None:
            lines, after = look.lines, look.last
            if look.state != state:  # after what has led there: who leaves at the end has heard all
                state = look.state
                # of a sweep without a history, 0 is what there is to come after
                lines += written("state", state, 0 if look.is_over and after == 0 else None)
        if not lines and time.monotonic() - sent >= HEARTBEAT:
            lines = b":\n\n"
        if lines:
            yield lines
            sent = time.monotonic()
        if look is not None and look.is_over:
            return
        if look is None or not look.has_more:
            await asyncio.sleep(LOOK_EVERY)


def written(kind: str, data: Mapping[str, Json], number: int | None = None) -> bytes:
    """JSON has no line break of its own, so each event has one line of data.

    >>> written("state", {"state": "queued"}, 3)
    b'id: 3\\nevent: state\\ndata: {"state": "queued"}\\n\\n'
    """
    first = "" if number is None else f"id: {number}\n"
    return f"{first}event: {kind}\ndata: {json.dumps(dict(data), default=str)}\n\n".encode()


def public_event(event: Event) -> dict[str, Json]:
    """Without owners, machines, folders and secrets; of a traceback the last line."""
    data = {name: value for name, value in event.data.items() if name not in NOT_TOLD}
    if isinstance(data.get("error"), str):
        data["error"] = data["error"].strip().rpartition("\n")[2]
    texts = {name: value[:LONGEST_TEXT] for name, value in data.items() if _is_text(value)}
    others = {name: value for name, value in data.items() if _holds_text(value) or names_a_secret(name)}
    return {"at": when(event.at), "sweep": event.sweep_id, **data, **public({**texts, **others})}


def _holds_text(value: Json) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and not all(map(_is_plain, value)))


def _is_plain(value: Json) -> bool:
    return isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def _is_text(value: Json) -> bool:
    """What might hold more than a word of ours or an id; to look through each of those would take most of the time."""
    return isinstance(value, str) and not _is_plain(value)


class Stream(StreamingResponse):
    """Gives its place back however it ends."""

    def __init__(self, streams: Streams, caller: str, content: AsyncIterator[bytes]) -> None:
        super().__init__(content, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
        self._streams = streams
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.close(self._caller)
