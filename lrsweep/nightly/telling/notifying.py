"""Notifications, by Apprise: one message on each change of state, to every address. Apprise lives here alone.

An address holds passwords, so it is named by its place and its kind; what Apprise says of it is never shown, for it may
quote it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from lrsweep.errors import did_you_mean
from lrsweep.nightly.telling.bounded import within
from lrsweep.nightly.telling.news import News
from lrsweep.nightly.telling.wanted import NOTIFY

if TYPE_CHECKING:
    from apprise import NotifyBase

Say = Callable[[str], None]
SECONDS = 20.0
"""For one address."""
MISSING = f"{NOTIFY} is set, and Apprise, which sends notifications, is not installed: pip install 'lrsweep[nightly]'"
SORTS = {"good": "success", "look": "warning", "bad": "failure", "plain": "info"}


def problems(addresses: Sequence[str]) -> Iterator[str]:
    if not addresses:
        return
    if not _is_installed():
        yield f"{MISSING}."
        return
    for place, address in enumerate(addresses, 1):
        if _sender(address) is None:
            yield _unknown(place, address)


def notify(addresses: Sequence[str], news: News, say: Say, *, seconds: float = SECONDS) -> None:
    """To each address, whatever becomes of the others."""
    if not _is_installed():
        say(f"{MISSING}; nobody was notified.")
        return
    for place, address in enumerate(addresses, 1):
        try:
            reason = within(seconds, lambda address=address: _send(address, news))  # type: ignore[misc]
        except TimeoutError as error:
            reason = str(error)
        except Exception as error:  # a plugin's own fault, whose text may hold the address
            reason = type(error).__name__
        if reason is not None:
            say(
                f"the {_ordinal(place)} address of {NOTIFY} ({_kind(address)}) was not notified: {reason}. "
                "It is not tried again; look at the address and at the network."
            )


def _send(address: str, news: News) -> str | None:
    """None, or why it was not sent."""
    sender = _sender(address)
    if sender is None:
        return "Apprise cannot read it"
    heard: list[str] = []
    with _listening(heard):
        is_sent = sender.notify(body=news.body, title=news.title, notify_type=SORTS[news.sort])
    if is_sent:
        return None
    codes = re.findall(r"\berror[=\s]+(\d{3})\b", " ".join(heard))
    return f"it answered {codes[-1]}" if codes else "it could not be reached, or did not take it"


def _sender(address: str) -> NotifyBase | None:
    from apprise import Apprise, AppriseAsset

    with _listening([]):  # Apprise tells the log what it cannot read
        return Apprise.instantiate(address, asset=AppriseAsset(app_id="lrsweep"), suppress_exceptions=True)


class _listening(logging.Handler):  # noqa: N801 (used as a function)
    """Keeps from everybody else what Apprise logs, and what is logged of its requests: addresses are in it."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self._heard = heard
        self._before: dict[logging.Logger, bool] = {}

    def __enter__(self) -> None:
        for name in ("apprise", "urllib3"):
            log = logging.getLogger(name)
            self._before[log] = log.propagate
            log.propagate = False
            log.addHandler(self)

    def __exit__(self, *_: object) -> None:
        for log, propagated in self._before.items():
            log.removeHandler(self)
            log.propagate = propagated

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())


def _is_installed() -> bool:
    try:
        import apprise  # noqa: F401
    except ImportError:
        return False
    return True


def _unknown(place: int, address: str) -> str:
    from apprise import Apprise

    known = sorted(str(each) for plugin in Apprise().details()["schemas"] for each in _kinds(plugin))
    kind, found, _ = address.partition("://")
    named = f" of the kind {kind!r}" if found and kind.isalnum() and len(kind) <= 20 else ""
    hint = did_you_mean(kind.lower(), known) if named and kind.lower() not in known else ""
    return (
        f"the {_ordinal(place)} address of {NOTIFY}{named} is none that Apprise can read (it is not shown: it may hold "
        f"a password). Wanted are addresses as in Apprise's documentation, such as mailto://USER:PASSWORD@HOST.{hint}"
    )


def _kinds(plugin: dict[str, object]) -> Iterator[object]:
    for names in ("protocols", "secure_protocols"):
        found = plugin.get(names)
        if isinstance(found, list | tuple | set | frozenset):
            yield from found


def _kind(address: str) -> str:
    """Of one that Apprise has read."""
    return address.partition("://")[0].lower()


def _ordinal(place: int) -> str:
    """
    >>> _ordinal(1), _ordinal(2), _ordinal(3), _ordinal(11), _ordinal(22)
    ('1st', '2nd', '3rd', '11th', '22nd')
    """
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
