"""The parts put together: an application that any ASGI server runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from lrsweep import __version__
from lrsweep.service.answers import Answers
from lrsweep.service.following import Streams
from lrsweep.service.guard import Guard
from lrsweep.service.kept import Kept, Made
from lrsweep.service.landing.gathering import Gathering
from lrsweep.service.landing.mlflow import Mlflow
from lrsweep.service.landing.sessions import Sessions
from lrsweep.service.metrics import Requests
from lrsweep.service.problems import handle_problems
from lrsweep.service.results import Results
from lrsweep.service.routes import events, health, landing, schedules, starting, studies, sweeps
from lrsweep.service.routes.common import Parts
from lrsweep.service.shield import Shield
from lrsweep.service.sources import Sources

THREADS = 8
"""Requests that are answered at a time; more would take turns at Python's lock, and at the pool's connections."""
PREVIEWS = 2
"""That compute at a time: a program that asks for many leaves the other threads to others."""
LOOKUPS = 2
"""In MLflow, at a time."""
WRITERS = 2
"""Requests that write, at a time: they may wait for another program's lock, and who reads needs none."""
KEPT_BYTES = 64 * 2**20
PAGES_BYTES = 4 * 2**20
ABOUT = """\
Which learning-rate schedule to use, and how far that is shown: what `lrsweep` has found, for programs.

What is refused is told as `application/problem+json`: what was given, what is wanted, what to do. Sweeps
of registered studies can be asked for; a worker trains them, and nothing here changes a result."""


def make_app(results: Results, *, is_local: bool, per_second: float, mlflow: Mlflow | None = None) -> FastAPI:
    """``is_local``: it listens on loopback alone, and needs no token until one is made. ``per_second``: requests of
    each caller. ``mlflow``: a server whose pages are linked to."""
    app = FastAPI(
        title="lrsweep",
        description=ABOUT,
        version=__version__,
        docs_url=None,  # they load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to whatever host the request names
        lifespan=_few_threads,
        separate_input_output_schemas=False,
    )
    requests, kept, sources = Requests(), Kept[Made](KEPT_BYTES), Sources()
    app.state.parts = Parts(
        results=results,
        sources=sources,
        guard=Guard(results.store, is_local=is_local, per_second=per_second),
        answers=Answers(sources, kept),
        kept=kept,
        requests=requests,
        previews=CapacityLimiter(PREVIEWS),
        writers=CapacityLimiter(WRITERS),
        sessions=Sessions(),
        streams=Streams(),
        gathering=Gathering(sources),
        pages=Kept[Made](PAGES_BYTES),
        lookups=CapacityLimiter(LOOKUPS),
        mlflow=mlflow,
        version=__version__,
    )
    for part in (studies, sweeps, starting, events, schedules, health, landing):
        app.include_router(part.router)
    handle_problems(app)
    app.add_middleware(Shield, requests=requests)
    _say_problem_json(app)
    return app


@asynccontextmanager
async def _few_threads(_: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = THREADS
    yield


def _say_problem_json(app: FastAPI) -> None:
    """FastAPI lists a model of a refusal as application/json, and it is application/problem+json."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found = written()
        for operations in found["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status >= "400":
                        _move(response)
        return found

    app.openapi = openapi  # type: ignore[method-assign]


def _move(response: dict[str, Any]) -> None:
    content = response.get("content", {})
    for kind in [kind for kind in content if kind != "application/problem+json"]:
        model = content.pop(kind)
        if "schema" in model:
            content["application/problem+json"] = model
