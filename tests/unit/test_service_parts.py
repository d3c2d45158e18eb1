"""The parts of the service, one by one: who may ask, how often, what is kept, and where a page begins."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from fastapi import FastAPI, Request
from starlette.types import Message, Receive, Send
from starlette.types import Scope as ASGIScope

from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import SettingsError, StoreUnavailable, TryAgain
from lrsweep.records import Json, StudyRow, SweepRow
from lrsweep.service.answers import Answers
from lrsweep.service.app import PREVIEWS, make_app
from lrsweep.service.following import public_event
from lrsweep.service.guard import LARGEST_COST, Buckets, Caller, Guard
from lrsweep.service.kept import Kept, Made
from lrsweep.service.listening import _bound
from lrsweep.service.metrics import Requests
from lrsweep.service.paging import cursor_after, page_of
from lrsweep.service.problems import Refused, refused_by, unknown
from lrsweep.service.results import Results, refuse_unknown, study_names, sweep_of_id
from lrsweep.service.routes import schedules
from lrsweep.service.routes.common import MOST_WAITING
from lrsweep.service.shapes import PreviewQuestion
from lrsweep.service.shield import HEADERS, Shield
from lrsweep.service.sources import Sources
from lrsweep.service.starting import Wish, registration, started
from lrsweep.store import Event, MemoryStore, Store, open_store
from lrsweep.store.queue import Queued, Registered
from lrsweep.store.queue_memory import MemoryQueue
from lrsweep.store.tokens import Scope, digest_of, new_token
from tests.checks.test_imports import modules_after
from tests.choices import choice
from tests.looked import Typed, typed
from tests.promoted import STUDY
from tests.served import begin, promote


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_guard(store: MemoryStore, *, is_local: bool = True, per_second: float = 100.0) -> tuple[Guard, Clock]:
    clock = Clock()
    return Guard(lambda: store, is_local=is_local, per_second=per_second, clock=clock), clock


def admitted(guard: Guard, token: str | None, wanted: Scope = Scope.READ, host: str = "localhost") -> Caller:
    return guard.admit(token, wanted, address="127.0.0.1", host=host)


def given(store: MemoryStore, name: str, scope: Scope) -> str:
    token = new_token()
    store.tokens.add(name, scope, digest_of(token))
    return token


@pytest.mark.parametrize("wanted", list(Scope))
@pytest.mark.parametrize("has", list(Scope))
def test_a_scope_that_is_too_small_is_refused_with_the_one_that_is_wanted(has: Scope, wanted: Scope) -> None:
    """403, and the command that makes such a token."""
    store = MemoryStore()
    guard, _ = a_guard(store)
    token = given(store, "ci", has)
    if list(Scope).index(has) >= list(Scope).index(wanted):
        assert admitted(guard, token, wanted) == Caller("token ci", has)
        return
    with pytest.raises(Refused, match=f"has the scope {has.value}; wanted is {wanted.value}") as refused:
        admitted(guard, token, wanted)
    assert refused.value.status == 403
    assert f"--scope {wanted.value}" in refused.value.detail


def test_who_has_signed_in_reads_and_no_more_until_the_token_is_revoked() -> None:
    """With the token's name, and so its rate; whatever is sent as a token counts before it."""
    store = MemoryStore()
    guard, clock = a_guard(store)
    token = given(store, "boss", Scope.ADMIN)
    digest = guard.sign_in(token, address="127.0.0.1", host="localhost", cost=1)

    def asked(wanted: Scope, sent: str | None = None) -> Caller:
        return guard.admit(sent, wanted, address="127.0.0.1", host="localhost", digest=digest)

    assert asked(Scope.READ) == Caller("token boss", Scope.READ)
    assert asked(Scope.ADMIN, token) == Caller("token boss", Scope.ADMIN)
    for wanted in (Scope.RUN, Scope.ADMIN):
        with pytest.raises(Refused, match="has the scope read") as refused:
            asked(wanted)
        assert refused.value.status == 403
    with pytest.raises(Refused, match="not in force"):
        asked(Scope.READ, "lrs_wrong")
    store.tokens.revoke("boss")
    clock.now += 2
    with pytest.raises(Refused, match="was revoked"):
        asked(Scope.READ)


def test_nobody_signs_in_where_no_token_is_needed_nor_with_a_wrong_one() -> None:
    """None on loopback while there is none; 401 from then on, and beyond loopback always."""
    store = MemoryStore()
    for is_local in (True, False):
        guard, _ = a_guard(store, is_local=is_local)

        def sign_in(guard: Guard = guard) -> str | None:
            return guard.sign_in("lrs_x", address="127.0.0.1", host="localhost", cost=1)

        if is_local:
            assert sign_in() is None
        else:
            with pytest.raises(Refused, match="not in force"):
                sign_in()


def test_tokens_are_believed_for_a_second() -> None:
    """Not one query for each request, and no longer than that after a token was revoked."""
    store = MemoryStore()
    guard, clock = a_guard(store)
    token = given(store, "ci", Scope.READ)
    admitted(guard, token)
    store.tokens.revoke("ci")
    clock.now += 0.9
    admitted(guard, token)
    clock.now += 0.2
    with pytest.raises(Refused, match="the token is not in force"):
        admitted(guard, token)


def test_revoking_the_last_token_locks_the_door_and_does_not_take_it_off() -> None:
    """On loopback too: what needed a token goes on to need one."""
    store = MemoryStore()
    guard, clock = a_guard(store)
    assert admitted(guard, None) == Caller("address 127.0.0.1", Scope.ADMIN)
    given(store, "ci", Scope.READ)
    store.tokens.revoke("ci")
    clock.now += 2
    with pytest.raises(Refused, match="a token is needed"):
        admitted(guard, None)


def test_beyond_loopback_nobody_gets_in_without_a_token_whatever_the_host_says() -> None:
    """Also where no token exists, as after all rows were removed by hand."""
    guard, _ = a_guard(MemoryStore(), is_local=False)
    with pytest.raises(Refused, match="a token is needed") as refused:
        admitted(guard, None)
    assert refused.value.status == 401
    with pytest.raises(Refused, match="not in force"):
        admitted(guard, "lrs_x")


def test_a_caller_has_a_rate_and_twice_that_at_once() -> None:
    """Of ten a second: twenty, then one after each tenth of a second; another caller is not touched by it."""
    clock = Clock()
    buckets = Buckets(10, clock)
    assert [buckets.wait_for("a") for _ in range(20)] == [0.0] * 20
    assert buckets.wait_for("a") == pytest.approx(0.1)
    assert buckets.wait_for("b") == 0.0
    clock.now += 0.1
    assert buckets.wait_for("a") == 0.0
    assert buckets.wait_for("a", cost=5) == pytest.approx(0.5)
    clock.now += 3600
    assert [buckets.wait_for("a") for _ in range(21)][-2:] == [0.0, pytest.approx(0.1)]


def test_what_costs_more_than_a_bucket_holds_is_answered_all_the_same() -> None:
    """Once the bucket is full: a small rate does not shut a route for ever."""
    clock = Clock()
    buckets = Buckets(1, clock)
    assert buckets.wait_for("a", cost=10) == 0.0
    assert buckets.wait_for("a", cost=10) == pytest.approx(10)
    clock.now += 10
    assert buckets.wait_for("a", cost=10) == 0.0


def test_a_rate_below_one_opens_every_route_also_to_who_asks_for_little_meanwhile() -> None:
    """What is cheap leaves in the bucket what is saved for the dearest: half of the rate is, for a minute."""
    clock = Clock()
    buckets = Buckets(0.5, clock)
    assert buckets.wait_for("a", cost=LARGEST_COST) == 0.0
    for _ in range(15):
        clock.now += 4
        assert buckets.wait_for("a") == 0.0
    assert buckets.wait_for("a", cost=LARGEST_COST) > 0.0
    clock.now += 4
    assert buckets.wait_for("a", cost=LARGEST_COST) == 0.0


def test_of_a_database_that_is_away_only_those_hear_who_were_known() -> None:
    """Its error has its host: who shows no token is told that it is away, and nothing else."""
    store, failing = MemoryStore(), [False]

    def opened() -> MemoryStore:
        if failing[0]:
            raise StoreUnavailable("the database db.internal:5432 is away")
        return store

    clock = Clock()
    guard = Guard(opened, is_local=True, per_second=100, clock=clock)
    token = given(store, "ci", Scope.READ)
    admitted(guard, token)
    failing[0] = True
    clock.now += 2
    with pytest.raises(StoreUnavailable, match=r"db\.internal"):
        admitted(guard, token)
    for unknown_one in (None, "lrs_wrong"):
        with pytest.raises(Refused) as refused:
            admitted(guard, unknown_one)
        assert refused.value.status == 503
        assert "internal" not in refused.value.detail
        assert refused.value.headers["Retry-After"] == "5"


def test_an_answer_is_made_once_and_the_oldest_goes_first() -> None:
    """By its bytes; one that is asked for again stays."""
    kept, made = Kept[Made](10), []

    def maker(name: str) -> Callable[[], Made]:
        def make() -> Made:
            made.append(name)
            return Made.of(name.encode() * 4, "text/plain")

        return make

    for name in ("a", "b", "a", "c", "a", "b"):
        assert kept.get(name, maker(name)).body == name.encode() * 4
    assert made == ["a", "b", "c", "b"]
    assert kept.get("large", lambda: Made.of(b"x" * 11, "text/plain")).body == b"x" * 11
    assert kept.get("a", maker("a")).body == b"aaaa"
    assert made == ["a", "b", "c", "b"]


def test_a_failure_is_not_kept() -> None:
    """Whoever asks next tries again."""
    kept = Kept[Made](100)

    def fail() -> Made:
        raise TryAgain("away")

    with pytest.raises(TryAgain):
        kept.get("a", fail)
    assert kept.get("a", lambda: Made.of(b"x", "")).body == b"x"


def test_those_who_wait_for_one_answer_get_it_from_who_makes_it() -> None:
    """Eight threads, one maker."""
    kept, made, gate = Kept[Made](100), [], threading.Event()

    def make() -> Made:
        gate.wait(60)
        made.append(1)
        return Made.of(b"x", "")

    threads = [threading.Thread(target=kept.get, args=("a", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_pages_cover_all_names_and_end() -> None:
    """For every size of a page; a name that was removed is no hole."""
    names = [f"n{number}" for number in range(7)]
    for limit in range(1, 9):
        found, cursor = page_of(names, None, limit)
        for _ in names:
            if cursor is not None:
                page, cursor = page_of(names, cursor, limit)
                found = [*found, *page]
        assert (found, cursor) == (names, None)
    assert page_of(["a", "c"], cursor_after("b"), 5) == (["c"], None)
    assert page_of([], None, 5) == ([], None)


def test_a_refusal_says_no_folder_and_no_password() -> None:
    """Who asks is on another machine."""
    error = StoreUnavailable("the results database sqlite:////home/joe/results.db cannot be used: token=abcdef1234")
    refused = refused_by(error)
    assert refused.status == 503
    assert refused.headers["Retry-After"] == "5"
    assert "joe" not in refused.detail
    assert "abcdef1234" not in refused.detail


def test_a_long_list_of_names_is_cut() -> None:
    """With how many more there are."""
    detail = unknown("study", "x" * 500, [f"study-{number}" for number in range(60)]).detail
    assert "study-49. And 10 more." in detail
    assert len(detail) < 1000


def test_counts_are_what_prometheus_reads() -> None:
    """Buckets add up, and a label's quotes are escaped."""
    requests = Requests()
    for seconds in (0.004, 0.03, 20.0):
        requests.add("GET", '/a"b', 200, seconds)
    lines = requests.text({"lrsweep_x": ("What it is.", {"": 2})}).splitlines()
    assert 'lrsweep_http_requests_total{method="GET",route="/a\\"b",status="200"} 3' in lines
    counts = [int(line.rsplit(" ", 1)[1]) for line in lines if "_bucket" in line]
    assert counts == [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3]
    assert 'lrsweep_http_request_seconds_sum{route="/a\\"b"} 20.034000' in lines
    assert lines[-3:] == ["# HELP lrsweep_x What it is.", "# TYPE lrsweep_x gauge", "lrsweep_x 2"]


def test_answers_are_sent_without_a_wait_for_the_one_before() -> None:
    """asyncio turns Nagle's algorithm off for sockets that name their protocol: with it each answer takes 40 ms."""
    listening = _bound("127.0.0.1", 0)
    assert listening.proto == socket.IPPROTO_TCP
    listening.close()


# ── what goes wrong on the way ───────────────────────────────────────────────────────────────────────────────────────
def test_a_fault_is_answered_with_all_headers_counted_and_logged_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server never hears of it, which would write it to the log as it is."""
    token, sent, requests = new_token(), [], Requests()

    async def broken(scope: ASGIScope, receive: Receive, send: Send) -> None:
        raise RuntimeError(f"postgresql://ann:a1b2c3@db/x refused {token}")

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/{token}", "headers": []}
    asyncio.run(Shield(broken, requests)(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert (sent[0]["status"], headers["content-type"]) == (500, "application/problem+json")
    assert {name.lower() for name in HEADERS} <= set(headers)
    detail = json.loads(sent[1]["body"])["detail"]
    assert detail.split()[-1].rstrip(".") in caplog.text
    assert "ann:***@db" in caplog.text
    assert "a1b2c3" not in caplog.text
    assert token not in caplog.text
    assert 'route="none",status="500"} 1' in requests.text({})


def test_two_previews_compute_at_a_time_and_the_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five are asked for; all are answered."""
    at_once, most, lock = [0], [0], threading.Lock()

    def slow(_: PreviewQuestion) -> dict[str, Json]:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.1)
        with lock:
            at_once[0] -= 1
        return {}

    monkeypatch.setattr(schedules, "_previewed", slow)

    async def five(app: FastAPI) -> list[dict[str, Json]]:
        request = Request({"type": "http", "app": app})
        question = PreviewQuestion(family="linear")
        return await asyncio.gather(*(schedules.preview(request, question) for _ in range(5)))

    results = cast(Results, SimpleNamespace(store=MemoryStore))
    app = make_app(results, is_local=True, per_second=1)
    assert asyncio.run(five(app)) == [{}] * 5
    assert most == [PREVIEWS]


def test_beyond_a_short_line_of_previews_who_asks_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """429 with Retry-After, at once; those that stood in it are answered."""
    gate = threading.Event()

    def slow(_: PreviewQuestion) -> dict[str, Json]:
        gate.wait(60)
        return {}

    monkeypatch.setattr(schedules, "_previewed", slow)

    async def many(app: FastAPI) -> list[object]:
        request = Request({"type": "http", "app": app})
        question = PreviewQuestion(family="linear")
        taken = [asyncio.ensure_future(schedules.preview(request, question)) for _ in range(PREVIEWS + MOST_WAITING)]
        await asyncio.sleep(0)
        while app.state.parts.previews.statistics().tasks_waiting < MOST_WAITING:
            await asyncio.sleep(0.01)
        try:
            with pytest.raises(Refused, match="wait for their turn already: ask again") as refused:
                await schedules.preview(request, question)
        finally:
            gate.set()
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
        return [*await asyncio.gather(*taken), await schedules.preview(request, question)]

    results = cast(Results, SimpleNamespace(store=MemoryStore))
    app = make_app(results, is_local=True, per_second=1)
    assert asyncio.run(asyncio.wait_for(many(app), 120)) == [{}] * (PREVIEWS + MOST_WAITING + 1)


def test_a_choice_is_made_once_for_all_horizons_and_forms_until_the_sweep_changes() -> None:
    """Six answers and one choice; an event of the study makes another one, and its answers are new."""
    store, asked = MemoryStore(), [0]
    begin(store, "digits", "sweep-1")

    def recommended(_: Store, __: SweepRow) -> ChampionChoice:
        asked[0] += 1
        return choice(peak_lr=0.1 * asked[0])

    answers = Answers(Sources(recommended=recommended), Kept(10**6), Clock())
    for horizon in (None, 30, 60):
        for form in ("json", "python"):
            answers.schedule(store, "digits", horizon, form)
    assert asked == [1]
    lease = store.acquire_lease("digits", "a test", seconds=600)
    store.note(lease, "rung_dropped", "sweep-1", {})
    for horizon in (None, 30):
        assert json.loads(answers.schedule(store, "digits", horizon, "json").body)["choice"]["peak_lr"] == 0.2
    assert asked == [2]


def test_a_store_that_fails_for_a_moment_makes_no_older_sweep_the_answer() -> None:
    """503 and another try, instead of what an earlier sweep recommends; one without a value is passed over."""
    store = MemoryStore()
    for sweep_id in ("sweep-1", "sweep-2"):
        begin(store, "digits", sweep_id)
    failure: list[Exception] = [TryAgain("database is locked")]

    def recommended(_: Store, sweep: SweepRow) -> ChampionChoice:
        if sweep.sweep_id == "sweep-2":
            raise failure[0]
        return choice()

    answers = Answers(Sources(recommended=recommended), Kept(10**6))
    with pytest.raises(TryAgain, match="locked"):
        answers.schedule(store, "digits", None, "json")
    failure[0] = SettingsError("no value yet")
    found = json.loads(answers.schedule(store, "digits", None, "json").body)
    assert found["sweep"] == "sweep-1"


@pytest.mark.parametrize("what", [Sources().standing, Sources().page, Sources().recommended])
def test_a_sweep_that_is_removed_between_two_reads_is_no_fault(
    what: Callable[[Store, SweepRow], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TryAgain, which is a 503; asked again it is not there."""

    def gone(*_: object, **__: object) -> None:
        raise StopIteration

    for name in ("generation_of", "choose_in"):
        monkeypatch.setattr(f"lrsweep.service.sources.{name}", gone)
    monkeypatch.setattr("lrsweep.findings.reporting.gathering.gather", gone)
    with pytest.raises(TryAgain, match="'sweep-1' was removed while it was looked at"):
        what(MemoryStore(), SweepRow("sweep-1", "digits", "0123456789abcdef"))


def test_a_file_that_was_put_in_the_place_of_another_is_read(tmp_path: Path) -> None:
    """A second later at most; a store that is another one shares no kept answer with the first."""
    files = [tmp_path / f"{name}.db" for name in ("results", "backup")]
    for file, rate in zip(files, (0.25, 0.5), strict=True):
        store = open_store(f"sqlite:///{file}")
        promote(store, choice(peak_lr=rate))
        store.close()
    clock = Clock()
    results = Results(f"sqlite:///{files[0]}", clock)
    answers = Answers(Sources(), Kept(10**6), clock)

    def peak() -> float:
        return float(json.loads(answers.schedule(results.store(), "digits", None, "json").body)["peak_lr"])

    assert peak() == 0.25
    first = results.store()
    files[1].replace(files[0])
    clock.now += 2
    assert peak() == 0.5
    second = results.store()
    clock.now += 2
    assert (results.store() is second, second is first) == (True, False)
    results.close()


# ── where its parts are not installed ────────────────────────────────────────────────────────────────────────────────
def test_without_its_extra_the_service_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 64, and nothing is made."""
    monkeypatch.setattr("lrsweep.cli.serving.starting.find_spec", lambda name: None if name == "fastapi" else object())
    run: Typed = typed(capsys, monkeypatch, tmp_path / "home", {})
    ran = run("serve")
    assert (ran.code, "pip install 'lrsweep[service]'" in ran.err) == (64, True)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "code", ["import lrsweep.cli.main", "import lrsweep; lrsweep.load_choice", "import lrsweep.client"]
)
def test_nothing_of_the_service_is_loaded_by_anything_else(code: str) -> None:
    """The command line starts without FastAPI, and so does a training."""
    loaded = modules_after(code)
    assert not {"fastapi", "starlette", "uvicorn"} & loaded
    assert not [name for name in loaded if name.startswith("lrsweep.service")]


def test_an_answer_names_the_text_that_was_registered_as_it_was_queued() -> None:
    """Another one was registered, and its sweep queued and ended, between the look and the row: it is looked again."""

    class Overtaken(MemoryQueue):
        def add(self, asked: Queued) -> tuple[Queued, bool]:
            if not self.rows():
                super().add(replace(asked, idempotency_key=None, sweep_id="the other's"))
                self.cancel("the other's")
                self.register(replace(self.registered("quick")[0], text="new"))
                raise ValueError("somebody was faster")
            return super().add(asked)

    store = MemoryStore()
    store.queue = Overtaken(time.time)
    spec = json.loads(json.dumps(STUDY.spec()))
    store.queue.register(Registered("quick", "/", "old", meaning=STUDY.meaning, generation=STUDY.generation, spec=spec))
    answer, is_new = started(store, Wish("quick", "a test", "k", None, False))
    assert is_new
    assert answer["registered"] == registration(store.queue.registered("quick")[0])
    assert store.queue.registered("quick")[0].text == "new"


def test_the_same_question_that_was_a_moment_sooner_is_no_second_sweep() -> None:
    """Its row comes between the look for its key and the look for other sweeps: both get the one answer."""

    class Meanwhile(MemoryQueue):
        looks = 0

        def rows(self, study: str | None = None) -> Sequence[Queued]:
            self.looks += 1
            if self.looks == 2:
                super().add(Queued("the same's", "quick", "a test", "k", wish.options))
            return super().rows(study)

    wish = Wish("quick", "a test", "k", None, False)
    store = MemoryStore()
    store.queue = Meanwhile(time.time)
    spec = json.loads(json.dumps(STUDY.spec()))
    store.queue.register(Registered("quick", "/", "", meaning=STUDY.meaning, generation=STUDY.generation, spec=spec))
    answer, is_new = started(store, wish)
    assert (answer["sweep"], is_new) == ("the same's", False)


def test_a_list_of_many_studies_reads_none_of_them() -> None:
    """Names alone: what is kept of a study may be long. One is asked for by its name, an unknown sweep at once."""

    class Many(MemoryStore):
        def studies(self, name: str | None = None) -> Sequence[StudyRow]:
            assert name is not None, "all of them"
            return super().studies(name)

        def sweeps(self, study: str) -> Sequence[SweepRow]:
            raise AssertionError("once for each study")

    class ManyRegistered(MemoryQueue):
        def registered(self, study: str | None = None) -> Sequence[Registered]:
            assert study is not None, "all of them"
            return super().registered(study)

    store = Many()
    store.queue = ManyRegistered(time.time)
    begin(store, "begun", "sweep-1")
    begin(store, "other", "sweep-2")
    promote(store, choice())
    store.queue.register(Registered("registered", "/nowhere", ""))
    there = ["begun", choice().name, "other", "registered"]
    assert study_names(store) == there
    for name in there:
        refuse_unknown(store, name)
    with pytest.raises(Refused, match=r"There are: begun, .*, other, registered\."):
        refuse_unknown(store, "absent")
    assert sweep_of_id(store, "sweep-1").study == "begun"
    with pytest.raises(Refused, match=r"There are: sweep-2, sweep-1\."):
        sweep_of_id(store, "sweep-3")


def test_an_event_tells_no_secret_and_no_person_however_plain_the_value_is() -> None:
    """A hexadecimal password looks as an id does."""
    data: dict[str, Json] = {"password": "deadbeef", "api_key": ["deadbeef"], "who": "ann", "study": "digits"}
    told = public_event(Event(0.0, "digits", "sweep-1", "noted", "t", data))
    assert (told["password"], told["api_key"], told["study"]) == ("***", "***", "digits")
    assert "who" not in told
