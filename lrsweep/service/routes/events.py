"""What happens in a sweep, as it happens."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Request, Response

from lrsweep.service.following import MEDIA_TYPE, Stream, look_at, told
from lrsweep.service.routes.common import needs, parts_of, refusals
from lrsweep.store.tokens import Scope

LARGEST_NUMBER = 2**63 - 1

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"])


@router.get(
    "/{sweep_id}/events",
    response_class=Response,
    responses={
        200: {"description": "Events as they happen, until the sweep is over", "content": {MEDIA_TYPE: {}}},
        204: {"description": "It is over, and nothing came after the last event: there is no need to come again"},
        **refusals(404),
    },
    dependencies=[needs(Scope.READ)],
    summary="What happens in a sweep, as server-sent events",
)
async def get_events(
    request: Request,
    sweep_id: str,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=LARGEST_NUMBER, description="The last `id` that was heard: what comes after it.")
    ] = None,
) -> Response:
    """`state` says where it stands; the others are lines of the study's history, which have an `id`. A program passes
    over events and keys that it does not know."""
    parts = parts_of(request)
    caller = request.state.caller.name
    look = await run_sync(lambda: look_at(parts.results.store(), sweep_id, last_event_id or 0))
    if look.is_over and not look.lines and last_event_id is not None:
        return Response(status_code=204)
    parts.streams.open(caller)
    return Stream(parts.streams, caller, told(parts.streams, parts.results.store, sweep_id, last_event_id or 0))
