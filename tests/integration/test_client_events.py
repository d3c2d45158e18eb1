"""``Client.events`` through proxies that break connections anywhere: nothing is missed, nothing is told twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from lrsweep.client import Client
from lrsweep.errors import Unavailable
from tests.commands import wait_for
from tests.served import PATIENCE, SWEEP, Served


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before the next connection."""
    monkeypatch.setattr("lrsweep.client.following.AGAIN_SECONDS", 0.0)


class Proxy:
    """Passes on so many bytes of the body of each answer to GET …/events, and then closes; all else whole."""

    def __init__(self, upstream: tuple[str, int], most: Callable[[int], int | None]) -> None:
        self.bodies: list[bytes] = []
        """what was passed on, by connection"""
        self._upstream = upstream
        self._most = most
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._upstream, timeout=PATIENCE) as server:
            question = up_to_blank_line(client)
            server.sendall(question)
            if b"/events " not in question:
                while part := server.recv(65536):
                    client.sendall(part)
                return
            most = self._most(len(self.bodies))
            self.bodies.append(b"")
            client.sendall(up_to_blank_line(server))
            while (most is None or len(self.bodies[-1]) < most) and (part := server.recv(65536)):
                part = part if most is None else part[: most - len(self.bodies[-1])]
                self.bodies[-1] += part
                client.sendall(part)


def up_to_blank_line(source: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and (part := source.recv(1)):
        head += part
    return head


@contextmanager
def cutting(service: Served, most: Callable[[int], int | None]) -> Iterator[Proxy]:
    proxy = Proxy(service.address, most)
    threading.Thread(target=proxy.accept, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()


def heard(url: str) -> list[dict[str, Any]]:
    return list(Client(url, timeout=60).events(SWEEP))


def test_a_cut_at_any_byte_loses_and_doubles_nothing(service: Served) -> None:
    """In the middle of a number, of a line, between two events, and before the last word, which has no number: after a
    cut there it is asked for, since the service then says 204."""
    with cutting(service, lambda _: None) as proxy:
        whole = heard(proxy.url)
        body = proxy.bodies[0]
    assert whole == heard(service.url)
    assert whole[-1] == {"event": "state", "state": "finished", "queue": None, "is_over": True}
    assert len(whole) > 10
    middle = body.index(f"id: {whole[4]['id']}\n".encode())
    after_middle = body.index(f"id: {whole[5]['id']}\n".encode())
    end = body.index(b"event: state")
    for where in [*range(middle - 2, after_middle + 12, 3), *range(end - 9, len(body), 2), 0, 1]:
        with cutting(service, lambda number, where=where: where if number == 0 else None) as proxy:  # type: ignore[misc]
            assert heard(proxy.url) == whole, (where, body[where - 20 : where])
            wait_for(lambda: len(proxy.bodies[0]) == where)  # noqa: B023 (what follows the last word is not waited for)


def test_a_proxy_that_cuts_every_connection_is_outlived(service: Served) -> None:
    """Each gives an event or two, and breaks in the next."""
    whole = heard(service.url)
    longest = max(len(str(event)) for event in whole)
    with cutting(service, lambda _: 2 * longest + 200) as proxy:
        assert heard(proxy.url) == whole
        assert len(proxy.bodies) > 3


def test_events_that_cannot_be_read_are_not_asked_for_without_end(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of more than the client takes comes again with every connection: after the time for which an outage is
    borne, Unavailable, and what to do."""
    whole = heard(service.url)
    monkeypatch.setattr("lrsweep.client.following.LARGEST_LINE", max(len(str(event)) for event in whole) // 2)
    monkeypatch.setattr("lrsweep.client.following.GIVE_UP_SECONDS", 0.2)
    found: list[dict[str, Any]] = []
    with pytest.raises(Unavailable, match=r"what the service tells after event \d+ cannot be read") as raised:
        found.extend(Client(service.url, timeout=60).events(SWEEP))  # keeps what came before
    assert "`lrsweep status`" in str(raised.value)
    told, known = ([event for event in events if "id" in event] for events in (found, whole))
    assert told == known[: len(told)]
