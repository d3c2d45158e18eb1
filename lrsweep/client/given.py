"""What a caller gives, checked before anything is asked: the address, the token, an idempotency key."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from lrsweep.errors import InvalidInput, SettingsError

TOKEN = "LRSWEEP_TOKEN"  # noqa: S105 (the name of a variable)


def checked_key(key: str) -> str:
    if not re.fullmatch(r"[!-~]{1,200}", key):
        raise InvalidInput(
            f"Client.start: key is {key[:100]!r}; wanted are 1 to 200 visible ASCII signs, such as a date."
        )
    return key


def is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which raises where it is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def may_use_proxies(url: str) -> bool:
    """Through a proxy https is a tunnel; plain http would hand it the token."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "https" and not is_loopback


def checked_token(given: str | None) -> str:
    """Without the line break that a file or a shell leaves at its end; "" where there is none."""
    token = ((os.environ.get(TOKEN) or "") if given is None else given).strip()
    if not (token.isascii() and token.isprintable() and " " not in token):
        source = f"the variable {TOKEN}" if given is None else "token"
        raise SettingsError(
            f"Client: {source} has a sign that is in no token (a blank, a line break or one that is not ASCII); wanted "
            "is one such as 'lrs_…', as `lrsweep token create NAME` prints it."
        )
    return token
