"""Around every request: how large and how slow it may be, and the headers that every answer has.

A client that sends its body drop by drop, or does not read its answer, holds a connection and no thread: bodies are
read whole before a route begins, and answers are whole before they are sent. Either has ``PATIENCE`` seconds; so have a
request's headers (``listening.Patient``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lrsweep.service.metrics import NO_ROUTE, Requests
from lrsweep.service.problems import Refused, response_of, unexpected

LARGEST_BODY = 256 * 1024
PATIENCE = 10.0
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Of every answer, unless a route says it otherwise. CORS is off: no answer names an origin."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class _TooSlow(Exception):
    """The client did not read its answer."""


class Shield:
    def __init__(self, app: ASGIApp, requests: Requests, patience: float = PATIENCE) -> None:
        self._app = app
        self._requests = requests
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
            except TimeoutError:
                raise _TooSlow from None

        try:
            body = await self._body(scope, receive)
            await self._app(scope, _once(body, receive), answer)
        except Refused as refused:
            await response_of(refused)(scope, receive, answer)
        except (_TooSlow, _Gone):
            status = status or 499
        except Exception as error:  # raised any further it would be logged as it is, with what it holds of secrets
            fault = unexpected(scope["method"], scope["path"], error)
            if not status:
                await response_of(fault)(scope, receive, answer)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._requests.add(method, _route(scope), status, time.perf_counter() - began)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Raises Refused: 413 for one that is too large, 408 for one that is too slow."""
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > LARGEST_BODY:
            raise _too_large()
        found = bytearray()
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    found += message.get("body", b"")
                    if len(found) > LARGEST_BODY:
                        raise _too_large()
                    if not message.get("more_body", False):
                        return bytes(found)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body of the request did not come within {self._patience:g} s.",
                headers={"Connection": "close"},
            ) from None


class _Gone(Exception):
    """The client has left before it had asked."""


def _once(body: bytes, receive: Receive) -> Receive:
    """What was read, and then whatever comes: that the client has left, at last."""
    is_told = False

    async def again() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _too_large() -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body of the request has more than {LARGEST_BODY:,} bytes.",
        headers={"Connection": "close"},
    )


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", NO_ROUTE))
