"""Who may ask the service: tokens and scopes, loopback without them, and nobody else."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lrsweep.service import listening
from lrsweep.service.guard import BELIEVED
from lrsweep.store import open_store
from lrsweep.store.tokens import Scope
from tests.looked import Typed, typed
from tests.served import PROMOTED, SWEEP, SWEPT, Served, fill, give, register, served, until

ROUTES = {
    "GET /v1/studies": "/v1/studies",
    "GET /v1/studies/{name}": f"/v1/studies/{SWEPT}",
    "GET /v1/studies/{name}/schedule": f"/v1/studies/{PROMOTED}/schedule",
    "GET /v1/sweeps/{sweep_id}": f"/v1/sweeps/{SWEEP}",
    "GET /v1/sweeps/{sweep_id}/report": f"/v1/sweeps/{SWEEP}/report",
    "POST /v1/studies/{name}/sweeps": f"/v1/studies/{SWEPT}/sweeps",
    "POST /v1/sweeps/{sweep_id}/cancel": f"/v1/sweeps/{SWEEP}/cancel",
    "GET /v1/sweeps/{sweep_id}/events": f"/v1/sweeps/{SWEEP}/events",
    "GET /v1/families": "/v1/families",
    "POST /v1/preview": "/v1/preview",
    "GET /metrics": "/metrics",
    "GET /healthz": "/healthz",
    "GET /readyz": "/readyz",
}
OPEN = ("GET /healthz", "GET /readyz")
"""For whoever watches the process: they tell nothing of the results."""
WRITES = {"POST /v1/studies/{name}/sweeps": 200, "POST /v1/sweeps/{sweep_id}/cancel": 409}
"""What needs the scope run, and its answer of a sweep that has ended."""
HOLDERS = ("nobody", "wrong", "empty", "revoked", "read", "run", "admin")


@dataclass(frozen=True)
class Guarded:
    service: Served
    tokens: dict[str, str | None]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A service with a token of each scope, and one that was revoked."""
    home = tmp_path_factory.mktemp("guarded") / "home"
    url = f"sqlite:///{home}/results.db"
    fill(url)
    register(url, SWEPT)
    tokens: dict[str, str | None] = {scope.value: give(url, scope.value, scope) for scope in Scope}
    tokens |= {"revoked": give(url, "old", Scope.ADMIN), "nobody": None, "wrong": "lrs_wrong", "empty": ""}
    store = open_store(url)
    store.tokens.revoke("old")
    store.close()
    with served(home) as service:
        yield Guarded(service, tokens)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("holder", HOLDERS)
def test_every_route_opens_to_whom_it_should(guarded: Guarded, route: str, holder: str) -> None:
    """Each scope reads, and starts and cancels from run on; who has no token, a wrong or a revoked one gets 401 and the
    way to one."""
    method, _, _ = route.partition(" ")
    body = {"family": "linear", "steps": 2} if route == "POST /v1/preview" else None
    may = route in OPEN or holder in ("read", "run", "admin")
    if route in WRITES and holder == "read":
        refused = guarded.service.ask(method, ROUTES[route], token=guarded.tokens[holder])
        assert refused.status == 403
        assert "wanted is run" in refused.problem
        return

    def asked() -> int:
        return guarded.service.ask(method, ROUTES[route], token=guarded.tokens[holder], body=body).status

    until(lambda: asked() != 429, "wrong tokens are slowed down")
    answer = guarded.service.ask(method, ROUTES[route], token=guarded.tokens[holder], body=body)
    if answer.status == 429:  # the second of two wrong ones
        until(lambda: asked() == 401, "it is slowed down")
        return
    assert answer.status == (WRITES.get(route, 200) if may else 401)
    if not may:
        assert answer.headers["www-authenticate"] == 'Bearer realm="lrsweep"'
        assert "lrsweep token create" in answer.problem


def test_the_matrix_above_has_every_route(guarded: Guarded) -> None:
    """A route that is added has to be put into it."""
    paths = guarded.service.get("/openapi.json").json["paths"]
    assert {f"{method.upper()} {path}" for path, each in paths.items() for method in each} == set(ROUTES)


def test_another_scheme_than_bearer_is_no_token(guarded: Guarded) -> None:
    """Nor is a token in the address, which would stand in logs."""
    token = guarded.tokens["read"]
    assert guarded.service.get("/v1/studies", authorization=f"Basic {token}").status == 401
    assert guarded.service.get(f"/v1/studies?token={token}&access_token={token}").status == 401


def test_who_guesses_tokens_is_slowed_down_and_others_are_not(guarded: Guarded) -> None:
    """429 with when to ask again, from the same address that a good token still works from."""
    statuses = [guarded.service.get("/v1/families", token=f"lrs_{number}").status for number in range(40)]
    assert set(statuses) == {401, 429}
    refused = guarded.service.get("/v1/families", token="lrs_again")
    if refused.status == 429:
        assert int(refused.headers["retry-after"]) >= 1
    assert guarded.service.get("/v1/families", token=guarded.tokens["read"]).status == 200


def test_a_revoked_token_opens_nothing_a_moment_later(guarded: Guarded, tmp_path: Path) -> None:
    """While the service runs, and one that is made then opens it."""
    token = give(guarded.service.database, "short")
    until(lambda: guarded.service.get("/v1/families", token=token).status == 200, "the token is heard of")
    store = open_store(guarded.service.database)
    store.tokens.revoke("short")
    store.close()
    until(lambda: guarded.service.get("/v1/families", token=token).status in (401, 429), "the token is revoked")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """The command in this process, in a home that does not exist yet."""
    return typed(capsys, monkeypatch, tmp_path / "home", {})


# ── without tokens ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_loopback_needs_no_token_until_the_first_is_made_and_never_again_after_it(tmp_path: Path) -> None:
    """Revoking the last one locks the door, and does not take it off."""
    home = tmp_path / "home"
    with served(home) as service:
        assert service.get("/v1/studies").json == {"studies": [], "next": None}
        give(service.database, "first")
        until(lambda: service.get("/v1/studies").status == 401, "a token is needed")
        store = open_store(service.database)
        store.tokens.revoke("first")
        store.close()
        time.sleep(2 * BELIEVED)  # by then the service has heard of it
        assert service.get("/v1/studies").status == 401


def test_without_tokens_a_foreign_page_that_points_its_name_here_is_refused(tmp_path: Path) -> None:
    """403: a browser sends the name of the page, and that is not this machine's."""
    with served(tmp_path / "home") as service:
        for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::ffff:9.9.9.9]", ""):
            answer = service.get("/v1/studies", host=host)
            assert answer.status == 403
            assert "localhost alone" in answer.problem
        for mine in ("localhost:1", "127.0.0.1", "[::1]:8000"):
            assert service.get("/v1/studies", host=mine).status == 200
        assert service.get("/v1/studies", token="lrs_of-another-service").status == 200


@pytest.mark.parametrize("revoked", [False, True])
def test_beyond_loopback_it_does_not_listen_without_a_token_in_force(
    run: Typed, revoked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 64, with the command that makes one; also where the last one was revoked."""
    monkeypatch.setattr(listening, "_run", lambda *_: pytest.fail("it listens"))
    if revoked:
        assert run("token", "create", "old").code == 0
        assert run("token", "revoke", "old").code == 0
    ran = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert ran.code == 64
    assert "there is no token in force" in ran.err
    assert revoked == (Path(os.environ["LRSWEEP_HOME"]) / "results.db").exists()
    assert "lrsweep token create NAME" in ran.err


def test_beyond_loopback_every_request_needs_its_token(tmp_path: Path) -> None:
    """From this machine too."""
    home = tmp_path / "home"
    token = give(f"sqlite:///{home}/results.db", "ci")
    with served(home, "--host", "0.0.0.0") as service:
        assert service.get("/v1/studies").status == 401
        assert service.get("/v1/studies", token=token, host="box.example").status == 200
        assert service.get("/healthz").status == 200


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_token_is_shown_once_and_listed_without_it(run: Typed, tmp_path: Path) -> None:
    """Standard output has it alone, for a pipe; the list has names, scopes and times; the database its hash."""
    home = tmp_path / "home"
    made = run("token", "create", "ci", "--scope", "run")
    token = made.out.strip()
    assert made.code == 0
    assert token.startswith("lrs_")
    assert len(token) == 47
    assert token not in made.err
    listed = run("token", "list")
    assert "ci" in listed.out
    assert "run" in listed.out
    assert token not in listed.out + listed.err
    assert run("token", "list", "--json").answer["tokens"][0]["revoked"] is None
    assert not [file for file in home.iterdir() if file.is_file() and token.encode() in file.read_bytes()]

    again = run("token", "create", "ci")
    assert again.code == 64
    assert "lrsweep token revoke ci" in again.err
    assert run("token", "revoke", "ci").code == 0
    gone = run("token", "revoke", "ci")
    assert gone.code == 64
    assert "no token 'ci' is in force. There is none." in gone.err
    assert run("token", "list", "--json").answer["tokens"][0]["revoked"] is not None
    assert run("token", "create", "a b").code == 64


# ── the port ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_port_in_use_is_told_with_another_one(run: Typed) -> None:
    """Exit code 69: something outside is in the way."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run("serve", "--port", str(port))
    assert ran.code == 69
    assert f"the port {port} of 127.0.0.1 is in use" in ran.err
    assert f"--port {port + 1}" in ran.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--host", "no.such.host.invalid"), "no address of this machine"),
        (("--host", "192.0.2.1"), "cannot listen"),
        (("--port", "70000"), "1 to 65535"),
        (("--rate", "0"), "--rate is 0"),
    ],
)
def test_an_address_that_cannot_be_is_refused(run: Typed, options: tuple[str, ...], told: str) -> None:
    """Exit code 64."""
    ran = run("serve", *options)
    assert (ran.code, told in ran.err) == (64, True), ran.err
