"""Where MLflow's page of a sweep's study is, asked of its server by HTTP alone: the service loads no MLflow.

The link goes to the saved view of the families, or to the same as plain filters where that could not be saved.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

from lrsweep.errors import TrackingUnavailable
from lrsweep.redaction import public_link
from lrsweep.study import ResolvedStudy
from lrsweep.tracking.probing import credentials
from lrsweep.tracking.views import BY_FAMILY, Look, filter_link, saved_views, view_link

TIMEOUT_SECONDS = 5.0
LARGEST_ANSWER = 4 * 2**20


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def is_an_address(uri: str) -> bool:
    """
    >>> is_an_address("http://127.0.0.1:5000"), is_an_address("http://"), is_an_address("http://host:port")
    (True, False, False)
    """
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0 and uri.isprintable() and " " not in uri
    except ValueError:
        return False


def page_of(uri: str, run_id: str, study: ResolvedStudy, *, base: str) -> str:
    """The page's address, below ``base``; ``run_id`` is of the sweep's own run.

    Raises LookupError where the server has no such run, TrackingUnavailable where it does not answer as it must.
    """
    run = _asked(uri, "runs/get", {"run_id": run_id})
    try:
        experiment_id = str(run["run"]["info"]["experiment_id"])
        experiment = _asked(uri, "experiments/get", {"experiment_id": experiment_id})["experiment"]
        look = Look.of(study, experiment["name"])
        tags = {each["key"] for each in experiment.get("tags", ())}
    except (KeyError, TypeError) as error:
        raise TrackingUnavailable(f"what answers at {public_link(uri)} is no MLflow server.") from error
    is_saved = tags >= set(saved_views(look))
    return (view_link if is_saved else filter_link)(base, experiment_id, look, BY_FAMILY)


def _asked(uri: str, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
    parts = urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    address = f"{bare}/api/2.0/mlflow/{path}?{urlencode(query)}"
    request = urllib.request.Request(address, headers=credentials(parts, os.environ))  # noqa: S310 (http or https)
    opener = urllib.request.build_opener(_NoRedirects, _Http, _Https(_tls(os.environ)))
    shown = public_link(uri)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            found = json.loads(answer.read(LARGEST_ANSWER))
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.NOT_FOUND:
            raise LookupError(path) from None
        raise TrackingUnavailable(
            f"MLflow at {shown} answers {error.code} to a question of the service. `lrsweep doctor`, with the same "
            "environment, says what it lets this user do."
        ) from None
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        raise TrackingUnavailable(
            f"MLflow at {shown} does not answer. Start it again, or ask later; `lrsweep doctor` says more."
        ) from None
    if not isinstance(found, dict):
        raise TrackingUnavailable(f"what answers at {shown} is no MLflow server.")
    return found


def _tls(environ: Mapping[str, str]) -> ssl.SSLContext:
    """As MLflow's own variables say it."""
    context = ssl.create_default_context(cafile=environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)
    if environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _limit(connection: socket.socket) -> None:
    """A timeout alone is for each read: who sends a byte a second would be heard for as long as it likes."""
    end = threading.Timer(TIMEOUT_SECONDS, _end, (connection,))
    end.daemon = True
    end.start()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # TLS's own would change what another thread reads from


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _limit(self.sock)


class _Secured(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _limit(self.sock)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Secured, req, context=self._tls)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A password is not carried to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None
