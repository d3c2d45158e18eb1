"""``lrsweep.client`` against a real service: what it gives, and how it says that it cannot."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lrsweep.champion.exporting import exported
from lrsweep.client import TOKEN, Client
from lrsweep.errors import InvalidInput, SettingsError, TryAgain, Unavailable
from lrsweep.store import open_store
from tests.checks.test_imports import modules_after
from tests.choices import choice
from tests.served import BEGUN, CHAMPION, PROMOTED, SWEEP, SWEPT, Served, fill, give, promote, served, until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("client") / "home"
    fill(f"sqlite:///{home}/results.db")
    store = open_store(f"sqlite:///{home}/results.db")
    for number in range(120):
        promote(store, choice(name=f"study-{number:03}"))
    store.close()
    with served(home) as found:
        yield found


@pytest.fixture
def client(service: Served) -> Client:
    return Client(service.url, timeout=60)


@contextmanager
def answering(
    status: int, headers: dict[str, str], body: bytes, *, length: int | None = None
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Something else that speaks HTTP, and the headers that it was sent. ``length`` is what it says of the body; where
    ``headers`` have a Transfer-Encoding it says none."""
    heard: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Transfer-Encoding" not in headers:
                self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def do_CONNECT(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", heard
        finally:
            server.shutdown()
            thread.join()


def test_a_schedule_is_a_choice_with_its_rates(client: Client) -> None:
    """The choice equals the promoted one; on another horizon the peak has moved, and that is said."""
    found = client.schedule(PROMOTED)
    assert (found.recommended, found.evidence, found.source, found.n) == ("linear", "recommended", "champion", 3)
    assert found.choice == CHAMPION
    assert found.evidence_level == found.choice.evidence_level == CHAMPION.evidence_level == found.evidence
    assert choice(evidence={}).evidence_level is None
    assert found.rates is not None
    np.testing.assert_array_equal(found.rates, CHAMPION.rates())
    assert found.notes == ()

    moved = client.schedule(PROMOTED, horizon=150)
    assert moved.horizon == 150
    assert moved.peak_lr == pytest.approx(0.8)
    assert len(moved.notes) == 1
    assert client.schedule(SWEPT).source == "sweep"


def test_an_answer_that_still_holds_is_not_sent_again(client: Client, service: Served) -> None:
    """The second is a 304; one that has changed is new."""
    store = open_store(service.database)
    promote(store, choice(name="once"))
    first = client.schedule("once")

    def not_modified() -> int:
        lines = service.get("/metrics").body.decode().splitlines()
        mark = 'lrsweep_http_requests_total{method="GET",route="/v1/studies/{name}/schedule",status="304"}'
        return int(next((line.rsplit(" ", 1)[1] for line in lines if line.startswith(mark)), 0))

    before = not_modified()
    again = client.schedule("once")
    assert (again.choice, again.peak_lr) == (first.choice, 0.4)
    assert not_modified() == before + 1
    promote(store, choice(name="once", peak_lr=0.5))
    store.close()
    until(lambda: client.schedule("once").peak_lr == 0.5, "the promotion is heard of")


def test_studies_come_from_all_pages(client: Client) -> None:
    """More than a page holds, each once."""
    names = [each["name"] for each in client.studies()]
    assert len(names) >= 123
    assert names == sorted(set(names))


def test_everything_else_that_can_be_asked(client: Client) -> None:
    """A study, a sweep, its report, code, families and a preview."""
    assert client.study(SWEPT)["standing"]["state"] == "finished"
    assert client.sweep(SWEEP)["study"] == SWEPT
    assert "<html" in client.report(SWEEP)
    assert client.export(PROMOTED, "torch", horizon=30) == exported(CHAMPION, "torch", 30)
    assert "linear" in [each["name"] for each in client.families()]
    np.testing.assert_array_equal(client.preview("linear", 4, 2.0, floor=0.5), [2.0, 1.75, 1.5, 1.25])


@pytest.mark.parametrize(
    ("path", "error", "told"),
    [
        ("nope", SettingsError, "there is no study 'nope'"),
        (BEGUN, TryAgain, "has come to a value"),
        ("../../etc/passwd", SettingsError, "answers 404"),
        ("", SettingsError, "answers 404"),
    ],
)
def test_a_refusal_is_raised_in_the_words_of_the_service(
    client: Client, path: str, error: type[Exception], told: str
) -> None:
    """What cannot be meant is a SettingsError, what may pass a TryAgain."""
    with pytest.raises(error, match=told):
        client.schedule(path)


def test_a_token_is_sent_and_one_that_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the argument, or by the variable."""
    home = tmp_path / "home"
    token = give(f"sqlite:///{home}/results.db", "ci")
    monkeypatch.delenv(TOKEN, raising=False)
    with served(home) as service:
        with pytest.raises(SettingsError, match="answers 401: a token is needed") as refused:
            list(Client(service.url, timeout=60).studies())
        assert token not in str(refused.value)
        assert list(Client(service.url, token, timeout=60).studies()) == []
        monkeypatch.setenv(TOKEN, token)
        assert list(Client(service.url, timeout=60).studies()) == []


def test_a_service_that_is_not_there_is_unavailable() -> None:
    """With the address, without who logs in, and what starts one."""
    with pytest.raises(Unavailable, match=r"http://127.0.0.1:9 does not answer .*lrsweep serve") as raised:
        Client("http://ann:secret@127.0.0.1:9").study("x")
    assert "secret" not in str(raised.value)


def test_a_token_does_not_follow_to_another_host() -> None:
    """A redirect is refused and not followed."""
    with answering(200, {}, b"{}") as (there, heard), answering(302, {"Location": f"{there}/x"}, b"") as (url, _):
        with pytest.raises(SettingsError, match="answers 302"):
            Client(url, "lrs_secret").study("x")
        assert heard == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff"])
def test_what_is_no_service_of_ours_is_told_so(body: bytes) -> None:
    """Another program's page on that port."""
    with answering(200, {}, body) as (url, _):
        for ask in (lambda: Client(url).study("x"), lambda: Client(url).preview("linear")):
            with pytest.raises(Unavailable, match=r"no service of lrsweep.*`lrsweep serve` prints"):
                ask()
    said = json.dumps({"detail": "bad gateway"}).encode()
    with answering(502, {}, said) as (url, _), pytest.raises(Unavailable, match="answers 502: bad gateway"):
        Client(url).study("x")


def test_an_object_without_the_keys_is_no_answer_of_ours() -> None:
    """Another service answers ``{}``; an export that is no text is refused as well."""
    with answering(200, {}, b"{}") as (url, _):
        client = Client(url)
        asked = (
            lambda: list(client.studies()),
            lambda: client.schedule("x"),
            client.families,
            lambda: client.preview("linear"),
        )
        for ask in asked:
            with pytest.raises(Unavailable, match="no service of lrsweep"):
                ask()
    with answering(200, {}, b"\xff") as (url, _), pytest.raises(Unavailable, match="no service of lrsweep"):
        Client(url).export("x", "csv")


def test_half_an_answer_is_none_and_is_not_remembered() -> None:
    """Where fewer bytes come than were promised; the next question has no ETag."""
    with answering(200, {"ETag": '"1"'}, b"half", length=8) as (url, heard):
        client = Client(url)
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"/v1/sweeps/x/report ends after 4 of 8 bytes; ask again"):
                client.report("x")
        assert ["If-None-Match" in each for each in heard] == [False, False]


@pytest.mark.parametrize("status", [200, 503])
def test_an_answer_that_is_cut_in_a_chunk_is_unavailable(status: int) -> None:
    """Also where it was to tell an error."""
    told = {200: "does not answer", 503: "answers 503: Service Unavailable"}[status]
    # HTTP/1.0 has no chunks, but urllib reads what the header says
    chunked = answering(status, {"Transfer-Encoding": "chunked"}, b"40\r\n{}")
    with chunked as (url, _), pytest.raises(Unavailable, match=told):
        Client(url).study("x")


def test_what_is_remembered_has_a_bound_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two answers that are too much together the older is forgotten, and one that is too much alone at once."""
    monkeypatch.setattr("lrsweep.client.wire.MOST_REMEMBERED_BYTES", 150)
    with answering(200, {"ETag": '"1"'}, b"a" * 100) as (url, heard):
        client = Client(url)
        for sweep in ("1", "1", "2", "1"):
            client.report(sweep)
        assert ["If-None-Match" in each for each in heard] == [False, True, False, False]
        monkeypatch.setattr("lrsweep.client.wire.MOST_REMEMBERED_BYTES", 99)
        client.report("3")
        client.report("3")
        assert "If-None-Match" not in heard[-1]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_a_token_does_not_go_to_a_proxy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither for this machine nor for another: plain http would hand it over."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with answering(200, {}, b"{}") as (proxy, overheard), answering(200, {}, b"{}") as (url, heard):
        monkeypatch.setenv(name, proxy)
        assert Client(url, "lrs_secret").study("x") == {}
        with pytest.raises(Unavailable):
            Client("http://lrsweep.invalid", "lrs_secret").study("x")
        assert [each["Authorization"] for each in heard] == ["Bearer lrs_secret"]
        assert overheard == []


def test_https_goes_through_a_proxy_that_does_not_see_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for a tunnel; for this machine it is not asked at all."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with answering(403, {}, b"") as (proxy, overheard):
        monkeypatch.setenv("https_proxy", proxy)
        for host in ("127.0.0.1:9", "localhost:9", "[::1]:9"):
            with pytest.raises(Unavailable):
                Client(f"https://{host}", "lrs_secret").study("x")
        assert overheard == []
        with pytest.raises(Unavailable, match="Tunnel connection failed: 403"):
            Client("https://lrsweep.invalid", "lrs_secret").study("x")
        assert len(overheard) == 1
        assert "lrs_secret" not in str(overheard)


def test_a_token_is_sent_without_the_line_break_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a shell leaves one; a token of blanks is none."""
    with answering(200, {}, b"{}") as (url, heard):
        Client(url, "lrs_secret\n").study("x")
        monkeypatch.setenv(TOKEN, " lrs_other\r\n")
        Client(url).study("x")
        Client(url, " \n").study("x")
        assert [each.get("Authorization") for each in heard] == ["Bearer lrs_secret", "Bearer lrs_other", None]


@pytest.mark.parametrize("token", ["lrs_a\nX-Evil: 1", "lrs_€uro", "lrs_ü", "lrs_a b", "lrs_\x00"])
def test_a_token_that_no_header_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Before anything is asked, with where it comes from and without it."""
    with pytest.raises(SettingsError, match=r"Client: token has a sign .*`lrsweep token create") as raised:
        Client("http://127.0.0.1:9", token)
    assert "lrs_a" not in str(raised.value)
    monkeypatch.setenv(TOKEN, token.replace("\x00", "\x7f"))
    with pytest.raises(SettingsError, match="the variable LRSWEEP_TOKEN has a sign"):
        Client("http://127.0.0.1:9")


@pytest.mark.parametrize("url", ["http://a..b", "http://ann:s3cret-word@127.0.0.1"])
def test_a_host_that_can_have_no_name_does_not_answer(url: str) -> None:
    """What Python says of it is no ValueError here, and has no password."""
    with pytest.raises(Unavailable, match="does not answer") as raised:
        Client(url).study("x")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "file:///etc/passwd",
        "http://[::1",
        "http://host:port",
        "http://h:99999",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Before anything is asked."""
    with pytest.raises(InvalidInput, match=r"wanted is such as 'http://127\.0\.0\.1:8000'"):
        Client(url)


def test_the_client_works_where_only_numpy_is_installed(service: Served) -> None:
    """A training machine needs neither FastAPI nor a database."""
    modules_after(
        "from lrsweep.client import Client\n"
        f"found = Client({service.url!r}, timeout=60).schedule({PROMOTED!r})\n"
        "assert found.recommended == 'linear' and len(found.rates) == 600",
        allowed={"numpy"},
    )
