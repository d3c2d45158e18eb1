"""The socket, the server on it, and its end: on SIGTERM it takes no new request, ends those that it has, and leaves."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from lrsweep.errors import SettingsError, Unavailable
from lrsweep.service.app import make_app
from lrsweep.service.guard import is_loopback_name
from lrsweep.service.landing.mlflow import Mlflow
from lrsweep.service.results import Results, study_names
from lrsweep.service.routes.common import Parts
from lrsweep.service.shield import PATIENCE
from lrsweep.store.probing import Probed, probe

DRAIN_SECONDS = 10
MOST_CONNECTIONS = 500
LARGEST_HEADERS = 16 * 1024
AT_ONCE = struct.pack("ii", 1, 0)
"""How long a socket that is closed lingers over what is unsent: not at all."""
Say = Callable[[str], None]


def serve(url: str, *, host: str, port: int, per_second: float, mlflow: Mlflow | None, say: Say) -> None:
    """Until a signal ends it. ``url`` is the results database, ``mlflow`` a server whose pages are linked to.

    Raises SettingsError for an address that it will not or cannot listen on, Unavailable where the port is in use,
    StoreUnavailable for a database that cannot be read.
    """
    listening = _bound(host, port)
    try:
        before = probe(url)
        is_local = is_loopback_name(listening.getsockname()[0])
        if not is_local and not before.is_there:  # no database is begun for a service that is refused
            raise _without_token(host)
        results = Results(url)
        try:
            if not is_local and not any(row.is_in_force for row in results.store().tokens.rows()):
                raise _without_token(host)
            app = make_app(results, is_local=is_local, per_second=per_second, mlflow=mlflow)
            _run(app, listening, say, _read_from(before, results))
        finally:
            results.close()
    finally:
        listening.close()


def _bound(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise SettingsError(f"--port is {port}; wanted: 1 to 65535, or 0 for any free one.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"--host is {host!r}, which is no address of this machine ({error}); wanted is 127.0.0.1, 0.0.0.0 for all "
            "of them, or a name of this machine."
        ) from error
    # asyncio turns Nagle's algorithm off where the protocol is named; with it an answer waits 40 ms for an ACK
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # one that has just ended leaves its port waiting
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise _not_bound(host, port, error) from error
    return listening


def _not_bound(host: str, port: int, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return Unavailable(
            f"the port {port} of {host} is in use. Stop what listens there, or take another one: `lrsweep serve --port "
            f"{port + 1 if port < 65535 else 8000}`, or --port 0 for any free one."
        )
    if error.errno == errno.EACCES:
        return SettingsError(f"--port is {port}, which this user may not listen on; wanted is one from 1024 on.")
    return SettingsError(
        f"--host is {host!r}, on which this machine cannot listen ({error.strerror}); wanted is 127.0.0.1, or 0.0.0.0 "
        "for all of its addresses."
    )


def _without_token(host: str) -> SettingsError:
    return SettingsError(
        f"--host is {host!r}, which others can reach, and there is no token in force: everybody could read the "
        "results. `lrsweep token create NAME` makes one; 127.0.0.1 needs none."
    )


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────
class Patient(H11Protocol):
    """Ends a connection whose request does not come, or whose answer is not read. uvicorn waits for either for ever."""

    waiting: asyncio.TimerHandle | None = None
    unread = 0
    stalled: asyncio.TimerHandle | None = None
    kept_waiting: RequestResponseCycle | None = None
    """of which an answer could not be sent on"""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        before = self.scope
        super().data_received(data)
        if self.scope is not before:  # a request's headers are whole
            self._wait_no_more()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # else the next request had come already
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self._stalled_no_more()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_no_more()
        self.kept_waiting = self.cycle
        self.stalled = self.loop.call_later(PATIENCE, self._look_at_stalled)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_no_more()

    def _look_at_stalled(self) -> None:
        """An answer that has more to come, a stream's or that of a second request, waits for its reader no longer:
        closing such a connection in order would wait for ever, until all of it was read."""
        if self.kept_waiting is self.cycle and not self.cycle.response_complete:
            self._drop()
        else:  # whole answers have ``_end``
            self.kept_waiting = self.cycle
            self.stalled = self.loop.call_later(PATIENCE, self._look_at_stalled)

    def _stalled_no_more(self) -> None:
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def _wait(self) -> None:
        self._wait_no_more()
        self.waiting = self.loop.call_later(PATIENCE, self._end)

    def _wait_no_more(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None

    def _end(self) -> None:
        """One that still reads its answer, however slowly, goes on."""
        left = self.transport.get_write_buffer_size()
        if 0 < left != self.unread:
            self.unread = left
            self._wait()
        else:
            self._drop()

    def _drop(self) -> None:
        """What is left of an answer goes with it: the system, too, would keep it for the client for some minutes."""
        if self.transport.get_write_buffer_size():
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, say: Callable[[], None], leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._say = say
        self._leave = leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leave()
        await super().shutdown(sockets)


def _read_from(before: Probed, results: Results) -> str:
    """A name that was mistyped begins a new database, which would look like results that are gone."""
    if not before.is_there:
        return f"It has begun a new results database, {before.address}: nothing was there."
    count = len(study_names(results.store()))
    studies = "no study yet" if not count else "1 study" if count == 1 else f"{count} studies"
    return f"It reads the results in {before.address}, which have {studies}."


def _run(app: Any, listening: socket.socket, say: Say, source: str) -> None:
    config = uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,  # a line for each request would say who asks what
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For is whatever somebody writes
        timeout_graceful_shutdown=DRAIN_SECONDS,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
    )
    parts: Parts = app.state.parts
    greeting = f"lrsweep serves at {_url(listening)}. Ctrl-C stops it.\n{source}"
    server = _Server(config, lambda: say(greeting), parts.streams.close_all)
    # uvicorn drains, puts back what was there before, and raises the signal once more
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        asyncio.run(server.serve([listening]))
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    say("stopped")


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (it is asked for what it means)
    return f"http://{f'[{near}]' if ':' in near else near}:{port}"
