"""Pages for people: the front page, the way in where tokens are needed, and the way to MLflow's pages.

They are no part of what programs may rely on, and not in ``/openapi.json``. Whatever is refused here is told as a page.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Request, Response, Security
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials

from lrsweep.errors import LrsweepError
from lrsweep.service.kept import Made
from lrsweep.service.landing.frame import headers
from lrsweep.service.landing.page import landing_page
from lrsweep.service.landing.sessions import drop, is_own, is_secure, keep, session_in
from lrsweep.service.landing.signing import refusal_page, sign_in_page
from lrsweep.service.problems import Refused, refused_by
from lrsweep.service.routes.common import BEARER, Parts, address_of, admitted, in_line, parts_of, refuse_unprintable
from lrsweep.store.tokens import Scope

BELIEVED = 2.0
"""Seconds for which a page is given again: it is made of some hundred questions to the store."""
PAGE_COSTS = 5.0
SIGNING_IN_COSTS = 2.0
"""Requests that one counts as: at any rate there is enough left for the page that follows."""
FORM = "application/x-www-form-urlencoded"

router = APIRouter(include_in_schema=False)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
Route = Callable[..., Awaitable[Response]]


def for_people(route: Route) -> Route:
    """Refusals become pages; who has not shown a token is led to where one does."""

    @wraps(route)
    async def answered(request: Request, *args: Any, **kwargs: Any) -> Response:
        try:
            return await route(request, *args, **kwargs)
        except Refused as error:
            refused = error
        except LrsweepError as error:
            refused = refused_by(error)
        if refused.status is HTTPStatus.UNAUTHORIZED:
            return _to("/login")
        return HTMLResponse(refusal_page(refused), refused.status, {**headers(), **refused.headers})

    return answered


@router.get("/")
@for_people
async def get_front_page(
    request: Request,
    given: Bearer,
    cursor: str | None = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    parts = parts_of(request)
    await admitted(request, _token(given), Scope.READ, PAGE_COSTS)
    is_signed_in = parts.sessions.digest_of(session_in(request)) is not None
    made = await run_sync(_made, parts, cursor, is_signed_in)
    answer = {**headers(), "ETag": made.etag, "Cache-Control": "private, no-cache"}
    if made.is_known_by(if_none_match):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=answer)
    return HTMLResponse(made.body, headers=answer)


@router.get("/mlflow/{name}")
@for_people
async def get_mlflow(request: Request, name: str, given: Bearer) -> Response:
    """On to MLflow's page of the study, which is asked for where that is."""
    parts = parts_of(request)
    await admitted(request, _token(given), Scope.READ, PAGE_COSTS)
    refuse_unprintable(request.path_params)
    if parts.mlflow is None:
        raise Refused(
            HTTPStatus.NOT_FOUND,
            "this service knows no MLflow server: MLFLOW_TRACKING_URI names one. `lrsweep ui STUDY` opens MLflow's "
            "pages on the results of this machine.",
        )
    view_of = parts.mlflow.view_of
    return _to(await in_line(parts.lookups, "looks into MLflow", lambda: view_of(parts.results.store(), name)))


@router.get("/login")
@for_people
async def get_sign_in(request: Request) -> Response:
    try:
        await admitted(request, None, Scope.READ, 1.0)
    except Refused as refused:
        if refused.status is not HTTPStatus.UNAUTHORIZED:
            raise
        return _sign_in_again(request)
    return _to("/")


@router.post("/login")
@for_people
async def sign_in(request: Request) -> Response:
    parts = parts_of(request)
    _refuse_foreign(request)
    token = await _posted_token(request)
    if not token:
        return _sign_in_again(request, HTTPStatus.UNPROCESSABLE_ENTITY, "A token is wanted: lrs_ and 43 signs.")
    try:
        digest = await run_sync(
            partial(
                parts.guard.sign_in,
                token,
                address=address_of(request),
                host=request.headers.get("host"),
                cost=SIGNING_IN_COSTS,
            )
        )
    except Refused as refused:
        if refused.status is not HTTPStatus.UNAUTHORIZED:
            raise
        return _sign_in_again(request, HTTPStatus.UNAUTHORIZED, "This token is not in force: it is wrong, or revoked.")
    answer = _to("/")
    if digest is not None:
        parts.sessions.end(session_in(request))
        keep(answer, request, parts.sessions.begin(digest))
    return answer


@router.post("/logout")
@for_people
async def sign_out(request: Request) -> Response:
    _refuse_foreign(request)
    parts_of(request).sessions.end(session_in(request))
    answer = _to("/login")
    drop(answer, request)
    answer.headers["Clear-Site-Data"] = '"cache"'  # else the browser's way back shows the page
    return answer


def _made(parts: Parts, cursor: str | None, is_signed_in: bool) -> Made:
    store = parts.results.store()

    def make() -> Made:
        found = parts.gathering.landing(store, cursor)
        page = landing_page(
            found, version=parts.version, has_mlflow=parts.mlflow is not None, is_signed_in=is_signed_in
        )
        return Made.of(page, "text/html")

    return parts.pages.get((store, cursor, is_signed_in, int(time.monotonic() // BELIEVED)), make)


async def _posted_token(request: Request) -> str:
    """As forms send it; a line break of a paste is no part of it."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a form is wanted here, as {FORM} with the field `token`.")
    try:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
    except ValueError:
        fields = {}
    return fields.get("token", [""])[0].strip()


def _refuse_foreign(request: Request) -> None:
    if not is_own(request):
        raise Refused(HTTPStatus.FORBIDDEN, "the form that was sent stood on another site; this one has its own.")


def _sign_in_again(request: Request, status: HTTPStatus = HTTPStatus.OK, problem: str | None = None) -> Response:
    return HTMLResponse(sign_in_page(problem, needs_tls=is_secure(request)), status, headers())


def _to(address: str) -> RedirectResponse:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


def _token(given: HTTPAuthorizationCredentials | None) -> str | None:
    return None if given is None else given.credentials
