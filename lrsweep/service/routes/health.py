"""Whether the service lives, whether it can answer, and what it has done so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from lrsweep.errors import LrsweepError
from lrsweep.records import Json
from lrsweep.service.metrics import MEDIA_TYPE, labelled
from lrsweep.service.problems import away
from lrsweep.service.routes.common import Parts, needs, parts_of, refusals
from lrsweep.service.shapes import Alive, Problem
from lrsweep.store.champions import stacks
from lrsweep.store.tokens import Scope

router = APIRouter(tags=["health"])


@router.get(
    "/healthz", response_model=Alive, responses={413: {"model": Problem}}, summary="Whether the process answers"
)
async def healthz(request: Request) -> dict[str, Json]:
    """Needs no token, and asks nothing else."""
    return {"status": "ok", "version": parts_of(request).version}


@router.get(
    "/readyz",
    response_model=Alive,
    responses={413: {"model": Problem}, 503: {"model": Problem}},
    summary="Whether it can answer",
)
def readyz(request: Request) -> dict[str, Json]:
    """503 where the database is away or of another version. Needs no token."""
    parts = parts_of(request)
    try:
        parts.results.store()
    except LrsweepError:  # its text has the database's host and port, and whoever asks here is not known
        raise away() from None
    return {"status": "ok", "version": parts.version}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **refusals()},
    dependencies=[needs(Scope.READ)],
    summary="Counts for Prometheus",
)
def metrics(request: Request) -> Response:
    parts = parts_of(request)
    return Response(parts.requests.text(_gauges(parts)), media_type=MEDIA_TYPE)


def _gauges(parts: Parts) -> Mapping[str, tuple[str, Mapping[str, float]]]:
    store = parts.results.store()
    names = store.study_names()
    states = {status.value: count for status, count in store.sweep_counts().items()}
    in_force = Counter(alias.value for _, alias in stacks(store.champions.rows()))
    return {
        "lrsweep_info": ("The release.", {labelled(version=parts.version): 1}),
        "lrsweep_studies": ("Studies that have results.", {"": len(names)}),
        "lrsweep_sweeps": (
            "Sweeps, by status.",
            {labelled(status=key): count for key, count in sorted(states.items())},
        ),
        "lrsweep_driven": ("Studies that are driven now.", {"": len(store.holders())}),
        "lrsweep_in_force": (
            "Choices in force.",
            {labelled(alias=key): count for key, count in sorted(in_force.items())},
        ),
    }
