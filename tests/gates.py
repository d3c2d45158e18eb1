"""A proxy before a server, as a company has one: a keeper looks at each request, and passes it on or answers itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Headers = Mapping[str, str]
"""as the caller spelt them"""


@dataclass(frozen=True)
class Refusal:
    status: int
    body: bytes


Keeper = Callable[[str, Headers], Refusal | Headers]
"""method and headers of a request -> what is answered to it, or what it carries to the server in place of its own
``Authorization``"""


@contextmanager
def a_gate(behind: str, keeper: Keeper) -> Iterator[str]:
    """The address of a proxy before ``behind``."""

    class Gate(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = dict(self.headers.items())
            found = keeper(self.command, headers)
            if isinstance(found, Refusal):
                self.reply(found.status, found.body)
                return
            kept = {name: value for name, value in headers.items() if name not in ("Host", "Authorization")}
            line = HTTPConnection(urlsplit(behind).netloc, timeout=120)
            line.request(self.command, self.path, body, {**kept, **found})
            answer = line.getresponse()
            self.reply(answer.status, answer.read())
            line.close()

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 (http.server calls them so)

        def log_message(self, *_: object) -> None:
            """Nothing: it would stand among the tests' output."""

    gate = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    thread = threading.Thread(target=gate.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{gate.server_port}"
    finally:
        gate.shutdown()
        thread.join()
        gate.server_close()
