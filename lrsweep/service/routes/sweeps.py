"""One sweep: where it stands, and its report."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import HTMLResponse

from lrsweep.records import Json, SweepRow, SweepStatus
from lrsweep.service.guard import LARGEST_COST
from lrsweep.service.kept import Made
from lrsweep.service.results import state_of, sweep_of_id
from lrsweep.service.routes.common import needs, parts_of, refusals
from lrsweep.service.shapes import SweepAnswer
from lrsweep.service.sources import Sources
from lrsweep.service.starting import is_over, links_of, queue_json, state_in_queue, sweep_or_queued
from lrsweep.store import Store
from lrsweep.store.tokens import Scope

PAGE_COSTS = LARGEST_COST
"""Requests that a page counts as: to make one takes about a second."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; sandbox allow-scripts "
    "allow-downloads; frame-ancestors 'none'"
)
"""The page has its script and its style inside, loads nothing, and is of no origin: it can ask for nothing here."""
STALE_SECONDS = 10
"""For so long the page of a sweep that goes on is kept: curves grow without an event."""

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"])


@router.get(
    "/{sweep_id}",
    response_model=SweepAnswer,
    responses=refusals(404),
    dependencies=[needs(Scope.READ)],
    summary="A sweep",
)
def get_sweep(request: Request, sweep_id: str) -> dict[str, Json]:
    parts = parts_of(request)
    store = parts.results.store()
    sweep, row = sweep_or_queued(store, sweep_id)
    told = {
        "is_over": is_over(store, sweep, row),
        "queue": None if row is None else queue_json(row),
    }
    if sweep is not None:
        links = links_of(sweep.study, sweep_id)
        return {**standing_of(parts.sources, store, sweep), "generation": sweep.generation, **told, "links": links}
    assert row is not None, "one of them is there"
    kept = next(iter(store.queue.registered(row.study)), None)
    return {
        "study": row.study,
        "sweep": sweep_id,
        "generation": "" if kept is None else kept.generation,
        "state": state_in_queue(row),
        "is_driven": False,
        "trials_told": 0,
        "trials_wanted": None,
        **told,
        "links": links_of(row.study, sweep_id, has_begun=False),
    }


@router.get(
    "/{sweep_id}/report",
    response_class=HTMLResponse,
    responses={304: {"description": "What the ETag in If-None-Match names is still the page"}, **refusals(404)},
    dependencies=[needs(Scope.READ, PAGE_COSTS)],
    summary="A sweep's report, as one page",
)
def get_report(
    request: Request,
    sweep_id: str,
    if_none_match: Annotated[str | None, Header(description="ETags that are known already.")] = None,
) -> Response:
    parts = parts_of(request)
    store = parts.results.store()
    sweep = sweep_of_id(store, sweep_id)
    is_over = sweep.status is not SweepStatus.RUNNING
    of_now = 0 if is_over else int(time.time() // STALE_SECONDS)
    key = ("page", store, sweep_id, state_of(store, sweep.study, [sweep]), of_now)
    made = parts.kept.get(key, lambda: Made.of(parts.sources.page(store, sweep).encode(), "text/html"))
    headers = {"ETag": made.etag, "Cache-Control": "private, no-cache", "Content-Security-Policy": PAGE_POLICY}
    if made.is_known_by(if_none_match):
        return Response(status_code=304, headers=headers)
    return HTMLResponse(made.body, headers=headers)


def standing_of(sources: Sources, store: Store, sweep: SweepRow) -> dict[str, Any]:
    """Without the name of the machine that drives it, which is nobody's business over a network."""
    found = dict(sources.standing(store, sweep))
    driver = found.pop("driver", None)
    return {**found, "is_driven": driver is not None}
