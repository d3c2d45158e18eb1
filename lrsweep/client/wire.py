"""Questions to one address over HTTP: answers come whole or not at all, and refusals are errors of ours."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NoReturn, cast
from urllib.parse import urlencode

from lrsweep.client.given import checked_token, is_address, may_use_proxies
from lrsweep.errors import InvalidInput, LrsweepError, SettingsError, TryAgain, Unavailable
from lrsweep.records import Json
from lrsweep.redaction import public_link, without_secrets

LARGEST_ANSWER = 64 * 2**20
MOST_REMEMBERED = 100
MOST_REMEMBERED_BYTES = 8 * 2**20
TRY_AGAIN = (408, 409, 429)
SILENCE_SECONDS = 30.0


class Wire:
    """Raises as ``Client`` says."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        if not is_address(url):
            raise InvalidInput(f"Client: url is {public_link(url)!r}; wanted is such as 'http://127.0.0.1:8000'.")
        self._url = url.rstrip("/")
        self._token = checked_token(token)
        self._timeout = timeout
        proxies = [] if may_use_proxies(url) else [urllib.request.ProxyHandler({})]
        self._opener = urllib.request.build_opener(_NoRedirects, *proxies)
        self._remembered: dict[str, tuple[str, bytes]] = {}

    @property
    def address(self) -> str:
        """Without who logs in."""
        return public_link(self._url)

    def json(self, path: str, **query: str | int | None) -> dict[str, Json]:
        return self.object(self.ask(path, query))

    def object(self, text: bytes) -> dict[str, Json]:
        with self.as_expected():
            found = json.loads(text)
            if not isinstance(found, dict):
                raise TypeError(f"an object is wanted, not {type(found).__name__}")
            return found

    def text(self, path: str, **query: str | int | None) -> str:
        text = self.ask(path, query)
        with self.as_expected():
            return text.decode()

    @contextmanager
    def as_expected(self) -> Iterator[None]:
        """Around what reads an answer: another program's has no such keys, or is no JSON."""
        try:
            yield
        except LrsweepError:
            raise
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise self.unlike() from error

    def unlike(self) -> Unavailable:
        return Unavailable(
            f"what answers at {public_link(self._url)} is no service of lrsweep, or one of another version; wanted is "
            "the address that `lrsweep serve` prints."
        )

    def stream(self, path: str, last: int | None) -> http.client.HTTPResponse | None:
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
            raise self.unlike()
        return answer

    def _silent(self, error: Exception) -> Unavailable:
        reason = without_secrets(str(getattr(error, "reason", None) or error), self._url)
        return Unavailable(
            f"the service at {public_link(self._url)} does not answer ({reason}). `lrsweep serve` starts one."
        )

    def ask(
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
