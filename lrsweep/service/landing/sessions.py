"""Browsers that have signed in. A browser cannot send a token with a link that is clicked, so it shows one once and has
a cookie from then on.

The cookie is a random number that means nothing elsewhere: no token can be found from it, it ends with the service, and
it opens nothing once its token is revoked, for what is kept beside it is that token's digest. Scripts cannot read it
(``HttpOnly``), other sites cannot have it sent (``SameSite=Strict``), and it goes over TLS alone (``Secure``) unless
the browser asked this very machine. Its name has the service's port, as browsers tell hosts apart by name alone.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from lrsweep.service.guard import host_of, is_loopback_name, is_of_host

LASTS_SECONDS = 12 * 3600
"""A day's work; then one signs in again, however much one has clicked."""
MOST_OF_ONE_TOKEN = 20
"""Browsers; the one that signed in first gives way."""


class Sessions:
    """Safe in threads. In memory: whoever starts the service again ends all of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """by its key, the token's digest, and when it ends"""

    def begin(self, digest: str) -> str:
        """What the browser is to keep."""
        session = secrets.token_urlsafe(32)
        with self._lock:
            self._forget_ended()
            same = [key for key, (of, _) in self._begun.items() if of == digest]
            for key in same[: max(0, len(same) + 1 - MOST_OF_ONE_TOKEN)]:
                del self._begun[key]
            self._begun[_key(session)] = digest, self._clock() + LASTS_SECONDS
        return session

    def digest_of(self, session: str | None) -> str | None:
        """Of the token that the browser has shown; None where it has not, or too long ago."""
        if session is None:
            return None
        with self._lock:
            digest, ends_at = self._begun.get(_key(session), (None, 0.0))
        return digest if self._clock() < ends_at else None

    def end(self, session: str | None) -> None:
        if session is not None:
            with self._lock:
                self._begun.pop(_key(session), None)

    def _forget_ended(self) -> None:
        now = self._clock()
        for key in [key for key, (_, ends_at) in self._begun.items() if ends_at <= now]:
            del self._begun[key]


def _key(session: str) -> str:
    """A hash: how long a look-up takes says nothing of the number that it is of."""
    return hashlib.sha256(session.encode("utf-8", "replace")).hexdigest()


# ── the cookie ───────────────────────────────────────────────────────────────────────────────────────────────────────
def session_in(request: Request) -> str | None:
    """What the browser has kept."""
    for is_secure in (True, False):
        if (found := request.cookies.get(_name(request, is_secure=is_secure))) is not None:
            return found
    return None


def keep(response: Response, request: Request, session: str) -> None:
    secure = is_secure(request)
    response.set_cookie(
        _name(request, is_secure=secure),
        session,
        max_age=LASTS_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def drop(response: Response, request: Request) -> None:
    for secure in (True, False):
        response.delete_cookie(
            _name(request, is_secure=secure), path="/", secure=secure, httponly=True, samesite="strict"
        )


def is_secure(request: Request) -> bool:
    """Whether the cookie is to go over TLS alone: always, but where the browser asked this machine by name without it.
    A proxy may ask under this machine's name for a browser that came by TLS, which its Origin tells."""
    is_over_tls = request.headers.get("origin", "").startswith("https://")
    return is_over_tls or not is_loopback_name(host_of(request.headers.get("host")))


def is_own(request: Request) -> bool:
    """Whether the form that was sent is of this service, by what browsers say of where it stood. Programs say nothing
    of it, and have no cookie that could be abused."""
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or is_of_host(origin, request.headers.get("host"))


def _name(request: Request, *, is_secure: bool) -> str:
    _, port = request.scope.get("server") or ("", 0)
    return f"{'__Host-' if is_secure else ''}lrsweep-{port}"
