"""Server-sent events of a sweep, over as many connections as it takes: each is told once."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import IO

from lrsweep.errors import LrsweepError, Unavailable
from lrsweep.records import Json

AGAIN_SECONDS, GIVE_UP_SECONDS = 1.0, 60.0
LARGEST_LINE = 2**20

Open = Callable[[int | None], http.client.HTTPResponse | None]


def followed(opened: Open, after: int | None, state_now: Callable[[], dict[str, Json]]) -> Iterator[dict[str, Json]]:
    """All events after a number. Where the connection broke just before the last word of a sweep that is over, which
    has no number, ``state_now`` says it."""
    last, state = after, None
    has_heard = False
    heard_at = time.monotonic()
    garbled_at: float | None = None
    while True:
        try:
            answer = opened(last)
            if answer is None:
                if has_heard and (now := state_now()) != state:
                    yield now
                return
            with answer:
                for event in events_in(answer):
                    has_heard = True
                    is_state = event["event"] == "state"
                    if not is_state or event != state:  # each connection begins with where the sweep stands
                        last, garbled_at = event.get("id", last), None
                        yield event
                    state = event if is_state else state
                    if is_state and event.get("is_over"):
                        return
        except Unavailable:
            if time.monotonic() - heard_at > GIVE_UP_SECONDS:
                raise
        except LrsweepError:  # some of which are ValueErrors
            raise
        except (OSError, http.client.HTTPException):  # it broke off
            heard_at = time.monotonic()
        except (TypeError, ValueError) as error:
            heard_at = time.monotonic()
            garbled_at = garbled_at or heard_at
            if heard_at - garbled_at > GIVE_UP_SECONDS:
                raise Unavailable(
                    f"what the service tells after event {last or 0} cannot be read ({error}); wanted are events of a "
                    "service of this release. `lrsweep status` says where the sweep stands."
                ) from error
        else:
            heard_at = time.monotonic()
        time.sleep(AGAIN_SECONDS)


def events_in(lines: IO[bytes]) -> Iterator[dict[str, Json]]:
    """As they come; comments and what is cut off are none. Raises ValueError or TypeError for what is no event of
    ours."""
    kind, number, data = "message", "", ""
    while line := lines.readline(LARGEST_LINE):
        field, _, value = line.decode().rstrip("\r\n").partition(": ")
        if field == "event":
            kind = value
        elif field == "id":
            number = value
        elif field == "data":
            data += value
        elif not line.strip():
            if data:
                yield {**json.loads(data), "event": kind, **({"id": int(number)} if number else {})}
            kind, number, data = "message", "", ""
