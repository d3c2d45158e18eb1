"""The parts of the service, one by one: who may ask, how often, what is kept, and where a page begins."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lrsweep.errors import StoreUnavailable, TryAgain
from lrsweep.service.guard import Buckets, Caller, Guard
from lrsweep.service.kept import Kept, Made
from lrsweep.service.listening import _bound
from lrsweep.service.metrics import Requests
from lrsweep.service.paging import cursor_after, page_of
from lrsweep.service.problems import Refused, refused_by, unknown
from lrsweep.store import MemoryStore
from lrsweep.store.tokens import Scope, digest_of, new_token
from tests.checks.test_imports import modules_after
from tests.looked import Typed, typed


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


def test_an_answer_is_made_once_and_the_oldest_goes_first() -> None:
    """By its bytes; one that is asked for again stays."""
    kept, made = Kept(10), []

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
    kept = Kept(100)

    def fail() -> Made:
        raise TryAgain("away")

    with pytest.raises(TryAgain):
        kept.get("a", fail)
    assert kept.get("a", lambda: Made.of(b"x", "")).body == b"x"


def test_those_who_wait_for_one_answer_get_it_from_who_makes_it() -> None:
    """Eight threads, one maker."""
    kept, made, gate = Kept(100), [], threading.Event()

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
