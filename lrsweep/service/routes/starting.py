"""Starting a sweep of a registered study, and ending one. Both only write what is wanted: workers do it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Request, Response

from lrsweep.records import Json
from lrsweep.service.guard import is_of_host
from lrsweep.service.problems import Refused, quoted
from lrsweep.service.routes.common import in_line, needs, parts_of, refusals
from lrsweep.service.shapes import CancelAnswer, StartAnswer, StartQuestion
from lrsweep.service.starting import Wish, cancelled, started
from lrsweep.store.tokens import Scope
from lrsweep.study.durations import seconds_of

LONGEST_KEY = 200
WORK = "requests that start or cancel sweeps"
LONGEST_DEADLINE = 10.0**8
"""About three years."""


async def of_this_origin(request: Request) -> None:
    """Where no token is needed, a page of anybody's could start sweeps through the browser of who looks at it; a
    browser says of whom the page is."""
    origin = request.headers.get("origin")
    if origin is not None and not is_of_host(origin, request.headers.get("host")):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            f"the request comes from a page of {quoted(origin)}, and pages start nothing here.",
        )


router = APIRouter(prefix="/v1", tags=["sweeps"], dependencies=[needs(Scope.RUN), Depends(of_this_origin)])


@router.post(
    "/studies/{name}/sweeps",
    response_model=StartAnswer,
    status_code=202,
    responses={
        200: {"model": StartAnswer, "description": "Asked for before with this key; or finished, with nothing to do"},
        **refusals(404, 409, 415),
    },
    summary="Start a sweep, or go on with the unfinished one",
)
async def post_sweep(
    request: Request,
    response: Response,
    name: str,
    asked: Annotated[StartQuestion | None, Body()] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=LONGEST_KEY,
            pattern=r"^[!-~]+$",
            description="Any text of yours, new for each sweep that is wanted: the same question with the same key is "
            "answered alike and starts nothing more.",
        ),
    ] = None,
) -> dict[str, Json]:
    """Of a study that `lrsweep register` or `lrsweep run` has registered. It waits for a worker (`lrsweep worker`); the
    answer's `sweep` is what to follow."""
    question = asked or StartQuestion()
    wish = Wish(name, request.state.caller.name, idempotency_key, _seconds(question.deadline), question.another)
    parts = parts_of(request)
    found, is_new = await in_line(parts.writers, WORK, lambda: started(parts.results.store(), wish))
    response.status_code = HTTPStatus.ACCEPTED if is_new else HTTPStatus.OK
    response.headers["Location"] = f"/v1/sweeps/{found['sweep']}"
    return dict(found)


@router.post(
    "/sweeps/{sweep_id}/cancel",
    response_model=CancelAnswer,
    status_code=202,
    responses=refusals(404, 409),
    summary="End a sweep for good; what it found stays",
)
async def post_cancel(request: Request, sweep_id: str) -> dict[str, Json]:
    """One that waits is cancelled at once; one that runs saves what it trains first. 409 for one that is over."""
    parts, caller = parts_of(request), request.state.caller.name
    return dict(await in_line(parts.writers, WORK, lambda: cancelled(parts.results.store(), sweep_id, caller)))


def _seconds(deadline: str | None) -> float | None:
    if deadline is None:
        return None
    seconds = seconds_of(deadline)
    if seconds is None or seconds > LONGEST_DEADLINE:
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"deadline is {quoted(deadline)}; wanted a time above 0 such as '90s', '10m' or '6h'.",
        )
    return seconds
