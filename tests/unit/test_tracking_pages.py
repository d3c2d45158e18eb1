"""What answers in the place of MLflow, however long it talks and whatever it says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from lrsweep.errors import TrackingUnavailable
from lrsweep.tracking import pages
from tests.promoted import STUDY

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that gives one answer, as its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as connection:  # the client has left, or never came
                connection.recv(65536)
                answer(connection)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        serving.join(60)
        assert not serving.is_alive()


@pytest.mark.parametrize("begin", [b"", HEAD], ids=["its head", "its body"])
def test_an_mlflow_that_drips_is_heard_for_so_long_and_no_longer(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the whole does not."""
    monkeypatch.setattr(pages, "TIMEOUT_SECONDS", 1.0)
    has_left = threading.Event()

    def drip(connection: socket.socket) -> None:
        try:
            connection.sendall(begin)
            for _ in range(200):
                connection.sendall(b"H")
                threading.Event().wait(0.1)
        except OSError:
            has_left.set()

    with answering(drip) as uri, pytest.raises(TrackingUnavailable, match="does not answer"):
        pages.page_of(uri, "a-run", STUDY, base=uri)
    assert has_left.is_set()


def test_an_mlflow_whose_answer_is_too_deep_does_not_answer() -> None:
    """A fault of that server, and none of ours."""
    deep = b"[" * 200_000

    def answer(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(deep)}\r\n\r\n".encode() + deep)

    with answering(answer) as uri, pytest.raises(TrackingUnavailable, match="does not answer"):
        pages.page_of(uri, "a-run", STUDY, base=uri)
