"""A small client of the service (``lrsweep serve``): numpy and the standard library alone.

    client = Client("http://127.0.0.1:8000", token="lrs_…")
    found = client.schedule("digits")              # found.recommended, found.evidence, found.rates
    found.choice.torch(optimizer, total_steps)     # the same choice that lrsweep.load_choice gives

An answer that was asked for before is asked for again by its ETag, and costs a few bytes where it still holds.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, cast
from urllib.parse import quote, urlencode, urlsplit

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
        answer = self._ask("/v1/preview", {}, json.dumps(asked).encode())
        with self._as_expected():
            return np.array(json.loads(answer)["rates"], dtype=np.float64)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _json(self, path: str, **query: str | int | None) -> dict[str, Json]:
        text = self._ask(path, query)
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
            raise Unavailable(
                f"what answers at {public_link(self._url)} is no service of lrsweep, or one of another version; wanted "
                "is the address that `lrsweep serve` prints."
            ) from error

    def _ask(self, path: str, query: Mapping[str, str | int | None], body: bytes | None = None) -> bytes:
        given = {key: value for key, value in query.items() if value is not None}
        url = f"{self._url}{path}{f'?{urlencode(given)}' if given else ''}"
        request = urllib.request.Request(url, data=body, headers=self._headers(url, body))  # noqa: S310 (see __init__)
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
            reason = without_secrets(str(getattr(error, "reason", None) or error), self._url)
            raise Unavailable(
                f"the service at {public_link(self._url)} does not answer ({reason}). `lrsweep serve` starts one."
            ) from error
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
        if body is not None:
            found["Content-Type"] = "application/json"
        elif url in self._remembered:
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
