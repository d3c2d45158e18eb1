"""The recorder that shows that lrsweep sends nothing anywhere; ``tests/integration/test_demo.py`` uses it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.checks.watched import run_watched, without_route


@pytest.mark.parametrize(
    ("code", "event", "host"),
    [
        ("socket.socket().connect_ex(('192.0.2.1', 80))", "socket.connect", "192.0.2.1"),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))", "socket.sendto", "192.0.2.1"),
        ("socket.getaddrinfo('telemetry.invalid', 443)", "socket.getaddrinfo", "telemetry.invalid"),
        ("socket.getfqdn('somebody.invalid')", "socket.gethostbyaddr", "somebody.invalid"),
    ],
)
def test_an_attempt_to_leave_is_seen(tmp_path: Path, code: str, event: str, host: str) -> None:
    """The recorder itself: a connection, a datagram and a question to a name server are each written down."""
    program = f"import socket; socket.setdefaulttimeout(1)\n{code}"
    watched = run_watched([sys.executable, "-c", program], tmp_path, timeout_seconds=60)
    assert [(attempt["event"], attempt["host"]) for attempt in watched.attempts] == [(event, host)]


def test_an_attempt_of_a_grandchild_is_seen(tmp_path: Path) -> None:
    """Children inherit the recorder: a process that a process started cannot leave unseen."""
    inner = "import socket; s = socket.socket(); s.settimeout(1); s.connect_ex(('192.0.2.1', 80))"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    watched = run_watched([sys.executable, "-c", outer], tmp_path, timeout_seconds=60)
    assert [attempt["host"] for attempt in watched.attempts] == ["192.0.2.1"]


def test_talking_to_oneself_is_allowed(tmp_path: Path) -> None:
    """A server and a client on the loopback address work without a route, and are not written down."""
    program = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).sendall(b"hello")
assert server.accept()[0].recv(5) == b"hello"
left, right = socket.socketpair()
left.sendall(b"x")
"""
    watched = run_watched([sys.executable, "-c", program], tmp_path, timeout_seconds=60)
    assert (watched.returncode, watched.stderr, watched.attempts) == (0, "", ())


def test_a_child_without_a_route_cannot_leave(tmp_path: Path) -> None:
    """Where the machine permits a network of one's own, there is no route in it, so a success needs none."""
    if not without_route():
        pytest.skip("this machine permits no network namespace; allow `unshare --net` (root or user namespaces)")
    program = "import errno, socket; assert socket.socket().connect_ex(('192.0.2.1', 80)) == errno.ENETUNREACH"
    assert run_watched([sys.executable, "-c", program], tmp_path, timeout_seconds=60).returncode == 0
