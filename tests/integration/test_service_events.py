"""Events of a sweep over HTTP: told once, from where one left, and to nobody for ever."""

from __future__ import annotations

import json
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lrsweep.service.following import MOST_OF_ONE
from lrsweep.store import Store, open_store
from lrsweep.sweep.owner import this_owner
from tests.served import PATIENCE, SWEEP, Served, begin, register, served, until

ESTABLISHED = 1
"""TCP's state of a connection that neither side has closed."""


def told(body: bytes) -> list[tuple[str, str, Any]]:
    """Id, kind and data of each event."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


def opened(service: Served, sweep: str) -> socket.socket:
    """A stream of which the head has come."""
    connection = socket.create_connection(service.address, timeout=PATIENCE)
    connection.sendall(f"GET /v1/sweeps/{sweep}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(1)
        assert part, "it was closed"
        head += part
    assert b"200 OK" in head or b"429" in head, head
    connection.setblocking(True)
    return connection


def status(service: Served, sweep: str) -> int:
    """Of a stream that is closed again at once."""
    with opened(service, sweep) as stream:
        return 200 if b"retry" in stream.recv(65536) else 429


def is_open(connection: socket.socket) -> bool:
    """By the state that the system gives it, without reading from it."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED


def test_a_sweep_that_is_over_is_told_whole_and_the_stream_ends(service: Served, results: Store) -> None:
    """Every line of its history in order, then where it stands; no owner, machine or process is named."""
    answer = service.get(f"/v1/sweeps/{SWEEP}/events")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    events = told(answer.body)
    history = [event for event in results.events("quick") if event.sweep_id == SWEEP]
    assert [kind for _, kind, _ in events] == [*(event.kind for event in history), "state"]
    assert events[-1] == ("", "state", {"state": "finished", "queue": None, "is_over": True})
    numbers = [int(number) for number, _, _ in events[:-1]]
    assert numbers == sorted(set(numbers))
    assert b"owner" not in answer.body
    assert socket.gethostname().encode() not in answer.body.replace(b"event", b"")


def test_who_comes_again_hears_what_came_after(service: Served) -> None:
    """By Last-Event-ID; with the last one, 204: there is no need to come again."""
    events = told(service.get(f"/v1/sweeps/{SWEEP}/events").body)
    third, last = events[2][0], events[-2][0]
    assert told(service.get(f"/v1/sweeps/{SWEEP}/events", last_event_id=third).body) == events[3:]
    assert service.get(f"/v1/sweeps/{SWEEP}/events", last_event_id=last).status == 204
    for wrong in ("x", "-1", "1e3", str(2**63)):
        assert service.get(f"/v1/sweeps/{SWEEP}/events", last_event_id=wrong).status == 422
    assert service.get("/v1/sweeps/none/events").status == 404
    assert service.get("/v1/sweeps/..%2F..%2Fetc%2Fpasswd/events").status == 404


def test_what_happens_is_told_as_it_happens(service: Served, results: Store) -> None:
    """From the queue to the end; secrets and folders in what is noted are not told."""
    register(service.database, "live")
    sweep = service.post("/v1/studies/live/sweeps", None).json["sweep"]
    with opened(service, sweep) as stream:
        body = b""

        def has(mark: bytes) -> bool:
            nonlocal body
            end = time.monotonic() + PATIENCE
            while mark not in body:
                assert time.monotonic() < end, body
                part = stream.recv(65536)
                assert part, body
                body += part
            return True

        assert has(b'"state": "queued"')
        begin(results, "live", sweep)
        lease = results.acquire_lease("live", this_owner(), seconds=600)
        results.note(lease, "noted", sweep, {"error": "Traceback\n  x\nOSError: /srv/ann/token.txt password=hunter2"})
        assert has(b"event: noted")
        results.queue.cancel(sweep)
        assert has(b'"queue": "cancelled"')
        results.release_lease(lease)
        has(b'"is_over": true')
        has(b"0\r\n\r\n")
    assert b"hunter2" not in body
    assert b"/srv/ann" not in body
    assert b"Traceback" not in body


def test_there_are_only_so_many_streams_and_closed_ones_make_room(service: Served, results: Store) -> None:
    """One too many is 429 with when to come again; the service answers others all the while."""
    begin(results, "held", "held-1")
    lease = results.acquire_lease("held", this_owner(), seconds=600)
    try:
        with ExitStack() as streams:
            for _ in range(MOST_OF_ONE):
                streams.enter_context(opened(service, "held-1"))
            refused = service.get("/v1/sweeps/held-1/events")
            assert refused.status == 429
            assert refused.headers["retry-after"] == "10"
            assert f"wanted are {MOST_OF_ONE}" in refused.problem
            began = time.monotonic()
            assert service.get("/v1/studies").status == 200
            assert time.monotonic() - began < PATIENCE / 4
        until(lambda: status(service, "held-1") == 200, "closed streams give their places back")
    finally:
        results.release_lease(lease)


def test_who_does_not_read_is_let_go(service: Served, results: Store) -> None:
    """A history that fills the socket: the place is free again, and the connection is at its end, what was not read
    too: else those who do not read would take all connections that there are."""
    begin(results, "long", "long-1")
    lease = results.acquire_lease("long", this_owner(), seconds=600)
    for _ in range(600):
        results.note(lease, "noted", "long-1", {"ids": ["0123456789abcdef"] * 1000})
    slow = []
    try:
        for _ in range(MOST_OF_ONE):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(service.address)
            connection.sendall(b"GET /v1/sweeps/long-1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            slow.append(connection)
        until(lambda: status(service, "long-1") == 429, "all places are taken")
        until(lambda: status(service, "long-1") == 200, "they are free again")
        until(lambda: not any(map(is_open, slow)), "their connections are closed")
    finally:
        for connection in slow:
            connection.close()
        results.release_lease(lease)


def test_open_streams_end_when_the_service_does(tmp_path: Path) -> None:
    """SIGTERM: within seconds, and in order."""
    home = tmp_path / "home"
    url = f"sqlite:///{home}/results.db"
    results = open_store(url)
    begin(results, "held", "held-1")
    lease = results.acquire_lease("held", this_owner(), seconds=600)
    try:
        with served(home) as service, opened(service, "held-1") as stream:
            service.process.send_signal(signal.SIGTERM)
            body = b""
            while part := stream.recv(65536):
                body += part
            assert body.endswith(b"0\r\n\r\n")
            out, err = service.process.communicate(timeout=PATIENCE)
        assert service.process.returncode in (0, -signal.SIGTERM), out + err
        assert "Traceback" not in err
    finally:
        results.release_lease(lease)
        results.close()
