"""What is asked and answered, for OpenAPI: the parts that a program may rely on, each with an example.

Answers are built elsewhere, and a model here says what is in them; more keys may come with a release.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.types import JsonValue

MOST_STEPS = 100_000
MOST_METRICS = 10_000

CURVE: JsonValue = [0.4, 0.3, 0.2, 0.1]
SUMMARY: dict[str, JsonValue] = {
    "id": 3,
    "at": "2026-11-20T02:00:00+00:00",
    "summary": "linear at 0.4 with sgd, 600 steps",
    "family": "linear",
    "peak_lr": 0.4,
    "evidence": "proven",
}
STANDING: dict[str, JsonValue] = {
    "study": "digits",
    "sweep": "3fa1c2d4e5b6a7980123456789abcdef",
    "state": "finished",
    "is_driven": False,
    "trials_told": 60,
    "trials_wanted": 60,
    "best": 0.0802,
    "family": "linear",
    "metric": "val_loss",
    "began_at": 1795000000.0,
    "seconds": 23.6,
}


REGISTERED: dict[str, JsonValue] = {
    "at": "2026-11-19T10:12:00+00:00",
    "hash": "5f2a96a6cf1c1ee4d1b3e6d4f0f1a2a87b6c3f0b3a3c50b7a3b5c0f2e8d9a174",
}
QUEUE: dict[str, JsonValue] = {
    "state": "ended",
    "asked_at": "2026-11-20T01:59:58+00:00",
    "ended_at": "2026-11-20T02:00:24+00:00",
    "attempts": 1,
    "is_cancelled": False,
    "deadline_seconds": None,
    "registered": REGISTERED,
    "runs": REGISTERED,
    "error": None,
}


class Answered(BaseModel):
    """An answer: more keys may come."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Problem(Answered):
    """RFC 9457: what was given, what is wanted, what to do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "there is no study 'digts'. Did you mean 'digits'? There are: digits, quick.",
                }
            ]
        },
    )
    type: str
    title: str
    status: int
    detail: str


class StudyLine(Answered):
    name: str
    newest_sweep: str | None
    """None where results were removed, or no sweep has begun"""
    began: str | None
    is_finished: bool
    champion: str | None
    """what is in force, in short"""
    evidence: str | None


class StudyPage(Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "studies": [
                        {
                            "name": "digits",
                            "newest_sweep": STANDING["sweep"],
                            "began": "2026-11-20T02:00:00+00:00",
                            "is_finished": True,
                            "champion": SUMMARY["summary"],
                            "evidence": "proven",
                        }
                    ],
                    "next": "ZGlnaXRz",
                }
            ]
        },
    )
    studies: list[StudyLine]
    next: str | None
    """the cursor of the next page"""


class StudyAnswer(Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "digits",
                    "standing": STANDING,
                    "champion": SUMMARY,
                    "candidate": None,
                    "sweeps": [
                        {"sweep": STANDING["sweep"], "status": "finished", "began": "2026-11-20T02:00:00+00:00"}
                    ],
                    "is_registered": True,
                    "registered": REGISTERED,
                    "queued": [],
                }
            ]
        },
    )
    name: str
    standing: dict[str, Any] | None
    """of the newest sweep, as `lrsweep status --json` says it"""
    champion: dict[str, Any] | None
    """as a row of `lrsweep history --json`"""
    candidate: dict[str, Any] | None
    sweeps: list[dict[str, Any]]
    """the newest first, 100 at most"""
    is_registered: bool
    """whether it may be started here: POST its sweeps"""
    registered: dict[str, Any] | None = None
    """when its text was registered, and the SHA-256 of that text: what a worker runs that begins now"""
    queued: list[dict[str, Any]]
    """what was asked for and is not over"""


class ScheduleAnswer(Answered):
    """Which schedule to use, and how far that is shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "study": "digits",
                    "source": "champion",
                    "sweep": STANDING["sweep"],
                    "recommended": "linear",
                    "evidence": "recommended",
                    "n": 5,
                    "horizon": 4,
                    "found_on": 4,
                    "peak_lr": 0.4,
                    "rates": CURVE,
                    "notes": [],
                    "next_step": "5 more seeds each of linear and cosine",
                    "choice": {"format": 1, "name": "digits", "schedule": {"version": 1, "family": "linear"}},
                }
            ]
        },
    )
    study: str
    source: Literal["champion", "sweep"]
    """what was promoted; or, where nothing was, what the newest sweep that has come to a value recommends"""
    sweep: str | None
    recommended: str
    """the family"""
    evidence: str | None
    """proven, recommended or undecided"""
    n: int | None
    """seeds"""
    horizon: int
    found_on: int
    """the horizon on which it was found; on another one the measured exponent has moved the peak, as `notes` say"""
    peak_lr: float
    rates: list[float] | None
    """one for each update; null where the schedule reacts to a metric, or has more steps than are given"""
    notes: list[str]
    next_step: str | None = None
    """what would raise the evidence"""
    choice: dict[str, Any]
    """the whole of it, as a promoted file holds it: `lrsweep.load_choice` reads this"""


class SweepAnswer(Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **STANDING,
                    "generation": "9b1d",
                    "is_over": True,
                    "queue": QUEUE,
                    "links": {"report": "/v1/sweeps/3fa1c2d4/report"},
                }
            ]
        },
    )
    study: str
    sweep: str
    generation: str
    state: str
    """queued or starting before it has begun (cancelled or failed where that was all); then running, ending,
    unfinished, finished, stopped or cancelled"""
    is_driven: bool
    is_over: bool
    """whether nothing goes on with it by itself"""
    trials_told: int
    trials_wanted: int | None
    queue: dict[str, Any] | None
    """of one that was asked for over HTTP: queued, claimed (by a worker), ended, failed or cancelled, and why.
    `registered` is the study's text when it was asked, `runs` the one that a worker began with, null before that"""
    links: dict[str, str]


class StartQuestion(BaseModel):
    """How to start a sweep; nothing of what is trained."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"deadline": "6h", "another": False}]},
    )
    deadline: Annotated[str, Field(max_length=20)] | None = None
    """a time such as "90s", "10m" or "6h", after which it stops in order; the study's own by default"""
    another: bool = False
    """whether to start another sweep although one of the same generation exists"""


class StartAnswer(Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "study": "digits",
                    "sweep": STANDING["sweep"],
                    "course": "first",
                    "asked_at": QUEUE["asked_at"],
                    "deadline_seconds": 21600,
                    "another": False,
                    "registered": REGISTERED,
                    "links": {"events": "/v1/sweeps/3fa1c2d4/events"},
                }
            ]
        },
    )
    study: str
    sweep: str
    """the unfinished one that goes on, or the new one"""
    course: str | None
    """continue; first, changed, cancelled or another: a new one, and why; nothing: it is finished, and nothing was
    queued"""
    asked_at: str | None
    deadline_seconds: float | None
    another: bool
    registered: dict[str, Any] | None = None
    """when the text was registered that the study had when this was asked, and the SHA-256 of that text. A worker runs
    what is registered when it begins: `queue.runs` of the sweep says which text that was"""
    links: dict[str, str]


class CancelAnswer(Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"study": "digits", "sweep": STANDING["sweep"], "state": "running", "is_cancelled": True}]
        },
    )
    study: str
    sweep: str
    state: str
    """cancelled, or what it still is: who drives it saves what runs first"""
    is_cancelled: bool


class FamiliesAnswer(Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"families": [{"name": "linear", "kind": "time-driven", "formula": "1 - x", "settings": []}]}]
        },
    )
    families: list[dict[str, Any]]
    """as `lrsweep families --json` shows them: formula, settings with their ranges, when to use it"""


class PreviewQuestion(BaseModel):
    """A schedule, and how long and how high it is."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        json_schema_extra={
            "examples": [{"family": "wsd", "settings": {"warmup": 0.1, "cooldown": 0.2}, "steps": 10, "peak_lr": 0.1}]
        },
    )
    family: Annotated[str, Field(max_length=100)]
    """a name of `GET /v1/families`; not `function`, which would run code"""
    settings: dict[str, Any] = Field(default_factory=dict)
    """by name, as in a schedule's JSON"""
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 1000
    peak_lr: Annotated[float, Field(gt=0)] = 1.0
    metrics: Annotated[list[float], Field(max_length=MOST_METRICS)] | None = None
    """for a schedule that reacts to one, and for no other; evenly spaced"""


class PreviewAnswer(Answered):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"schedule": {"version": 1, "family": "linear"}, "steps": 4, "peak_lr": 0.4, "rates": CURVE}]
        },
    )
    schedule: dict[str, Any]
    """with all its settings"""
    steps: int
    peak_lr: float
    rates: list[float]


class Alive(Answered):
    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok", "version": "0.1.0"}]})
    status: Literal["ok"]
    version: str
