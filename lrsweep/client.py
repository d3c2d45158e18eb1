"""A small client of the service (``lrsweep serve``): numpy and the standard library alone.

    client = Client("http://127.0.0.1:8000", token="lrs_…")
    found = client.schedule("digits")              # found.recommended, found.evidence, found.rates
    found.choice.torch(optimizer, total_steps)     # the same choice that lrsweep.load_choice gives

    sweep = client.start("digits", key="2026-11-20")["sweep"]    # a worker drives it
    for event in client.events(sweep): ...                       # as it happens, to its end
    client.wait(sweep)["state"]                                  # or just wait

An answer that was asked for before is asked for again by its ETag, and costs a few bytes where it still holds.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Any, NoReturn, cast
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import numpy as np

from lrsweep.champion.reading import from_json
from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import InvalidInput, LrsweepError, SettingsError, TryAgain, Unavailable
from lrsweep.records import Floats, Json
from lrsweep.redaction import public_link, without_secrets

TOKEN = "LRSWEEP_TOKEN"  # noqa: S105 (the name of a variable)
TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER = 64 * 2**20
MOST_REMEMBERED = 100
MOST_REMEMBERED_BYTES = 8 * 2**20
TRY_AGAIN = (408, 409, 429)
SILENCE_SECONDS = 30.0
AGAIN_SECONDS, GIVE_UP_SECONDS = 1.0, 60.0
LARGEST_LINE = 2**20
WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Scheduled:
    """Which schedule to use for a study, and how far that is shown."""

    study: str
    source: str
    """``champion``, or ``sweep`` where nothing was promoted"""
    recommended: str
    """the family"""
    evidence: str | None
    """``proven``, ``recommended`` or ``undecided``"""
    n: int | None
    """seeds"""
    horizon: int
    peak_lr: float
    rates: Floats | None
    """one for each update; None where the schedule reacts to a metric, or has very many steps"""
    notes: tuple[str, ...]
    """such as that the horizon is not the one that it was found on"""
    choice: ChampionChoice
    """with optimizer, batch size and the whole evidence; ``choice.torch(optimizer, total_steps)`` trains with it"""


class Client:
    """``url`` is where the service listens; without a ``token``, that of the variable ``LRSWEEP_TOKEN`` is sent.

    Every method raises SettingsError for a question that cannot be meant or is not allowed, with the service's own
    words; TryAgain where it says to ask later; Unavailable where it does not answer, or something else does.

    Proxies of the environment (``https_proxy``) are used for https alone: of plain http they would read the token.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        if not _is_address(url):
            raise InvalidInput(f"Client: url is {public_link(url)!r}; wanted is such as 'http://127.0.0.1:8000'.")
        self._url = url.rstrip("/")
        self._token = _checked_token(token)
        self._timeout = timeout
        proxies = [] if _may_use_proxies(url) else [urllib.request.ProxyHandler({})]
        self._opener = urllib.request.build_opener(_NoRedirects, *proxies)
        self._remembered: dict[str, tuple[str, bytes]] = {}

    # ── studies ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def studies(self) -> Iterator[dict[str, Json]]:
        """All of them by name, page by page."""
        cursor: str | None = None
        while True:
            page = self._json("/v1/studies", limit=100, cursor=cursor)
            with self._as_expected():
                studies, cursor = list(page["studies"]), page["next"]
            yield from studies
            if cursor is None:
                return

    def study(self, name: str) -> dict[str, Json]:
        """Where it stands, its champion and its sweeps."""
        return self._json(f"/v1/studies/{quote(name, safe='')}")

    def schedule(self, name: str, horizon: int | None = None) -> Scheduled:
        """The champion, or what the newest sweep recommends; on another horizon the measured exponent moves its peak,
        as ``notes`` say."""
        found = self._json(f"/v1/studies/{quote(name, safe='')}/schedule", horizon=horizon)
        with self._as_expected():
            rates = found["rates"]
            return Scheduled(
                study=found["study"],
                source=found["source"],
                recommended=found["recommended"],
                evidence=found["evidence"],
                n=found["n"],
                horizon=found["horizon"],
                peak_lr=found["peak_lr"],
                rates=None if rates is None else np.array(rates, dtype=np.float64),
                notes=tuple(found["notes"]),
                choice=from_json(found["choice"], f"{name!r} of {public_link(self._url)}"),
            )

    def export(self, name: str, form: str, horizon: int | None = None) -> str:
        """As ``lrsweep export --to FORM`` writes it: code for a library, or ``csv``."""
        return self._text(f"/v1/studies/{quote(name, safe='')}/schedule", horizon=horizon, format=form)

    # ── sweeps ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def sweep(self, sweep_id: str) -> dict[str, Json]:
        return self._json(f"/v1/sweeps/{quote(sweep_id, safe='')}")

    def start(
        self, name: str, *, key: str | None = None, deadline: str | None = None, another: bool = False
    ) -> dict[str, Json]:
        """Starts a sweep of a registered study, or goes on with the unfinished one; ``sweep`` of the answer is its id.

        The same ``key`` gets the same answer and starts nothing more; without one each call is a question of its own.
        ``deadline`` is a time such as "6h". TryAgain where a sweep of the study waits or is under way already.
        """
        asked = {"another": another, **({} if deadline is None else {"deadline": deadline})}
        given = {"Idempotency-Key": uuid4().hex if key is None else _checked_key(key)}
        return self._object(self._ask(f"/v1/studies/{quote(name, safe='')}/sweeps", {}, _body(asked), given))

    def cancel(self, sweep_id: str) -> dict[str, Json]:
        """Ends it for good; what it found stays. It may take a moment: ``wait`` says when. TryAgain where it is over
        already."""
        return self._object(self._ask(f"/v1/sweeps/{quote(sweep_id, safe='')}/cancel", {}, b""))

    def events(self, sweep_id: str, *, after: int | None = None) -> Iterator[dict[str, Json]]:
        """What happens in it, until it is over: each with its kind under ``event`` and, where it is a line of the
        history, its number under ``id``. A connection that breaks is made again, and nothing is missed or told twice;
        ``after`` is a number that is known already. Raises Unavailable where the service stays away for a minute.
        """
        path = f"/v1/sweeps/{quote(sweep_id, safe='')}/events"
        return followed(lambda last: self._stream(path, last), after)

    def wait(self, sweep_id: str, *, seconds: float | None = None) -> dict[str, Json]:
        """Until nothing goes on with it by itself; its ``state`` says how it ended. Raises TryAgain after so many
        seconds."""
        end = math.inf if seconds is None else time.monotonic() + seconds
        while True:
            found = self.sweep(sweep_id)
            with self._as_expected():
                if found["is_over"]:
                    return found
            if time.monotonic() >= end:
                raise TryAgain(f"sweep {sweep_id} is {found.get('state')} still, after {seconds:g} s.")
            time.sleep(min(WAIT_SECONDS, max(0.0, end - time.monotonic())))

    def report(self, sweep_id: str) -> str:
        """One page of HTML that needs no network."""
        return self._text(f"/v1/sweeps/{quote(sweep_id, safe='')}/report")

    # ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────
    def families(self) -> list[dict[str, Json]]:
        answer = self._json("/v1/families")
        with self._as_expected():
            found: list[dict[str, Json]] = answer["families"]
        return found

    def preview(self, family: str, steps: int = 1000, peak_lr: float = 1.0, **settings: Json) -> Floats:
        """The rates of a schedule, one for each update."""
        asked = {"family": family, "settings": settings, "steps": steps, "peak_lr": peak_lr}
        answer = self._ask("/v1/preview", {}, _body(asked))
        with self._as_expected():
            return np.array(json.loads(answer)["rates"], dtype=np.float64)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _json(self, path: str, **query: str | int | None) -> dict[str, Json]:
        return self._object(self._ask(path, query))

    def _object(self, text: bytes) -> dict[str, Json]:
        with self._as_expected():
            found = json.loads(text)
            if not isinstance(found, dict):
                raise TypeError(f"an object is wanted, not {type(found).__name__}")
            return found

    def _text(self, path: str, **query: str | int | None) -> str:
        text = self._ask(path, query)
        with self._as_expected():
            return text.decode()

    @contextmanager
    def _as_expected(self) -> Iterator[None]:
        """Around what reads an answer: another program's has no such keys, or is no JSON."""
        try:
            yield
        except LrsweepError:
            raise
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise self._unlike() from error

    def _unlike(self) -> Unavailable:
        return Unavailable(
            f"what answers at {public_link(self._url)} is no service of lrsweep, or one of another version; wanted is "
            "the address that `lrsweep serve` prints."
        )

    def _stream(self, path: str, last: int | None) -> http.client.HTTPResponse | None:
        """None where there is nothing to come."""
        url = f"{self._url}{path}"
        headers = {**self._headers(url, None), "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 (see __init__)
        try:
            # the service says something every 10 s
            opened = self._opener.open(request, timeout=max(self._timeout, SILENCE_SECONDS))
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._silent(error) from error
        answer = cast(http.client.HTTPResponse, opened)
        if answer.status == HTTPStatus.NO_CONTENT:
            answer.close()
            return None
        if answer.headers.get_content_type() != "text/event-stream":
            answer.close()
            raise self._unlike()
        return answer

    def _silent(self, error: Exception) -> Unavailable:
        reason = without_secrets(str(getattr(error, "reason", None) or error), self._url)
        return Unavailable(
            f"the service at {public_link(self._url)} does not answer ({reason}). `lrsweep serve` starts one."
        )

    def _ask(
        self,
        path: str,
        query: Mapping[str, str | int | None],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        given = {key: value for key, value in query.items() if value is not None}
        url = f"{self._url}{path}{f'?{urlencode(given)}' if given else ''}"
        told = {**self._headers(url, body), **(headers or {})}
        request = urllib.request.Request(url, data=body, headers=told)  # noqa: S310 (see __init__)
        try:
            # cast: urllib opens http and https with this class
            with cast(http.client.HTTPResponse, self._opener.open(request, timeout=self._timeout)) as answer:
                promised = answer.length
                found = answer.read(LARGEST_ANSWER + 1)
                etag = answer.headers.get("ETag")
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304 and url in self._remembered:
                    return self._remembered[url][1]
                self._refused(error)
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a host that no name can be
            raise self._silent(error) from error
        if len(found) > LARGEST_ANSWER:
            raise Unavailable(f"the answer of {public_link(url)} has more than {LARGEST_ANSWER:,} bytes.")
        if promised is not None and len(found) < promised:  # read(n) does not tell
            raise Unavailable(
                f"the answer of {public_link(url)} ends after {len(found):,} of {promised:,} bytes; ask again."
            )
        if etag is not None and body is None:
            self._remember(url, etag, found)
        return bytes(found)

    def _headers(self, url: str, body: bytes | None) -> dict[str, str]:
        found = {"Accept": "application/json, */*"}
        if self._token:
            found["Authorization"] = f"Bearer {self._token}"
        if body:
            found["Content-Type"] = "application/json"
        elif body is None and url in self._remembered:
            found["If-None-Match"] = self._remembered[url][0]
        return found

    def _remember(self, url: str, etag: str, body: bytes) -> None:
        self._remembered.pop(url, None)
        self._remembered[url] = (etag, body)
        while (
            len(self._remembered) > MOST_REMEMBERED
            or sum(len(each) for _, each in self._remembered.values()) > MOST_REMEMBERED_BYTES
        ):
            del self._remembered[next(iter(self._remembered))]

    def _refused(self, error: urllib.error.HTTPError) -> NoReturn:
        said = _detail(error)
        told = f"{public_link(self._url)} answers {error.code}: {said}"
        if error.code in TRY_AGAIN:
            raise TryAgain(told) from error
        if 300 <= error.code < 500:
            raise SettingsError(told) from error
        raise Unavailable(told) from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _detail(error: urllib.error.HTTPError) -> str:
    """The service's own words, or the status's where something else answered."""
    try:
        found = json.loads(error.read(LARGEST_ANSWER))
        return str(found["detail"])
    except (ValueError, KeyError, TypeError, OSError, RecursionError, http.client.HTTPException):
        return str(error.reason)


# ── server-sent events ───────────────────────────────────────────────────────────────────────────────────────────────
Open = Callable[[int | None], http.client.HTTPResponse | None]


def followed(opened: Open, after: int | None) -> Iterator[dict[str, Json]]:
    """All events after a number, over as many connections as it takes."""
    last, state = after, None
    heard_at = time.monotonic()
    while True:
        try:
            answer = opened(last)
            if answer is None:
                return
            with answer:
                for event in events_in(answer):
                    last = event.get("id", last)
                    is_new = event["event"] != "state" or event != state
                    if event["event"] == "state":
                        state = event
                    if is_new:
                        yield event
                    if event["event"] == "state" and event.get("is_over"):
                        return
        except Unavailable:
            if time.monotonic() - heard_at > GIVE_UP_SECONDS:
                raise
        except LrsweepError:  # some of which are ValueErrors
            raise
        except (OSError, ValueError, http.client.HTTPException):  # it broke off
            heard_at = time.monotonic()
        else:
            heard_at = time.monotonic()
        time.sleep(AGAIN_SECONDS)


def events_in(lines: IO[bytes]) -> Iterator[dict[str, Json]]:
    """As they come; comments and what is cut off are none. Raises ValueError for a line that is no event's."""
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


# ── what is given ────────────────────────────────────────────────────────────────────────────────────────────────────
def _body(asked: Mapping[str, Json]) -> bytes:
    return json.dumps(asked).encode()


def _checked_key(key: str) -> str:
    if not re.fullmatch(r"[!-~]{1,200}", key):
        raise InvalidInput(
            f"Client.start: key is {key[:100]!r}; wanted are 1 to 200 visible ASCII signs, such as a date."
        )
    return key


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises where it is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _may_use_proxies(url: str) -> bool:
    """Through a proxy https is a tunnel; plain http would hand it the token."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "https" and not is_loopback


def _checked_token(given: str | None) -> str:
    """Without the line break that a file or a shell leaves at its end; "" where there is none."""
    token = ((os.environ.get(TOKEN) or "") if given is None else given).strip()
    if not (token.isascii() and token.isprintable() and " " not in token):
        source = f"the variable {TOKEN}" if given is None else "token"
        raise SettingsError(
            f"Client: {source} has a sign that is in no token (a blank, a line break or one that is not ASCII); wanted "
            "is one such as 'lrs_…', as `lrsweep token create NAME` prints it."
        )
    return token
