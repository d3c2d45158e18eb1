"""A look at MLflow for ``lrsweep doctor``: does it answer, what is it, and what does it let this user do?

Rights are tried out, since no server says them: on a run in an experiment of the doctor's own, which are deleted again
(MLflow keeps what is deleted until `mlflow gc`). A database of ours has no rights to try, and nothing is made in one.
"""

from __future__ import annotations

import base64
import http.client
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from lrsweep.redaction import shown, without_secrets
from lrsweep.tracking.connection import POSTGRESQL, load_mlflow, ready, translated, usable
from lrsweep.tracking.permissions import is_denied

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "lrsweep-doctor"
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class TrackingProbed:
    uri: str
    """for people: without a password"""
    version: str | None
    """of a server, where it says it; of a database, that of the MLflow here"""
    denied: Mapping[str, str] = field(default_factory=dict)
    """what this user may not do -> what MLflow said"""


def is_made(uri: str) -> bool:
    """Whether MLflow's tables are in a database of ours; they are made by the first sweep, or by `lrsweep ui`."""
    uri = usable(uri)
    if uri.startswith("sqlite:///"):
        file = Path(uri.removeprefix("sqlite:///").partition("?")[0])
        if not file.exists():
            return False
        with translated(uri), closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'experiments'")
            return found.fetchone() is not None
    import psycopg

    with translated(uri):
        plain = uri.replace(f"{POSTGRESQL}:", "postgresql:", 1)
        with psycopg.connect(plain, connect_timeout=int(TIMEOUT_SECONDS), autocommit=True) as database:
            row = database.execute("SELECT to_regclass('experiments') IS NOT NULL").fetchone()
            return bool(row and row[0])


def probe_tracking(uri: str, *, try_rights: bool) -> TrackingProbed:
    """Raises SettingsError for a URI that cannot be read, TrackingUnavailable with what to check."""
    uri = usable(uri)
    load_mlflow(TIMEOUT_SECONDS)
    import mlflow
    from mlflow import MlflowClient

    with translated(uri), ready(uri, artifact_root=None, timeout_seconds=TIMEOUT_SECONDS) as opened:
        client = MlflowClient(tracking_uri=opened, registry_uri=opened)
        client.search_experiments(max_results=1)
        is_server = uri.startswith(("http://", "https://"))
        version = version_of_server(uri, os.environ) if is_server else str(mlflow.__version__)
        return TrackingProbed(shown(uri), version, _denied(client, uri, has_store=is_server) if try_rights else {})


def _denied(client: MlflowClient, uri: str, *, has_store: bool) -> dict[str, str]:
    """``has_store``: a bare database keeps artifacts below the working folder, where nothing is to be left.

    Whatever goes wrong, what was made is deleted again.
    """
    denied: dict[str, str] = {}

    def tries(what: str, call: Callable[[], Any]) -> Any:
        """The answer, or None where it is refused; any other error is one."""
        try:
            return call()
        except Exception as error:
            if not is_denied(error):
                raise
            denied[what] = without_secrets(str(error).strip().partition("\n")[0], uri)
            return None

    experiment = tries("make experiments", lambda: _experiment(client))
    if experiment is None:
        return denied
    with ExitStack() as undoing:
        undoing.callback(tries, "delete experiments", lambda: client.delete_experiment(experiment))
        run = tries("make runs", lambda: client.create_run(experiment, tags={"lrsweep.kind": "doctor"}))
        if run is not None:
            run_id = run.info.run_id
            undoing.callback(tries, "delete runs", lambda: client.delete_run(run_id))
            tries("log metrics", lambda: client.log_metric(run_id, "lr", 0.1, step=0))
            tries("tag runs", lambda: client.set_tag(run_id, "lrsweep.kind", "doctor"))
            tries("tag experiments, which the saved views are", lambda: _tag(client, experiment))
            if has_store:
                tries("store artifacts", lambda: client.log_text(run_id, "lrsweep doctor was here\n", "doctor.txt"))
    return denied


def _experiment(client: MlflowClient) -> str:
    """The doctor's own: one name for ever, so that the deleted ones do not grow in number."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return str(client.create_experiment(EXPERIMENT))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _tag(client: MlflowClient, experiment: str) -> None:
    client.set_experiment_tag(experiment, "lrsweep.kind", "doctor")


def version_of_server(uri: str, environ: Mapping[str, str]) -> str | None:
    """What it says under /version; None where it does not, or where a proxy stands before it."""
    parts = urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # urllib takes a user for a part of the host
    request = urllib.request.Request(f"{bare.rstrip('/')}/version", headers=credentials(parts, environ))  # noqa: S310 (http)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            text = answer.read(100).decode("utf-8", "replace").strip().strip('"')
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return text if text[:1].isdigit() else None


def credentials(parts: SplitResult, environ: Mapping[str, str]) -> dict[str, str]:
    """Those in the URI, else by MLflow's own variables: the order in which its own requests take them."""
    if parts.password is not None:
        return _basic(unquote(parts.username or ""), unquote(parts.password))
    user, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return _basic(user, password)
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
