"""Sweeps that are asked for over HTTP: what is queued, what is refused, and what is cancelled. Nobody drives here."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.champion.history import when
from lrsweep.records import SweepStatus
from lrsweep.service.app import WRITERS
from lrsweep.service.routes.common import MOST_WAITING
from lrsweep.store import Store, open_store, with_schema
from lrsweep.store.queue import QueueState
from lrsweep.store.tokens import Scope
from lrsweep.sweep.owner import this_owner
from tests.promoted import STUDY
from tests.served import BEGUN, PROMOTED, SWEEP, SWEPT, Answer, Served, begin, give, register, served, until


def asked(service: Served, name: str, key: str = "", body: object = None, **headers: str) -> Answer:
    given = {**({"idempotency_key": key} if key else {}), **headers}
    return service.post(f"/v1/studies/{name}/sweeps", body, **given)


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_new_sweep_waits_under_the_id_that_was_told(service: Served, results: Store) -> None:
    """202 and where to follow it; the sweep and its study say that it waits."""
    register(service.database, "first")
    answer = asked(service, "first", "a", {"deadline": "6h"})
    assert answer.status == 202
    sweep = answer.json["sweep"]
    assert answer.headers["location"] == f"/v1/sweeps/{sweep}"
    assert (answer.json["course"], answer.json["deadline_seconds"], answer.json["another"]) == ("first", 21600, False)

    [kept] = results.queue.registered("first")
    assert answer.json["registered"] == {"at": when(kept.at), "hash": kept.text_hash}
    assert service.get("/v1/studies/first").json["registered"] == answer.json["registered"]

    waiting = service.get(f"/v1/sweeps/{sweep}").json
    assert (waiting["state"], waiting["is_over"], waiting["is_driven"]) == ("queued", False, False)
    assert (waiting["queue"]["state"], waiting["queue"]["attempts"]) == ("queued", 0)
    assert waiting["generation"] == replace(STUDY, name="first").generation
    assert service.get(f"/v1/sweeps/{sweep}/report").status == 404
    study = service.get("/v1/studies/first").json
    assert (study["is_registered"], [each["sweep"] for each in study["queued"]]) == (True, [sweep])
    assert results.queue.row(sweep).asked_by == "address 127.0.0.1"


def test_the_same_key_has_the_same_answer_and_starts_nothing_more(service: Served, results: Store) -> None:
    """The same bytes, with 200, also once the sweep is over; with another body the key is refused."""
    register(service.database, "again")
    first = asked(service, "again", "k", {"another": False})
    second = asked(service, "again", "k")
    assert (first.status, second.status) == (202, 200)
    assert second.body == first.body
    assert second.headers["location"] == first.headers["location"]
    register(service.database, "again", replace(STUDY, seed=STUDY.seed + 1))
    assert asked(service, "again", "k").body == first.body, "as it was registered then"
    other = asked(service, "again", "k", {"another": True})
    assert other.status == 422
    assert "wanted is a new key" in other.problem
    results.queue.cancel(first.json["sweep"])
    assert asked(service, "again", "k").body == first.body
    assert len(results.queue.rows("again")) == 1
    assert asked(service, "again", "l").status == 202


def test_a_study_has_one_sweep_at_a_time(service: Served, results: Store) -> None:
    """409 with the id of the one that waits, that a worker has, or that somebody drives by hand."""
    register(service.database, "one")
    sweep = asked(service, "one", "a").json["sweep"]
    second = asked(service, "one", "b")
    assert second.status == 409
    assert second.json["sweep"] == sweep
    assert f"POST /v1/sweeps/{sweep}/cancel" in second.problem

    register(service.database, "by-hand")
    begin(results, "by-hand", "mine")
    lease = results.acquire_lease("by-hand", this_owner(), seconds=60)
    refused = asked(service, "by-hand")
    assert (refused.status, refused.json["sweep"]) == (409, "mine")
    results.release_lease(lease)
    assert asked(service, "by-hand").json["course"] == "continue"


def test_an_unfinished_sweep_goes_on_and_a_finished_one_is_told(service: Served, results: Store) -> None:
    """As ``lrsweep run`` would: continue, nothing, or another where that is asked for."""
    register(service.database, BEGUN)
    goes_on = asked(service, BEGUN)
    assert (goes_on.status, goes_on.json["course"], goes_on.json["sweep"]) == (202, "continue", "sweep-2")
    assert service.get("/v1/sweeps/sweep-2").json["queue"]["state"] == "queued"

    register(service.database, SWEPT, replace(STUDY, name=SWEPT))
    over = asked(service, SWEPT)
    assert (over.status, over.json["course"], over.json["sweep"]) == (200, "nothing", SWEEP)
    assert over.headers["location"] == f"/v1/sweeps/{SWEEP}"
    assert results.queue.rows(SWEPT) == []
    another = asked(service, SWEPT, "l", {"another": True})
    assert (another.status, another.json["course"]) == (202, "another")
    assert another.json["sweep"] != SWEEP
    results.queue.cancel(another.json["sweep"])

    register(service.database, SWEPT, replace(STUDY, name=SWEPT, horizon=STUDY.horizon * 2))
    changed = asked(service, SWEPT)
    assert (changed.status, changed.json["course"]) == (202, "changed")
    results.queue.cancel(changed.json["sweep"])


def test_a_key_that_was_told_of_a_finished_sweep_starts_nothing_later(service: Served, results: Store) -> None:
    """The same bytes, with 200, also once the study has changed; with another body 422. The sweep has no request."""
    register(service.database, SWEPT, replace(STUDY, name=SWEPT))
    before = service.get(f"/v1/sweeps/{SWEEP}").json
    first = asked(service, SWEPT, "n")
    assert (first.status, first.json["course"], first.json["sweep"]) == (200, "nothing", SWEEP)
    assert first.json["links"] == asked(service, SWEPT).json["links"]
    refused = asked(service, SWEPT, "n", {"another": True})
    assert refused.status == 422
    register(service.database, SWEPT, replace(STUDY, name=SWEPT, horizon=STUDY.horizon * 4))
    again = asked(service, SWEPT, "n")
    assert (again.status, again.body) == (200, first.body)
    assert [row for row in results.queue.waiting() if row.study == SWEPT] == []
    now = service.get(f"/v1/sweeps/{SWEEP}").json
    assert (now["queue"], now["state"], now["is_over"]) == (before["queue"], before["state"], True)


def test_what_is_not_registered_is_not_started(service: Served) -> None:
    """404: of a study that is there, and of one that is not; each with the way."""
    known = asked(service, PROMOTED)
    assert known.status == 404
    assert "`lrsweep register` with a study's file" in known.problem
    register(service.database, "near")
    unknown = asked(service, "naer")
    assert unknown.status == 404
    assert "Did you mean 'near'?" in unknown.problem
    assert "lrsweep register" in unknown.problem


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"command": "rm -rf /"}, "command"),
        ({"study": "/etc/passwd"}, "study"),
        ({"workload": "own.py:Net"}, "workload"),
        ({"deadline": "soon"}, "deadline is 'soon'"),
        ({"deadline": "-1h"}, "wanted a time above 0"),
        ({"deadline": "1e300h"}, "wanted a time above 0"),
        ({"deadline": 60}, "deadline"),
        ({"another": "yes"}, "another"),
        ([], "body"),
        (b"{", "body"),
    ],
)
def test_nothing_but_a_deadline_and_another_is_taken(service: Served, results: Store, body: object, told: str) -> None:
    """No code, path or command: 422, and nothing is queued."""
    register(service.database, "strict")
    answer = asked(service, "strict", body=body)
    assert answer.status == 422
    assert told in answer.problem
    assert results.queue.rows("strict") == []


@pytest.mark.parametrize("key", ["a" * 201, "two words", "ümlaut".encode().decode("latin-1")])
def test_a_key_is_bounded(service: Served, key: str) -> None:
    """1 to 200 visible signs."""
    register(service.database, "keys")
    answer = asked(service, "keys", key)
    assert answer.status == 422
    assert "idempotency-key" in answer.problem.lower()


def test_a_body_of_another_kind_is_told_which_is_wanted(service: Served) -> None:
    """415 with application/json; and another method 405 with the one that is taken."""
    register(service.database, "kinds")
    answer = asked(service, "kinds", body=b"another=true", content_type="application/x-www-form-urlencoded")
    assert answer.status == 415
    assert "wanted is application/json" in answer.problem
    assert answer.headers["accept-post"] == "application/json"
    method = service.get("/v1/studies/kinds/sweeps")
    assert method.status == 405
    assert method.problem == "'/v1/studies/kinds/sweeps' does not take 'GET'; wanted is POST."
    assert method.headers["allow"] == "POST"


def test_a_page_of_another_origin_starts_nothing(service: Served, results: Store) -> None:
    """Where no token is needed a browser would start it for whoever made the page; a page of this service's own may."""
    register(service.database, "pages")
    for origin in ("https://evil.example", "null", "", "http://[", "http://127.0.0.1:1"):
        refused = asked(service, "pages", origin=origin)
        assert refused.status == 403
        assert "pages start nothing here" in refused.problem
        assert service.post("/v1/sweeps/sweep-2/cancel", None, origin=origin).status == 403
    assert results.queue.rows("pages") == []
    host, port = service.address
    assert asked(service, "pages", origin=f"http://{host}:{port}").status == 202


# ── at once ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_of_many_at_once_one_starts_a_sweep(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Eight with one key get one answer; eight with a key each get it once, and its id seven times."""
    url = f"sqlite:///{tmp_path}/home/results.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    environ = {} if kind == "sqlite" else {"LRSWEEP_DATABASE_URL": url}
    with served(tmp_path / "home", environ=environ, database=url) as service, ThreadPoolExecutor(8) as pool:
        mine = url if kind == "sqlite" else with_schema(url, "lrsweep")
        register(mine, "same")
        register(mine, "each")
        same = list(pool.map(lambda _: asked(service, "same", "key"), range(8)))
        each = list(pool.map(lambda number: asked(service, "each", f"key-{number}"), range(8)))
        results = open_store(mine)
        try:
            assert [len(results.queue.rows(name)) for name in ("same", "each")] == [1, 1]
        finally:
            results.close()
    assert sorted(answer.status for answer in same) == [200] * 7 + [202]
    assert len({answer.body for answer in same}) == 1
    assert sorted(answer.status for answer in each) == [202] + [409] * 7
    assert len({answer.json["sweep"] for answer in each}) == 1


def test_who_waits_to_write_keeps_nobody_from_reading(tmp_path: Path) -> None:
    """Another program has SQLite's one lock for a while: those who start sweeps wait for it, or are told to come again,
    and all others are answered."""
    home, many = tmp_path / "home", 2 * (WRITERS + MOST_WAITING)
    with served(home) as service, ThreadPoolExecutor(many) as pool:
        register(service.database, "locked")
        lock = sqlite3.connect(home / "results.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            asks = [pool.submit(asked, service, "locked", f"key-{number}") for number in range(many)]
            until(lambda: any(ask.done() for ask in asks), "the line is full")
            for _ in range(10):
                assert service.get("/v1/studies").status == 200
            waiting = [ask for ask in asks if not ask.done()]
            refused = [ask.result() for ask in asks if ask.done()]
        finally:
            lock.rollback()
            lock.close()
        assert {answer.status for answer in refused} == {429}
        assert "start or cancel sweeps wait for their turn already" in refused[0].problem
        statuses = [ask.result().status for ask in waiting]
        assert statuses.count(202) == 1
        assert set(statuses) <= {202, 409, 429}  # those who came last may find the line full once more


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────────────────────────
def cancelled(service: Served, sweep: str) -> Answer:
    return service.post(f"/v1/sweeps/{sweep}/cancel", None)


def test_one_that_waits_is_cancelled_at_once(service: Served) -> None:
    """And is over then: a second time is 409."""
    register(service.database, "waits")
    sweep = asked(service, "waits").json["sweep"]
    answer = cancelled(service, sweep)
    assert (answer.status, answer.json["state"]) == (202, "cancelled")
    now = service.get(f"/v1/sweeps/{sweep}").json
    assert (now["state"], now["is_over"]) == ("cancelled", True)
    again = cancelled(service, sweep)
    assert again.status == 409
    assert "is cancelled already" in again.problem
    told = service.get(f"/v1/sweeps/{sweep}/events")
    assert b"id: 0\nevent: state\n" in told.body, "who comes again has to say how far it has heard"
    assert service.get(f"/v1/sweeps/{sweep}/events", last_event_id="0").status == 204


def test_one_that_a_worker_has_gets_the_wish(service: Served, results: Store) -> None:
    """Before its sweep is there, and after; asked twice it is the same."""
    register(service.database, "worked")
    sweep = asked(service, "worked").json["sweep"]
    claim = results.queue.claim(this_owner(), seconds=600)
    while claim is not None and claim.sweep_id != sweep:  # what other tests have left
        results.queue.end(claim, QueueState.ENDED)
        claim = results.queue.claim(this_owner(), seconds=600)
    assert claim is not None
    assert service.get(f"/v1/sweeps/{sweep}").json["state"] == "starting"
    for _ in range(2):
        answer = cancelled(service, sweep)
        assert (answer.status, answer.json["state"]) == (202, "claimed")
    assert results.queue.row(sweep).is_cancelled

    begin(results, "worked", sweep)
    assert cancelled(service, sweep).status == 202
    assert results.sweep(sweep).is_cancelled
    results.queue.end(claim, QueueState.CANCELLED)


def test_one_that_is_driven_by_hand_or_left_is_ended_too(service: Served, results: Store) -> None:
    """Its driver is asked; of one that nobody drives the next worker is."""
    begin(results, "driven", "driven-1")
    lease = results.acquire_lease("driven", this_owner(), seconds=60)
    assert cancelled(service, "driven-1").status == 202
    assert results.sweep("driven-1").is_cancelled
    assert results.queue.rows("driven") == []
    results.release_lease(lease)

    begin(results, "left", "left-1")
    assert cancelled(service, "left-1").status == 202
    assert cancelled(service, "left-1").status == 202
    [row] = results.queue.rows("left")
    assert (row.sweep_id, row.is_cancelled, row.state) == ("left-1", True, QueueState.QUEUED)
    assert service.get("/v1/sweeps/left-1").json["is_over"] is False


def test_one_that_is_over_is_not_cancelled(service: Served, results: Store) -> None:
    """409; one that nobody knows is 404 with those that there are."""
    over = cancelled(service, SWEEP)
    assert over.status == 409
    assert f"sweep {SWEEP} is finished already" in over.problem
    begin(results, "gone", "gone-1")
    lease = results.acquire_lease("gone", this_owner(), seconds=60)
    results.update_sweep(lease, "gone-1", status=SweepStatus.CANCELLED)
    results.release_lease(lease)
    assert cancelled(service, "gone-1").status == 409
    unknown = cancelled(service, "sweep-0")
    assert unknown.status == 404
    assert SWEEP in unknown.problem


def test_keys_of_two_callers_do_not_meet(tmp_path: Path) -> None:
    """And who may only read starts and cancels nothing."""
    home = tmp_path / "home"
    url = f"sqlite:///{home}/results.db"
    register(url, "mine")
    read, ann, bob = (give(url, name, scope) for name, scope in [("r", Scope.READ), ("a", Scope.RUN), ("b", Scope.RUN)])
    with served(home) as service:
        path = "/v1/studies/mine/sweeps"
        refused = service.post(path, None, token=read, idempotency_key="k")
        assert refused.status == 403
        assert "--scope run" in refused.problem
        first = service.post(path, None, token=ann, idempotency_key="k")
        assert first.status == 202
        assert service.post(path, None, token=bob, idempotency_key="k").status == 409
        cancel = f"/v1/sweeps/{first.json['sweep']}/cancel"
        assert service.post(cancel, None, token=read).status == 403
        assert service.post(cancel, None, token=bob).status == 202
        assert service.post(path, None, token=bob, idempotency_key="k").status == 202
