"""``lrsweep ui``: MLflow's own server on our store, and the links that open its page on the right views."""

from __future__ import annotations

import signal
from collections.abc import Callable

from lrsweep.findings.reading import chosen_sweep, generation_of
from lrsweep.records import StudyRow, SweepRow
from lrsweep.redaction import public_link
from lrsweep.store import open_store
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking import Tracker
from lrsweep.tracking.server import MlflowServer
from lrsweep.tracking.views import BY_FAMILY, VIEWS, Look, filter_link, view_link


def serve_ui(homes: Homes, study: str | None, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serves until it is interrupted. Where the user has a tracking server of their own, only prints the links."""
    row, sweep = _study_to_show(homes, study)
    tracker = Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
    resolved = resolved_from(row, sweep)
    experiment = tracker.experiment(resolved, sweep)
    look = Look.of(resolved, experiment.name)
    if homes.mlflow_uri.startswith(("http://", "https://")):
        base = public_link(homes.mlflow_uri)
        say(view_link(base, experiment.experiment_id, look))
        # that server's page may be older than saved views, or its tags may not be ours to set
        say("Plain filters, should a page open without charts:")
        for view in VIEWS:
            say(f"  {view}: {filter_link(base, experiment.experiment_id, look, view)}")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server, once started, must not outlive us
    try:
        with MlflowServer(homes.mlflow_uri, str(homes.artifact_root or ""), host=host, port=port) as server:
            say(f"study {row.name!r}: {view_link(server.url, experiment.experiment_id, look)}")
            for view in VIEWS:
                if view != BY_FAMILY:
                    say(f"  {view}: {view_link(server.url, experiment.experiment_id, look, view)}")
            say("Ctrl-C stops the server.")
            server.wait()
    except KeyboardInterrupt:
        say("stopped")


def _study_to_show(homes: Homes, given: str | None) -> tuple[StudyRow, SweepRow]:
    """The study as its newest sweep asked it; of the study with the newest sweep, where none is named."""
    store = open_store(homes.results_url)
    try:
        sweep = chosen_sweep(store, given)
        return generation_of(store, sweep), sweep
    finally:
        store.close()
