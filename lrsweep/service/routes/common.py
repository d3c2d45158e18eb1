"""What routes share: the parts that they stand on, who may call them, and the refusals that OpenAPI lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any
from unicodedata import category

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lrsweep.service.answers import Answers
from lrsweep.service.guard import Guard
from lrsweep.service.kept import Kept
from lrsweep.service.metrics import Requests
from lrsweep.service.problems import MEDIA_TYPE, Refused, quoted
from lrsweep.service.results import Results
from lrsweep.service.shapes import Problem
from lrsweep.service.sources import Sources
from lrsweep.store.tokens import Scope

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
    kept: Kept
    requests: Requests
    previews: CapacityLimiter
    """those that compute at a time; the others wait without a thread"""
    version: str


def parts_of(request: Request) -> Parts:
    found: Parts = request.app.state.parts
    return found


def needs(scope: Scope, cost: float = 1.0) -> Any:
    """Whoever calls must have the scope; ``cost``: as how many requests one counts against the rate."""

    async def check(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]) -> None:
        token = None if given is None else given.credentials
        address = request.client.host if request.client is not None else ""
        host = request.headers.get("host")
        guard = parts_of(request).guard
        admit = partial(guard.admit, token, scope, address=address, host=host, cost=cost)
        if guard.is_fresh:
            admit()  # a thread would cost more than all the rest of it
        else:
            await run_sync(admit)
        _refuse_unprintable(request.path_params)

    check.__doc__ = f"Needs the scope {scope.value}."
    return Depends(check)


def _refuse_unprintable(given: Mapping[str, str]) -> None:
    """Nothing has such a name, and PostgreSQL takes no NUL."""
    for each in given.values():
        if any(category(sign) == "Cc" for sign in each):
            raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing named {quoted(each)}: no name has a control sign.")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: those of every route, and these."""
    told: Mapping[int, str] = {
        401: "No token, or one that is not in force",
        403: "The token's scope is too small; or, without tokens, the host is another than localhost",
        404: "There is no such thing; the answer names what there is",
        405: "Another method",
        408: "The body did not come in time",
        409: "Nothing is known of it yet",
        413: "The body is too large",
        422: "What was given cannot be meant",
        429: "Too many requests; Retry-After says when to ask again",
        503: "The database is away, or of another version; Retry-After says when to ask again",
    }
    return {
        status: {"description": told[status], "model": Problem, "content": {MEDIA_TYPE: {}}}
        for status in sorted({401, 403, 413, 422, 429, 503, *statuses})
    }
