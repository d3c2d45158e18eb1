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
def answering(status: int, headers: dict[str, str], body: bytes) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Something else that speaks HTTP, and the headers that it was sent."""
    heard: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
    with answering(200, {}, body) as (url, _), pytest.raises(Unavailable, match="no service of lrsweep"):
        Client(url).study("x")
    said = json.dumps({"detail": "bad gateway"}).encode()
    with answering(502, {}, said) as (url, _), pytest.raises(Unavailable, match="answers 502: bad gateway"):
        Client(url).study("x")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "file:///etc/passwd"])
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
