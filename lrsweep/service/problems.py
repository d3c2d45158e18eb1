"""Every refusal, as ``application/problem+json`` (RFC 9457): what was given, what is wanted, what to do.

Routes raise ``Refused``; what the rest of lrsweep raises becomes one here, and so does what FastAPI finds wrong. An
error that nobody expected is logged under a number, and the answer has the number alone (``shield.py``).
"""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from reprlib import repr as shortened
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from lrsweep.errors import InvalidInput, LrsweepError, StoreUnavailable, TryAgain, Unavailable, did_you_mean
from lrsweep.records import Json
from lrsweep.redaction import masked, public_text

MEDIA_TYPE = "application/problem+json"
VERSION = "/v1"
RETRY_SECONDS = 5
NAMES_TOLD = 50
LONGEST_GIVEN = 100

log = logging.getLogger("lrsweep.service")


class Refused(Exception):
    """An answer that is not what was asked for."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None, **more: Json
    ) -> None:
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more
        super().__init__(detail)


def unknown(kind: str, given: str, names: Sequence[str], remedy: str = "") -> Refused:
    """404, with the names that exist."""
    told = names[:NAMES_TOLD]
    there = f"There are: {', '.join(told)}." if told else "There is none yet."
    more = f" And {len(names) - NAMES_TOLD} more." if len(names) > NAMES_TOLD else ""
    detail = (
        f"there is no {kind} {quoted(given)}.{did_you_mean(given, told)} {there}{more}{f' {remedy}' if remedy else ''}"
    )
    return Refused(HTTPStatus.NOT_FOUND, detail)


def quoted(given: str) -> str:
    """What somebody sent, as far as a person wants to see it."""
    return repr(given if len(given) <= LONGEST_GIVEN else f"{given[:LONGEST_GIVEN]}…")


def refused_by(error: LrsweepError) -> Refused:
    """What the store, a choice or a schedule raised. Of a path in it the last part stays: who asks is on another
    machine."""
    said = public_text(masked(str(error)))
    if isinstance(error, StoreUnavailable | TryAgain | Unavailable):
        return Refused(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"Retry-After": str(RETRY_SECONDS)})
    if isinstance(error, InvalidInput):
        return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, said)
    return Refused(HTTPStatus.CONFLICT, said)


def away() -> Refused:
    """For whoever has shown no token: nothing of the database but that it cannot be read."""
    said = "the results cannot be read now. `lrsweep doctor`, on the machine of the service, says why."
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"Retry-After": str(RETRY_SECONDS)})


def unexpected(method: str, path: str, error: Exception) -> Refused:
    """500 with a number, under which the log has the error without what looks like a secret."""
    number = secrets.token_hex(4)
    told = masked("".join(traceback.format_exception(error)))
    log.error("error %s at %s %s\n%s", number, quoted(method), masked(quoted(path)), told)
    detail = f"this is a fault of the service, not of the request; its log has it under {number}."
    return Refused(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def unknown_in_query(strangers: Sequence[str], known: Sequence[str], route: str) -> Refused:
    """422, with the names that the route knows."""
    found = [
        _stranger(f"query.{name}", f"{route} takes no such parameter", name, known) for name in strangers[:NAMES_TOLD]
    ]
    return _invalid(found)


def _stranger(where: str, what: str, name: str, known: Sequence[str]) -> dict[str, Json]:
    """Without what it was given: that may be a token which somebody took for a parameter."""
    wanted = f"wanted are {', '.join(sorted(known))}" if known else "it takes none"
    return {
        "where": _short(where),
        "what": f"{what}; {wanted}.{did_you_mean(name[:LONGEST_GIVEN], known)}",
        "given": None,
    }


def body_of(refused: Refused) -> bytes:
    problem = {
        "type": "about:blank",
        "title": refused.status.phrase,
        "status": int(refused.status),
        "detail": refused.detail,
        **refused.more,
    }
    return json.dumps(problem, ensure_ascii=False).encode("utf-8", "replace")


def response_of(refused: Refused) -> Response:
    return Response(body_of(refused), int(refused.status), refused.headers, MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Puts every kind of error into this one form."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return response_of(error)

    async def raised(_: Request, error: Exception) -> Response:
        assert isinstance(error, LrsweepError)
        return response_of(refused_by(error))

    async def by_routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        if status is HTTPStatus.BAD_REQUEST:  # of a body that FastAPI could not parse, and of nothing else here
            said = "the body of the request cannot be read; wanted is one JSON object, in UTF-8."
            return response_of(Refused(HTTPStatus.UNPROCESSABLE_ENTITY, said))
        said = {
            HTTPStatus.NOT_FOUND: _nothing_at(request),
            HTTPStatus.METHOD_NOT_ALLOWED: _not_a_method(request, Headers(error.headers).get("allow", "")),
        }.get(status, str(error.detail))
        return response_of(Refused(status, said, headers=error.headers))

    async def not_as_wanted(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        kind = request.headers.get("content-type", "")
        if any(each.get("loc") == ("body",) for each in error.errors()) and not _is_json(kind):
            return response_of(_another_kind(kind))
        return response_of(invalid(error.errors(), _route_of(request), _fields_of(request)))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(LrsweepError, raised)
    app.add_exception_handler(HTTPException, by_routing)
    app.add_exception_handler(RequestValidationError, not_as_wanted)


def _nothing_at(request: Request) -> str:
    """With the address that was probably meant: the routes for programs begin with their version."""
    path = request.url.path
    bare = path.rstrip("/")
    meant = next((each for each in (f"{VERSION}{path}", bare, f"{VERSION}{bare}") if _is_route(request, each)), None)
    hint = "" if meant is None else f" Did you mean {quoted(meant)}?"
    return f"there is nothing at {quoted(path)}.{hint} /openapi.json lists what there is."


def _is_route(request: Request, path: str) -> bool:
    scope = {**request.scope, "path": path}
    return any(route.matches(scope)[0] is not Match.NONE for route in request.app.routes)


def _not_a_method(request: Request, allowed: str) -> str:
    wanted = f"; wanted is {allowed}" if allowed else ""
    return f"{quoted(request.url.path)} does not take {quoted(request.method)}{wanted}."


def _is_json(content_type: str) -> bool:
    """
    >>> _is_json("application/json; charset=utf-8"), _is_json("application/merge-patch+json"), _is_json("text/plain")
    (True, True, False)
    """
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _another_kind(content_type: str) -> Refused:
    given = f"the Content-Type is {quoted(content_type)}" if content_type else "the body has no Content-Type"
    return Refused(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"{given}; wanted is application/json, with one JSON object in UTF-8.",
        headers={"Accept-Post": "application/json"},
    )


def _route_of(request: Request) -> str:
    return f"{request.method} {request.scope['route'].path}"


def _fields_of(request: Request) -> list[str]:
    """Of the object that the route takes."""
    given = [each.field_info.annotation for each in request.scope["route"].dependant.body_params]
    models = [kind for each in given for kind in (each, *get_args(each)) if hasattr(kind, "model_fields")]
    return [name for model in models for name in model.model_fields]


def invalid(errors: Sequence[Any], route: str, fields: Sequence[str]) -> Refused:
    """What FastAPI found wrong, each with its place and what was given; ``fields`` are those of the object that the
    route takes."""
    return _invalid([_wrong(each, route, fields) for each in errors[:NAMES_TOLD]])


def _wrong(error: Any, route: str, fields: Sequence[str]) -> dict[str, Json]:
    place = [str(each) for each in error.get("loc", ())]
    where = ".".join(place)
    if error.get("type") == "extra_forbidden":
        return _stranger(where, f"the object of {route} has no such field", place[-1], fields)
    given = shortened(error["input"])[:LONGEST_GIVEN] if "input" in error else None
    return {"where": _short(where), "what": str(error.get("msg", "")), "given": given}


def _invalid(found: Sequence[dict[str, Json]]) -> Refused:
    told = [f"{each['where']}: {each['what']}{_not_given(each['given'])}" for each in found]
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(told), errors=list(found))


def _not_given(given: Json) -> str:
    return "" if given is None else f", not {given}"


def _short(where: str) -> str:
    return where if len(where) <= LONGEST_GIVEN else f"{where[:LONGEST_GIVEN]}…"
