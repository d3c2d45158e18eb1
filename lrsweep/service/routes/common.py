"""What routes share: the parts that they stand on, who may call them, and the refusals that OpenAPI lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from unicodedata import category

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lrsweep.service.answers import Answers
from lrsweep.service.following import Streams
from lrsweep.service.guard import Guard
from lrsweep.service.kept import Kept, Made
from lrsweep.service.landing.gathering import Gathering
from lrsweep.service.landing.mlflow import Mlflow
from lrsweep.service.landing.sessions import Sessions, session_in
from lrsweep.service.metrics import Requests
from lrsweep.service.problems import MEDIA_TYPE, Refused, quoted, unknown_in_query
from lrsweep.service.results import Results
from lrsweep.service.shapes import Problem
from lrsweep.service.sources import Sources
from lrsweep.store.tokens import Scope

MOST_WAITING = 8
"""For one kind of work, some seconds at most."""
T = TypeVar("T")
BEARER = HTTPBearer(
    auto_error=False, description="A token of `lrsweep token create`. On loopback none is needed until one was made."
)


@dataclass(frozen=True)
class Parts:
    """What a service is made of."""

    results: Results
    sources: Sources
    guard: Guard
    answers: Answers
    kept: Kept[Made]
    requests: Requests
    previews: CapacityLimiter
    """those that compute at a time; the others wait without a thread"""
    writers: CapacityLimiter
    """those that start or cancel sweeps at a time"""
    sessions: Sessions
    """of browsers that have signed in"""
    gathering: Gathering
    """what ``/`` tells"""
    pages: Kept[Made]
    """of ``/``, for a moment each"""
    streams: Streams
    """of events, those that are open"""
    lookups: CapacityLimiter
    """in MLflow, which may be slow"""
    mlflow: Mlflow | None
    """None where no server has MLflow's pages"""
    version: str


def parts_of(request: Request) -> Parts:
    found: Parts = request.app.state.parts
    return found


def needs(scope: Scope, cost: float = 1.0) -> Any:
    """Whoever calls must have the scope; ``cost``: as how many requests one counts against the rate."""

    async def check(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]) -> None:
        await admitted(request, None if given is None else given.credentials, scope, cost)
        refuse_unprintable(request.path_params)
        refuse_unknown_query(request)

    check.__doc__ = f"Needs the scope {scope.value}."
    return Depends(check)


async def admitted(request: Request, token: str | None, scope: Scope, cost: float) -> None:
    """A browser that has signed in sends its cookie with whatever it asks, so that is heard of questions alone: no
    page, of anybody's, can start or change something with it."""
    parts = parts_of(request)
    may_be_signed_in = token is None and request.method == "GET" and scope is Scope.READ
    digest = parts.sessions.digest_of(session_in(request)) if may_be_signed_in else None
    address, host = address_of(request), request.headers.get("host")
    admit = partial(parts.guard.admit, token, scope, address=address, host=host, cost=cost, digest=digest)
    if parts.guard.is_fresh:
        caller = admit()  # a thread would cost more than all the rest of it
    else:
        caller = await run_sync(admit)
    request.state.caller = caller


async def in_line(limiter: CapacityLimiter, what: str, work: Callable[[], T]) -> T:
    """The work in a thread beside those of other requests, so many at a time. Raises Refused (429) where too many
    wait for their turn already."""
    if limiter.statistics().tasks_waiting >= MOST_WAITING:
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{MOST_WAITING} {what} wait for their turn already: ask again in a second.",
            headers={"Retry-After": "1"},
        )
    async with limiter:  # its place is taken at once; run_sync lets others look at the line first
        return await run_sync(work, limiter=CapacityLimiter(1))


def address_of(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def refuse_unprintable(given: Mapping[str, str]) -> None:
    """Nothing has such a name, and PostgreSQL takes no NUL."""
    for each in given.values():
        if any(category(sign) == "Cc" for sign in each):
            raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing named {quoted(each)}: no name has a control sign.")


def refuse_unknown_query(request: Request) -> None:
    """A name that is mistyped would be passed over, and the answer would be of another question. Health is asked
    without: what looks at it may put a word of its own behind the address."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    known = [each.alias for each in route.dependant.query_params]
    if strangers := [name for name in request.query_params if name not in known]:
        raise unknown_in_query(strangers, known, f"{request.method} {route.path}")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: those of every route, and these."""
    told: Mapping[int, str] = {
        401: "No token, or one that is not in force",
        403: "The token's scope is too small; or, without tokens, the host is another than localhost",
        404: "There is no such thing; the answer names what there is",
        405: "Another method",
        408: "The body did not come in time",
        409: "Nothing is known of it yet; or another one is in the way, or it is over",
        415: "A body that is no JSON",
        413: "The body is too large",
        422: "What was given cannot be meant",
        429: "Too many requests; Retry-After says when to ask again",
        503: "The database is away, or of another version; Retry-After says when to ask again",
    }
    return {
        status: {"description": told[status], "model": Problem, "content": {MEDIA_TYPE: {}}}
        for status in sorted({401, 403, 413, 422, 429, 503, *statuses})
    }
