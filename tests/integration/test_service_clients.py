"""Clients that are slow, broken or hostile, a service that is told to end, and a database that goes away."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from lrsweep.store.models import SCHEMA_VERSION
from lrsweep.store.opening import open_engine
from tests.commands import lrsweep
from tests.databases import a_postgres_server, administer
from tests.served import PATIENCE, PROMOTED, SWEPT, Answer, Served, fill, served, until


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To copy."""
    found = tmp_path_factory.mktemp("filled") / "home"
    fill(f"sqlite:///{found}/results.db")
    return found


@pytest.fixture(scope="module")
def service(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    copy = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(home, copy)
    with served(copy) as found:
        yield found


def sent(service: Served, data: bytes, *, finishes: bool = False) -> bytes:
    """What comes back until the service closes the connection, or nothing more comes."""
    with socket.create_connection(service.address, timeout=PATIENCE) as connection:
        connection.sendall(data)
        if finishes:
            with suppress(OSError):  # the service may have refused and closed it by now
                connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(65536):
            found += part
            if not finishes and b"\r\n\r\n" in found:
                break
        return found


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "path",
    [
        "/v1/studies/../../etc/passwd",
        "/v1/studies/..%2F..%2Fetc%2Fpasswd",
        "/v1/studies/..%2F..%2Fetc%2Fpasswd/schedule",
        "/v1/studies/%2Fetc%2Fpasswd/schedule",
        "/v1/studies/quick.toml/schedule",
        "/v1/studies/..%2Fstudy.toml/schedule",
        "/v1/studies/..%5Cstudy.toml/schedule",
        "/v1/studies/quick%00/schedule",
        "/v1/studies/quick%0d%0aX-Evil:%201/schedule",
        "/v1/studies/%ff%fe/schedule",
        "/v1/studies/models:%2Fquick/schedule",
        "/v1/studies/digits@candidate/schedule",
        "/v1/studies/" + "a" * 5000,
        "/v1/sweeps/..%2F..%2Fetc%2Fpasswd/report",
        "/v1/sweeps/s/report",
        "/v1/sweeps/%25/report",
        "//etc/passwd",
    ],
)
def test_a_name_is_looked_up_and_opens_no_file(service: Served, path: str, home: Path) -> None:
    """404 for a path, a file, an address and the beginning of an id; nothing of the disk is in the answer."""
    answer = service.get(path)
    assert answer.status == 404
    assert b"root:" not in answer.body
    assert str(home.parent.parent).encode() not in answer.body
    assert "x-evil" not in answer.headers
    assert answer.problem


def test_a_study_file_beside_the_service_is_not_read(home: Path, tmp_path: Path) -> None:
    """The command line takes a file for a study's name; over HTTP a name is a name."""
    shutil.copytree(home, tmp_path / "home")
    (tmp_path / "mine.toml").write_text(f'[study]\nname = "{SWEPT}"\n')
    with served(tmp_path / "home") as service:
        assert service.get("/v1/studies/mine.toml/schedule").status == 404
        assert service.get(f"/v1/studies/{SWEPT}/schedule").status == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(service: Served) -> None:
    """413 by its length, and by its bytes where it does not say how many."""
    answer = service.post("/v1/preview", b"[" + b" " * 300_000 + b"]")
    assert answer.status == 413
    assert "262,144 bytes" in answer.problem
    long = b"POST /v1/preview HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    assert b" 413 " in sent(service, long).split(b"\r\n")[0]
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunked = b"POST /v1/preview HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5
    assert b" 413 " in sent(service, chunked).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 200_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["bytes", "half", "version", "hosts", "length", "smuggled", "headers", "path", "tls", "http2"],
)
def test_what_is_no_request_is_refused_and_the_next_is_answered(service: Served, data: bytes) -> None:
    """Nothing that is sent brings the service down, or out of step."""
    try:
        first = sent(service, data, finishes=True).split(b"\r\n")[0]
    except ConnectionError:
        first = b""
    assert b" 200 " not in first
    assert b" 5" not in first[:13]
    assert service.get("/healthz").status == 200


def test_a_client_that_leaves_in_the_middle_harms_nobody(service: Served) -> None:
    """After half of its headers, half of its body, and without reading the answer."""
    halves = [
        b"GET /v1/stud",
        b"POST /v1/preview HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
        f"GET /v1/studies/{SWEPT}/schedule HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    ]
    for data in halves * 10:
        with socket.create_connection(service.address, timeout=PATIENCE) as connection:
            connection.sendall(data)
    assert service.get("/v1/studies").status == 200
    assert service.process.poll() is None


def test_slow_clients_keep_nobody_waiting_and_are_ended(service: Served) -> None:
    """A hundred that send drop by drop; others are answered meanwhile. Theirs end after ten seconds: 408 where a body
    was begun, a closed connection where not even the headers came."""
    slow = [socket.create_connection(service.address, timeout=PATIENCE) for _ in range(100)]
    body = b"POST /v1/preview HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    for number, connection in enumerate(slow):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: lo" if number % 2 else body)
    assert service.get(f"/v1/studies/{PROMOTED}/schedule").status == 200
    answers = []
    for connection in slow:
        try:
            answers.append(connection.recv(65536).split(b"\r\n")[0])
        except ConnectionError:
            answers.append(b"")
        connection.close()
    assert set(answers[0::2]) == {b"HTTP/1.1 408 Request Timeout"}
    assert set(answers[1::2]) == {b""}
    assert service.get("/healthz").status == 200


# ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_signal_lets_it_end_what_it_has_begun(home: Path, tmp_path: Path) -> None:
    """A request that is under way is answered, a new one is not; the exit code is 0."""
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home") as service:
        text = json.dumps({"family": "linear", "steps": 3}).encode()
        about = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        head = f"POST /v1/preview HTTP/1.1\r\n{about}\r\n"
        with socket.create_connection(service.address, timeout=PATIENCE) as connection:
            connection.sendall(head.encode() + text[:5])
            assert service.get("/healthz").status == 200  # the one above was accepted before this one
            service.process.send_signal(signal.SIGTERM)
            until(lambda: not _listens(service), "it stops listening")
            connection.sendall(text[5:])
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert service.process.wait(PATIENCE) == 0


def _listens(service: Served) -> bool:
    try:
        socket.create_connection(service.address, timeout=PATIENCE).close()
    except ConnectionError:
        return False
    return True


# ── its database ─────────────────────────────────────────────────────────────────────────────────────────────────────
AWAY = "the results cannot be read now. `lrsweep doctor`, on the machine of the service, says why."


def _unavailable(service: Served, path: str = "/readyz") -> Answer:
    until(lambda: service.get(path).status == 503, "the database is missed")
    answer = service.get(path)
    assert answer.headers["retry-after"] == "5"
    return answer


def test_a_database_of_a_newer_version_is_not_served(home: Path, tmp_path: Path) -> None:
    """While it runs: 503 with what to do, and the process lives. At its start: exit code 69."""
    shutil.copytree(home, tmp_path / "home")
    url = f"sqlite:///{tmp_path}/home/results.db"

    def migrated(version: str) -> None:
        engine = open_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE lrs_alembic_version SET version_num = '{version}'")
        engine.dispose()

    with served(tmp_path / "home") as service:
        assert service.get("/v1/studies").status == 200
        migrated("9999")
        told = _unavailable(service, "/v1/studies").problem
        assert f"has schema 9999, and this service reads {SCHEMA_VERSION}" in told
        assert "Start the service again" in told
        assert _unavailable(service).problem == AWAY
        assert service.get("/healthz").status == 200
        migrated(SCHEMA_VERSION)
        until(lambda: service.get("/v1/studies").status == 200, "it is the right one again")
        migrated("9999")
    ran = lrsweep("serve", "--port", "0", home=tmp_path / "home")
    assert ran.code == 69
    assert "newer" in ran.err


def test_a_database_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """503 with Retry-After meanwhile, without its address; then the same process answers again."""
    with a_postgres_server() as server:
        administrator = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        administer(administrator, "CREATE DATABASE mine")
        url = _named(administrator, "mine")
        fill(url)
        with served(tmp_path / "home", environ={"LRSWEEP_DATABASE_URL": url.replace("+psycopg", "")}) as service:
            assert service.get(f"/v1/studies/{PROMOTED}/schedule").status == 200
            administer(
                administrator,
                "ALTER DATABASE mine ALLOW_CONNECTIONS false",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'mine'",
            )
            answer = _unavailable(service, f"/v1/studies/{PROMOTED}/schedule")
            assert "cannot be used" in answer.problem or "failed" in answer.problem
            assert str(tmp_path) not in answer.problem
            assert _unavailable(service).problem == AWAY  # which anybody may ask
            administer(administrator, "ALTER DATABASE mine ALLOW_CONNECTIONS true")
            until(lambda: service.get("/readyz").status == 200, "the database is back")
            assert service.get(f"/v1/studies/{PROMOTED}/schedule").status == 200


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_many_at_once_get_the_same_answer_made_once(service: Served) -> None:
    """Forty threads ask for a form that nobody has asked for: one body, one ETag."""
    answers: list[Any] = []

    def ask() -> None:
        answers.append(service.get(f"/v1/studies/{SWEPT}/schedule?format=keras&horizon=77"))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {200}
    assert len({(answer.body, answer.headers["etag"]) for answer in answers}) == 1


def test_who_asks_too_often_is_told_when_to_ask_again(home: Path, tmp_path: Path) -> None:
    """429 with Retry-After; whether the process lives is still told."""
    shutil.copytree(home, tmp_path / "home")
    with served(tmp_path / "home", "--rate", "1") as service:
        statuses = [service.get("/v1/families").status for _ in range(30)]
        assert statuses[:2] == [200, 200]
        assert 429 in statuses
        refused = next(answer for _ in range(1000) if (answer := service.get("/v1/families")).status == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert "more than 1 requests a second" in refused.problem
        assert service.get("/healthz").status == 200
