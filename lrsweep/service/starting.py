"""What a request for a sweep comes to: a row in the queue, or the words why there is none. Nothing is trained here.

Which sweep that is is settled now, as ``lrsweep run`` would settle it, by what the study's workload said when it was
registered: an unfinished one of the same generation goes on, else a new one gets the id of the answer. A worker that
finds it otherwise, because the file, the data or the code have changed since, says so and begins nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from lrsweep.champion.history import when
from lrsweep.findings.look import sweep_state
from lrsweep.records import Json, SweepRow, SweepStatus
from lrsweep.redaction import masked, public_text
from lrsweep.service.problems import Refused, quoted, unknown
from lrsweep.service.results import is_study, sweep_of_id
from lrsweep.store import Store
from lrsweep.store.queue import RUNS, Queued, QueueState, Registered
from lrsweep.sweep.beginning import Course, course_of, new_id
from lrsweep.sweep.owner import is_dead
from lrsweep.sweep.remembering import resolved_as_kept

TRIES = 5
"""Of one who asks as others do: each of them can be the faster one."""
OVER = (SweepStatus.FINISHED, SweepStatus.CANCELLED)


@dataclass(frozen=True)
class Wish:
    """Who asks for which study, and how."""

    study: str
    asked_by: str
    key: str | None
    deadline_seconds: float | None
    another: bool

    @property
    def options(self) -> dict[str, Json]:
        return {"deadline_seconds": self.deadline_seconds, "another": self.another}


def started(store: Store, wish: Wish) -> tuple[Mapping[str, Json], bool]:
    """The answer, and whether it has queued a sweep just now. The same question gets the same answer.

    Raises Refused: 404 for a study that is not registered, 409 where a sweep of it waits or is under way, 422 for a
    key that was another question's.
    """
    for _ in range(TRIES):
        kept = _registered(store, wish.study)
        if (before := _asked_before(store, wish)) is not None:
            return _answer(before), False
        try:
            _refuse_second(store, wish.study)
        except Refused:
            if (meanwhile := _asked_before(store, wish)) is not None:  # the same question, a moment sooner
                return _answer(meanwhile), False
            raise
        course, sweep = settled(store, kept, another=wish.another)
        is_nothing = course is Course.NOTHING
        if sweep is not None and is_nothing and wish.key is None:
            return _nothing(sweep, wish, kept), False
        goes_on = sweep is not None and not course.is_new
        options = {
            **wish.options,
            "course": course.value,
            "generation": kept.generation,
            "registered": registration(kept),
            "seconds_before": sweep.seconds if sweep and goes_on else 0,
        }
        sweep_id = sweep.sweep_id if sweep and goes_on else new_id()
        state = QueueState.ENDED if is_nothing else QueueState.QUEUED  # the key has its answer, and nobody drives
        with suppress(ValueError):  # somebody was faster
            row, is_new = store.queue.add(Queued(sweep_id, wish.study, wish.asked_by, wish.key, options, state))
            if is_new:
                return _answer(row), not is_nothing
    raise Refused(HTTPStatus.CONFLICT, f"others start sweeps of study {wish.study!r} at this moment: ask again.")


def registration(kept: Registered) -> dict[str, Json]:
    """Which text of the study's file this is. A worker runs the one that is registered when it begins."""
    return {"at": when(kept.at), "hash": kept.text_hash}


def settled(store: Store, kept: Registered, *, another: bool) -> tuple[Course, SweepRow | None]:
    """And the newest sweep of its generation."""
    study = resolved_as_kept(kept)
    found = [each for each in store.sweeps(kept.study) if each.generation == kept.generation]
    newest = found[-1] if found else None
    return course_of(store, study, newest, "always" if another else "never"), newest


def is_driven(store: Store, study: str) -> bool:
    holder = store.holders().get(study)
    return holder is not None and not is_dead(holder.owner)


def cancelled(store: Store, sweep_id: str, asked_by: str) -> Mapping[str, Json]:
    """Of one that waits, at once; of one that has begun, by who drives it, or by the next worker.

    Raises Refused: 404 for one that is not there, 409 for one that is over.
    """
    sweep, row = sweep_or_queued(store, sweep_id)
    if row is not None and not row.state.is_over:
        with suppress(ValueError):  # it has ended just now: what is said below holds
            row = store.queue.cancel(sweep_id, has_begun=sweep is not None)
            if sweep is not None:
                _ask(store, sweep)
            return {"study": row.study, "sweep": sweep_id, "state": row.state.value, "is_cancelled": True}
    if sweep is None or sweep.status in OVER:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"sweep {sweep_id} is {_state(sweep, row)} already: there is nothing to cancel.",
        )
    _ask(store, sweep)
    if sweep.status is not SweepStatus.RUNNING or not is_driven(store, sweep.study):
        with suppress(ValueError):  # another one of the study waits: who drives that ends this one too
            store.queue.add(Queued(sweep_id, sweep.study, asked_by, is_cancelled=True))
    return {"study": sweep.study, "sweep": sweep_id, "state": sweep.status.value, "is_cancelled": True}


# ── what the queue says ──────────────────────────────────────────────────────────────────────────────────────────────
def sweep_or_queued(store: Store, sweep_id: str) -> tuple[SweepRow | None, Queued | None]:
    """The sweep, and the newest row that asked for it. Raises Refused (404), with the newest ids, where there is
    neither."""
    sweep, row = _sweep(store, sweep_id), _row(store, sweep_id)
    if row is None and sweep is None:
        sweep_of_id(store, sweep_id)
    return sweep, row


def is_over(store: Store, sweep: SweepRow | None, row: Queued | None) -> bool:
    """Whether nothing goes on with it by itself."""
    if row is not None and not row.state.is_over:
        return False
    if sweep is None or sweep.status is not SweepStatus.RUNNING:
        return True
    return not is_driven(store, sweep.study)


def state_of_both(store: Store, sweep: SweepRow | None, row: Queued | None) -> dict[str, Json]:
    """Where it stands, in a few words that change seldom."""
    if sweep is not None:
        state = sweep_state(sweep, is_driven=is_driven(store, sweep.study))
    else:
        state = "" if row is None else state_in_queue(row)
    return {"state": state, "queue": None if row is None else row.state.value, "is_over": is_over(store, sweep, row)}


def state_in_queue(row: Queued) -> str:
    """Of a sweep that has not begun."""
    return "starting" if row.state is QueueState.CLAIMED else row.state.value


def queue_json(row: Queued) -> dict[str, Json]:
    """Without who asked and which process works on it."""
    return {
        "state": row.state.value,
        "asked_at": when(row.at),
        "ended_at": None if row.ended_at is None else when(row.ended_at),
        "attempts": row.attempts,
        "is_cancelled": row.is_cancelled,
        "deadline_seconds": row.options.get("deadline_seconds"),
        "registered": row.options.get("registered"),
        "runs": row.options.get(RUNS),
        "error": None if row.error is None else public_text(masked(row.error)),
    }


def links_of(study: str, sweep_id: str, *, has_begun: bool = True) -> dict[str, Json]:
    mine = f"/v1/sweeps/{sweep_id}"
    links = {"study": f"/v1/studies/{study}", "schedule": f"/v1/studies/{study}/schedule", "sweep": mine}
    return {**links, "events": f"{mine}/events", **({"report": f"{mine}/report"} if has_begun else {})}


def _answer(row: Queued) -> dict[str, Json]:
    """Of what never changes: the same question gets the same bytes."""
    return {
        "study": row.study,
        "sweep": row.sweep_id,
        "course": row.options.get("course"),
        "asked_at": when(row.at),
        "deadline_seconds": row.options.get("deadline_seconds"),
        "another": bool(row.options.get("another")),
        "registered": row.options.get("registered"),
        "links": links_of(row.study, row.sweep_id, has_begun=row.is_answer),
    }


def _nothing(sweep: SweepRow, wish: Wish, kept: Registered) -> dict[str, Json]:
    return {
        "study": sweep.study,
        "sweep": sweep.sweep_id,
        "course": Course.NOTHING.value,
        "asked_at": None,
        **wish.options,
        "registered": registration(kept),
        "links": links_of(sweep.study, sweep.sweep_id),
    }


def _registered(store: Store, study: str) -> Registered:
    found = store.queue.registered(study)
    if found:
        return found[0]
    remedy = "`lrsweep register` with a study's file, on the service's machine, lets it be started over HTTP."
    if is_study(store, study):
        raise Refused(HTTPStatus.NOT_FOUND, f"study {study!r} is not registered. {remedy}")
    raise unknown("registered study", study, store.queue.registered_names(), remedy)


def _asked_before(store: Store, wish: Wish) -> Queued | None:
    if wish.key is None:
        return None
    for row in store.queue.rows(wish.study):
        if (row.asked_by, row.idempotency_key) == (wish.asked_by, wish.key):
            if {name: row.options.get(name) for name in wish.options} != wish.options:
                raise Refused(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    f"the Idempotency-Key {quoted(wish.key)} was of a question with another body; wanted is a new key "
                    "for each new question.",
                )
            return row
    return None


def _refuse_second(store: Store, study: str) -> None:
    """One that waits, that a worker has, or that somebody drives by hand."""
    waiting = next((row for row in store.queue.rows(study) if not row.state.is_over), None)
    running = [sweep for sweep in store.sweeps(study) if sweep.status is SweepStatus.RUNNING]
    if waiting is not None:
        sweep_id, state = waiting.sweep_id, waiting.state.value
    elif running and is_driven(store, study):
        sweep_id, state = running[-1].sweep_id, "running"
    else:
        return
    raise Refused(
        HTTPStatus.CONFLICT,
        f"study {study!r} has a sweep already, {sweep_id}, which is {state}: GET /v1/sweeps/{sweep_id} follows it, and "
        f"POST /v1/sweeps/{sweep_id}/cancel ends it.",
        sweep=sweep_id,
    )


def _sweep(store: Store, sweep_id: str) -> SweepRow | None:
    try:
        return store.sweep(sweep_id)
    except KeyError:
        return None


def _ask(store: Store, sweep: SweepRow) -> None:
    with suppress(ValueError):  # it has ended just now
        store.ask_to_cancel(sweep.sweep_id)


def _row(store: Store, sweep_id: str) -> Queued | None:
    try:
        return store.queue.row(sweep_id)
    except KeyError:
        return None


def _state(sweep: SweepRow | None, row: Queued | None) -> str:
    if sweep is not None:
        return sweep.status.value
    return "not there" if row is None else row.state.value
