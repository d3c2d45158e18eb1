"""Studies: which there are, where one stands, and the schedule of one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Request, Response

from lrsweep.champion.history import Entry, when
from lrsweep.records import Json, SweepStatus
from lrsweep.service.answers import CODE, MOST_STEPS
from lrsweep.service.paging import page_of
from lrsweep.service.results import champions_of, refuse_unknown, study_names
from lrsweep.service.routes.common import needs, parts_of, refusals
from lrsweep.service.routes.sweeps import standing_of
from lrsweep.service.shapes import ScheduleAnswer, StudyAnswer, StudyPage
from lrsweep.service.starting import queue_json, registration
from lrsweep.store import Store
from lrsweep.store.champions import Alias, ChampionRow
from lrsweep.store.tokens import Scope

LONGEST_PAGE = 100
MOST_SWEEPS = 100

router = APIRouter(prefix="/v1/studies", tags=["studies"], dependencies=[needs(Scope.READ)])


@router.get("", response_model=StudyPage, responses=refusals(), summary="The studies, by name")
def list_studies(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Studies in a page.")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=400, description="`next` of the page before; left out for the first.")
    ] = None,
) -> dict[str, Json]:
    store = parts_of(request).results.store()
    names, after = page_of(study_names(store), cursor, limit)
    return {"studies": [_line(store, name) for name in names], "next": after}


@router.get("/{name}", response_model=StudyAnswer, responses=refusals(404), summary="A study")
def get_study(request: Request, name: str) -> dict[str, Json]:
    parts = parts_of(request)
    store = parts.results.store()
    refuse_unknown(store, name)
    sweeps = list(reversed(store.sweeps(name)))
    champions = champions_of(store, name)
    kept = next(iter(store.queue.registered(name)), None)
    return {
        "name": name,
        "standing": standing_of(parts.sources, store, sweeps[0]) if sweeps else None,
        "champion": _entry(champions.get(Alias.CHAMPION)),
        "candidate": _entry(champions.get(Alias.CANDIDATE)),
        "sweeps": [
            {"sweep": each.sweep_id, "status": each.status.value, "began": when(each.created_at)}
            for each in sweeps[:MOST_SWEEPS]
        ],
        "is_registered": kept is not None,
        "registered": None if kept is None else registration(kept),
        "queued": [
            {"sweep": row.sweep_id, **queue_json(row)} for row in store.queue.rows(name) if not row.state.is_over
        ],
    }


@router.get(
    "/{name}/schedule",
    response_class=Response,
    responses={
        200: {
            "model": ScheduleAnswer | list[float],
            "description": "The champion, or what the newest sweep recommends. `json`: the whole; `rates`: a JSON list "
            "of one rate for each update; `csv`: the same as `step,rate`; the others: code for a library.",
            "content": {"application/json": {}, CODE: {}, "text/csv": {}},
        },
        304: {"description": "What the ETag in If-None-Match names is still the answer"},
        **refusals(404, 409),
    },
    summary="Which schedule to use",
)
async def get_schedule(
    request: Request,
    name: str,
    horizon: Annotated[
        int | None,
        Query(
            ge=1,
            le=MOST_STEPS,
            description="Updates of the training, where they are not those that the choice was found on: the peak "
            "rate moves with the measured exponent, as `notes` say.",
        ),
    ] = None,
    form: Annotated[
        Literal["json", "rates", "python", "torch", "transformers", "optax", "keras", "csv"], Query(alias="format")
    ] = "json",
    if_none_match: Annotated[str | None, Header(description="ETags that are known already.")] = None,
) -> Response:
    parts = parts_of(request)
    made = parts.answers.recent(name, horizon, form)
    if made is None:
        made = await run_sync(lambda: parts.answers.schedule(parts.results.store(), name, horizon, form))
    headers = {"ETag": made.etag, "Cache-Control": "private, no-cache"}
    if made.is_known_by(if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(made.body, headers=headers, media_type=made.media_type)


def _line(store: Store, name: str) -> dict[str, Any]:
    sweeps = store.sweeps(name)
    newest = sweeps[-1] if sweeps else None
    champion = champions_of(store, name).get(Alias.CHAMPION)
    entry = None if champion is None else Entry(champion, is_in_force=True)
    return {
        "name": name,
        "newest_sweep": None if newest is None else newest.sweep_id,
        "began": None if newest is None else when(newest.created_at),
        "is_finished": newest is not None and newest.status is SweepStatus.FINISHED,
        "champion": None if entry is None else entry.summary,
        "evidence": None if entry is None else entry.evidence,
    }


def _entry(row: ChampionRow | None) -> dict[str, Json] | None:
    return None if row is None else Entry(row, is_in_force=True).to_json()
