"""A dead-man switch: a service that somebody is told by when it is *not* asked. healthchecks.io's way of asking.

    URL/start    a run begins
    URL          it ended, and its verdicts stand: exit codes 0 and 4
    URL/N        it ended with another exit code

After 99 nothing is asked: another process has the night, and tells of it.
"""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO
from urllib.parse import SplitResult, urlsplit, urlunsplit

from lrsweep.nightly.outcome import CHANGED
from lrsweep.nightly.telling.bounded import within
from lrsweep.nightly.telling.wanted import PING

Say = Callable[[str], None]
SECONDS = 10.0
"""For one try."""
TRIES = 2
LOCKED = 99
GOOD = (0, CHANGED)


def problems(url: str | None) -> Iterator[str]:
    if url is None:
        return
    wanted = "wanted is the address that the service shows, such as https://hc-ping.com/…"
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0  # .port raises where it is no number
    except ValueError:
        is_whole, parts = False, SplitResult("", "", "", "", "")
    if not is_whole or parts.scheme not in ("http", "https") or any(sign.isspace() for sign in url):
        yield f"{PING} is no address that begins with https:// or http:// (it is not shown: it is a secret); {wanted}."
    elif "@" in parts.netloc:
        yield f"{PING} has a user or a password in it, which is not sent; {wanted}."


def started(url: str, say: Say, *, seconds: float = SECONDS) -> None:
    _ask(_below(url, "start"), "begins", say, seconds)


def ended(url: str, exit_code: int, say: Say, *, seconds: float = SECONDS) -> None:
    if exit_code == LOCKED:
        return
    _ask(url if exit_code in GOOD else _below(url, str(exit_code)), "has ended", say, seconds)


def _below(url: str, word: str) -> str:
    """
    >>> _below("https://hc.example/ping/abc/?rid=1", "start")
    'https://hc.example/ping/abc/start?rid=1'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{word}"))


def _ask(url: str, what: str, say: Say, seconds: float) -> None:
    """One more try after a fault that may pass; a refusal is one for good."""
    reason = ""
    for _ in range(TRIES):
        try:
            return within(seconds, lambda: _get(url, seconds))
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"it answered {error.code}"
            if error.code < 500 and error.code != 429:
                break
        except (OSError, http.client.HTTPException, ValueError) as error:  # a TimeoutError is an OSError
            reason = _without_address(error)
    say(
        f"{urlsplit(url).hostname}, which {PING} names, was not told that the run {what}: {reason}. "
        "Whoever it watches for may be told that no night ran; look at the address and at the network."
    )
    return None


def _get(url: str, seconds: float) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "lrsweep"})  # noqa: S310 (checked: http or https)
    opener = urllib.request.build_opener(_SameHost)
    with contextlib.closing(opener.open(request, timeout=seconds)):
        pass  # the answer's body says nothing that is needed


class _SameHost(urllib.request.HTTPRedirectHandler):
    """The address is a secret: nobody else gets it, and nobody reads it on the way who could not before."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        is_same = (old.scheme, old.netloc) == (new.scheme, new.netloc)
        if is_same or ((old.scheme, new.scheme) == ("http", "https") and old.hostname == new.hostname):
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        fp.close()
        raise urllib.error.URLError("it sends on to another host, which is not followed")


def _without_address(error: Exception) -> str:
    """``OSError`` and its like name a host at most; others may quote what they were given."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, OSError):
        return inner.strerror or (str(inner) if isinstance(inner, TimeoutError) else type(inner).__name__)
    return inner if isinstance(inner, str) else type(inner).__name__
