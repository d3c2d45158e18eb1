"""Who may ask: a token with a scope, and so many requests a second for each.

On a loopback address no token is needed until the first one is made. A browser on that machine may be led there by a
foreign page whose name was pointed at 127.0.0.1, so without tokens the request has to name the machine itself. From the
first token on, revoked or not, every request needs one: revoking the last locks the door and does not take it off.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from urllib.parse import urlsplit

from lrsweep.errors import LrsweepError
from lrsweep.service.problems import Refused, away, quoted
from lrsweep.store import Store
from lrsweep.store.tokens import LONGEST, Scope, TokenRow, digest_of, found, found_by_digest

BELIEVED = 1.0
"""Seconds for which the tokens in the store are remembered: a revoked one opens nothing after that."""
MOST_CALLERS = 10_000
LARGEST_COST = 10.0
"""Requests that one request counts as, at most: whatever the rate, a full bucket has enough for any."""
FAILURES_PER_SECOND = 5.0
"""Of wrong tokens, from one address."""


@dataclass(frozen=True)
class Caller:
    name: str
    """of the token; of the address where no token is needed"""
    scope: Scope


class Buckets:
    """So many requests a second for each caller, and twice that at once, or as many as the largest costs. Safe in
    threads."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_for(self, caller: str, cost: float = 1.0) -> float:
        """Takes the cost and gives 0.0; or takes nothing, and gives the seconds until there is enough."""
        most = max(2 * self._per_second, LARGEST_COST)
        with self._lock:
            now = self._clock()
            left, at = self._left.pop(caller, (most, now))
            left = min(most, left + (now - at) * self._per_second)
            is_enough = left >= cost
            self._left[caller] = (left - cost if is_enough else left, now)
            while len(self._left) > MOST_CALLERS:
                self._left.popitem(last=False)
        return 0.0 if is_enough else (cost - left) / self._per_second


class Guard:
    """``is_local``: whether the service listens on loopback alone."""

    def __init__(
        self,
        store: Callable[[], Store],
        *,
        is_local: bool,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._is_local = is_local
        self._clock = clock
        self._asked = Buckets(per_second, clock)
        self._failed = Buckets(FAILURES_PER_SECOND, clock)
        self._per_second = per_second
        self._known: tuple[float, Sequence[TokenRow]] | None = None

    def admit(
        self,
        token: str | None,
        wanted: Scope,
        *,
        address: str,
        host: str | None,
        cost: float = 1.0,
        digest: str | None = None,
    ) -> Caller:
        """``digest``: of the token that a browser has signed in with, where none is sent; it allows to read alone.

        Raises Refused: 401 without a token that is in force, 403 where its scope is too small, 429 where the caller
        asks too often; and, where the database is away, 503 that says nothing of it to who is not known."""
        try:
            rows = self._rows()
        except LrsweepError:
            if self._has_known(token, host, digest):
                raise
            raise away() from None  # the error's text has the database's host and port
        is_open = self._is_local and not rows  # whatever is sent as a token, too: none was made yet
        if is_open:
            caller = _of_this_machine(address, host)
        elif token is None and digest is not None:
            caller = _of_session(rows, digest)
        elif token is None:
            raise _unauthorized("a token is needed, as the header `Authorization: Bearer TOKEN`.")
        else:
            caller = self._of_token(rows, token, address)
        if not caller.scope.allows(wanted):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                f"the token {caller.name!r} has the scope {caller.scope.value}; wanted is {wanted.value}. `lrsweep "
                f"token create NAME --scope {wanted.value}` makes one.",
            )
        if seconds := self._asked.wait_for(caller.name, cost):
            raise _too_many(seconds, f"more than {self._per_second:g} requests a second")
        return caller

    def sign_in(self, token: str, *, address: str, host: str | None, cost: float) -> str | None:
        """The digest with which a browser is admitted from now on; None where no token is needed. Raises as ``admit``
        does."""
        self.admit(token, Scope.READ, address=address, host=host, cost=cost)
        return None if self._is_local and not self._rows() else digest_of(token[:LONGEST])

    @property
    def is_fresh(self) -> bool:
        """Whether ``admit`` would answer without a look into the store."""
        return self._known is not None and self._clock() - self._known[0] < BELIEVED

    def _rows(self) -> Sequence[TokenRow]:
        now = self._clock()
        known = self._known
        if known is None or now - known[0] >= BELIEVED:
            known = self._known = (now, self._store().tokens.rows())
        return known[1]

    def _has_known(self, token: str | None, host: str | None, digest: str | None) -> bool:
        """By the tokens that were read last, before the database went away."""
        if self._known is None:
            return False
        _, rows = self._known
        if self._is_local and not rows:
            return is_loopback_name(host_of(host))
        if token is None:
            return digest is not None and found_by_digest(rows, digest) is not None
        return found(rows, token) is not None

    def _of_token(self, rows: Sequence[TokenRow], token: str, address: str) -> Caller:
        row = found(rows, token)
        if row is not None:
            return Caller(f"token {row.name}", row.scope)
        if seconds := self._failed.wait_for(address):
            raise _too_many(seconds, "too many wrong tokens from this address")
        raise _unauthorized("the token is not in force: it is wrong, or was revoked.")


def _of_session(rows: Sequence[TokenRow], digest: str) -> Caller:
    """With the token's rate, and whatever its scope allows, to read alone."""
    row = found_by_digest(rows, digest)
    if row is None:
        raise _unauthorized("the token that this browser has signed in with was revoked.")
    return Caller(f"token {row.name}", Scope.READ)


def _of_this_machine(address: str, host: str | None) -> Caller:
    if is_loopback_name(host_of(host)):
        return Caller(f"address {address}", Scope.ADMIN)
    raise Refused(
        HTTPStatus.FORBIDDEN,
        f"the request is for the host {quoted(host or '')}, and without tokens this service answers to localhost "
        "alone. `lrsweep token create NAME` makes a token; then every request needs one.",
    )


def is_loopback_name(host: str) -> bool:
    """
    >>> is_loopback_name("localhost"), is_loopback_name("127.0.0.2"), is_loopback_name("::1"), is_loopback_name("box")
    (True, True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str | None) -> str:
    """The name in a Host header, without its port.

    >>> host_of("localhost:8000"), host_of("[::1]:8000"), host_of(None)
    ('localhost', '::1', '')
    """
    given = header or ""
    if given.startswith("["):
        return given[1:].partition("]")[0]
    return given.partition(":")[0]


def is_of_host(origin: str, host: str | None) -> bool:
    """Whether a page of this origin, as a browser says it, is of the host that is asked. What is no origin is of none.

    >>> is_of_host("http://localhost:8000", "localhost:8000"), is_of_host("http://[", "["), is_of_host("null", "")
    (True, False, False)
    """
    try:
        given = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return given != "" and given == (host or "").lower()


def _unauthorized(why: str) -> Refused:
    return Refused(
        HTTPStatus.UNAUTHORIZED,
        f"{why} `lrsweep token create NAME` makes one, on the machine that has the results.",
        headers={"WWW-Authenticate": 'Bearer realm="lrsweep"'},
    )


def _too_many(seconds: float, why: str) -> Refused:
    wait = max(1, ceil(seconds))
    return Refused(HTTPStatus.TOO_MANY_REQUESTS, f"{why}: ask again in {wait} s.", headers={"Retry-After": str(wait)})
