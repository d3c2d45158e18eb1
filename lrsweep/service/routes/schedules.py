"""Schedules as such: which families there are, and what rates one gives. Nothing of a store is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from lrsweep.errors import ScheduleError
from lrsweep.records import Json
from lrsweep.schedules import Schedule, schedule_from_json
from lrsweep.service.problems import Refused, quoted
from lrsweep.service.routes.common import in_line, needs, parts_of, refusals
from lrsweep.service.shapes import FamiliesAnswer, PreviewAnswer, PreviewQuestion
from lrsweep.store.tokens import Scope

CALLS = "function"
"""The family that imports and calls what a setting names."""
PREVIEW_COSTS = 5.0
"""Requests that one counts as: it computes, and nothing of it is kept."""
MOST_WINDOWED = 1_000_000
"""Window times metrics: about a second's work."""

router = APIRouter(prefix="/v1", tags=["schedules"])


@router.get(
    "/families",
    response_model=FamiliesAnswer,
    responses=refusals(),
    dependencies=[needs(Scope.READ)],
    summary="Every schedule family",
)
def list_families(request: Request) -> dict[str, Json]:
    return {"families": list(parts_of(request).sources.families())}


@router.post(
    "/preview",
    response_model=PreviewAnswer,
    responses=refusals(415),
    dependencies=[needs(Scope.READ, PREVIEW_COSTS)],
    summary="The rates of a schedule; nothing is trained or stored",
)
async def preview(request: Request, asked: PreviewQuestion) -> dict[str, Json]:
    """``function`` is refused, also inside another schedule: it would import and call what it names."""
    return await in_line(parts_of(request).previews, "previews", lambda: _previewed(asked))


def _previewed(asked: PreviewQuestion) -> dict[str, Json]:
    given = {**asked.settings, "family": asked.family}
    if _runs_code(given):
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "the family 'function' imports and calls the function that it names, and this service runs no code of who "
            "asks. `lrsweep preview --allow-code` draws it on your own machine; `table` has its rates as data.",
        )
    try:
        found = schedule_from_json(json.dumps(given))
        if asked.metrics is not None:
            _refuse_unheard(found)
            _refuse_too_long(given, asked.metrics)
            rates = found.replay(asked.metrics, asked.steps, asked.peak_lr)
        else:
            rates = found.rates(asked.steps, asked.peak_lr)
    except ScheduleError as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    except OverflowError as error:
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"a number of {quoted(asked.family)} is too large: {error}"
        ) from error
    if not np.isfinite(rates).all():
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"peak_lr is {asked.peak_lr}: rates of it are beyond any number."
        )
    return {
        "schedule": json.loads(found.to_json()),
        "steps": asked.steps,
        "peak_lr": asked.peak_lr,
        "rates": rates.tolist(),
    }


def _refuse_unheard(found: Schedule) -> None:
    if not found.needs_metric:
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"metrics are for schedules that react to one, and {found.family!r} does not: leave them out.",
        )


def _refuse_too_long(given: Json, metrics: Sequence[float]) -> None:
    """Of a schedule that can be meant: its windows are whole numbers. Without one it is quick."""
    window = sum(int(each.get("window", 0)) for each in _objects(given))
    if window * len(metrics) > MOST_WINDOWED:
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"a window of {window:,} over {len(metrics):,} metrics looks at {window * len(metrics):,} numbers; wanted "
            f"are {MOST_WINDOWED:,} at most: a smaller window, or fewer metrics.",
        )


def _runs_code(given: Json) -> bool:
    """Whether an object in it, however deep, is of the family that calls a function."""
    return any(each.get("family") == CALLS for each in _objects(given))


def _objects(given: Json) -> Iterator[dict[str, Any]]:
    """It, and those inside it, however deep."""
    waiting: list[Any] = [given]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
