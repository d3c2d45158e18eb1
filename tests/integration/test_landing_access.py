"""The front page over HTTP, in a real process: what it gives, whom it lets in, and what a browser's cookie opens."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest

from lrsweep.service.guard import BELIEVED
from lrsweep.service.routes.landing import BELIEVED as PAGE_BELIEVED
from lrsweep.store import open_store
from lrsweep.store.tokens import Scope
from tests.choices import choice
from tests.looked import Typed, typed
from tests.served import PROMOTED, SWEEP, SWEPT, Answer, Served, fill, give, promote, served, until

PAGES = ("/", "/?cursor=YQ", f"/mlflow/{SWEPT}")
READS = (
    "/v1/studies",
    f"/v1/studies/{SWEPT}",
    f"/v1/studies/{PROMOTED}/schedule",
    f"/v1/sweeps/{SWEEP}",
    f"/v1/sweeps/{SWEEP}/report",
    "/v1/families",
    "/metrics",
)
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with a bit of everything, and tokens."""
    home = tmp_path_factory.mktemp("landing") / "home"
    fill(f"sqlite:///{home}/results.db")
    return home


@pytest.fixture(scope="module")
def tokens(home: Path) -> dict[str, str]:
    return {scope.value: give(f"sqlite:///{home}/results.db", scope.value, scope) for scope in Scope}


@pytest.fixture(scope="module")
def service(home: Path, tokens: dict[str, str]) -> Iterator[Served]:
    with served(home) as found:
        yield found


def sign_in(service: Served, token: str, **headers: str) -> Answer:
    """As a browser sends the form, from the page itself unless the headers say otherwise."""
    given = {"Content-Type": FORM, "Sec-Fetch-Site": "same-origin", **headers}
    body = urlencode({"token": token}).encode()
    return service.ask(
        "POST", "/login", body=body, headers={name.replace("_", "-"): each for name, each in given.items()}
    )


def cookie_of(answer: Answer) -> str:
    assert (answer.status, answer.headers["location"]) == (303, "/"), answer
    [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
    return f"{name}={morsel.value}"


# ── without tokens ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_without_tokens_the_page_is_open_to_this_machine_and_to_no_foreign_name(tmp_path: Path) -> None:
    """As all else is: a page of elsewhere that points its own name here is refused, as a page. Nobody signs in."""
    with served(tmp_path / "home") as service:
        found = service.get("/")
        assert (found.status, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"No study has been run here yet" in found.body
        assert b"Sign out" not in found.body
        for path in PAGES:
            refused = service.get(path, host="evil.example")
            assert (refused.status, b"localhost alone" in refused.body) == (403, True)
        for answer in (service.get("/login"), sign_in(service, "lrs_any")):
            assert (answer.status, answer.headers["location"], answer.headers.get("set-cookie")) == (303, "/", None)
        assert sign_in(service, "lrs_any", host="evil.example").status == 403


def test_the_page_has_an_etag_a_policy_and_no_script(tmp_path: Path) -> None:
    """304 while it is the same; a promotion makes another one in a moment."""
    home = tmp_path / "home"
    with served(home) as service:
        found = service.get("/")
        assert found.headers["cache-control"] == "private, no-cache"
        policy = found.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert b"<script" not in found.body
        for name, value in (("x-frame-options", "DENY"), ("x-content-type-options", "nosniff")):
            assert found.headers[name] == value
        same = service.get("/", if_none_match=found.headers["etag"])
        assert (same.status, same.body) == (304, b"")
        store = open_store(f"sqlite:///{home}/results.db")
        promote(store, choice())
        store.close()
        until(lambda: service.get("/", if_none_match=found.headers["etag"]).status == 200, "the promotion is shown")


# ── with tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_who_shows_no_token_is_led_to_where_one_does(service: Served) -> None:
    """From every page; and the form is open to all."""
    for path in PAGES:
        for answer in (service.get(path), service.get(path, cookie=f"lrsweep-{service.address[1]}=guessed")):
            assert (answer.status, answer.headers["location"]) == (303, "/login")
            assert answer.headers["cache-control"] == "no-store"
    found = service.get("/login")
    assert found.status == 200
    assert b'<input id="token" name="token" type="password"' in found.body


@pytest.mark.parametrize("scope", [scope.value for scope in Scope])
def test_a_cookie_opens_every_page_and_everything_that_is_read_and_nothing_else(
    service: Served, tokens: dict[str, str], scope: str
) -> None:
    """Whatever the token's scope: no page of elsewhere can have a browser begin, end or compute something."""
    cookie = cookie_of(sign_in(service, tokens[scope]))
    for path in ("/", *READS):
        answer = service.get(path, cookie=cookie)
        assert answer.status == 200, (path, answer)
    assert b"Sign out" in service.get("/", cookie=cookie).body
    paths = service.get("/openapi.json").json["paths"]
    changing = [(method, path) for path, each in paths.items() for method in each if method != "get"]
    assert ("post", "/v1/preview") in changing
    for method, path in changing:
        body = {"family": "linear", "steps": 2}
        address = re.sub(r"\{\w+\}", "x", path)
        answer = service.ask(method.upper(), address, body=body, headers={"Cookie": cookie})
        assert answer.status == 401, (method, path, answer)


def test_a_token_in_the_header_opens_the_page_too(service: Served, tokens: dict[str, str]) -> None:
    """For programs that watch it; a wrong one is not mended by a cookie."""
    cookie = cookie_of(sign_in(service, tokens["read"]))
    assert service.get("/", token=tokens["read"]).status == 200
    until(lambda: service.get("/v1/studies", token="lrs_wrong", cookie=cookie).status == 401, "it is refused")


def test_the_cookie_is_no_token_and_only_this_browsers(service: Served, tokens: dict[str, str]) -> None:
    """Another one at each sign-in; scripts and other sites never have it."""
    first, second = sign_in(service, tokens["read"]), sign_in(service, tokens["read"])
    assert cookie_of(first) != cookie_of(second)
    assert tokens["read"] not in str(first)
    for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert part in first.headers["set-cookie"]
    assert "Secure" not in first.headers["set-cookie"]
    beyond = sign_in(service, tokens["read"], host="box.example").headers["set-cookie"]
    assert beyond.startswith("__Host-lrsweep-")
    assert "; Secure" in beyond
    value = cookie_of(first).partition("=")[2]
    assert service.get("/v1/studies", token=value).status in (401, 429)


def test_signing_in_again_ends_the_session_before(service: Served, tokens: dict[str, str]) -> None:
    """Of the same browser: what it was given before opens nothing."""
    first = cookie_of(sign_in(service, tokens["read"]))
    second = cookie_of(sign_in(service, tokens["read"], cookie=first))
    assert [service.get("/", cookie=each).status for each in (first, second)] == [303, 200]


def test_signing_out_ends_it_here_and_there(service: Served, tokens: dict[str, str]) -> None:
    """The browser forgets cookie and pages, and the cookie opens nothing for who has copied it."""
    cookie = cookie_of(sign_in(service, tokens["read"]))
    answer = service.ask("POST", "/logout", body=b"", headers={"Cookie": cookie, "Content-Type": FORM})
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert answer.headers["clear-site-data"] == '"cache"'
    assert service.get("/", cookie=cookie).status == 303
    assert service.get("/v1/studies", cookie=cookie).status == 401


def test_a_revoked_token_ends_the_sessions_that_were_begun_with_it(service: Served) -> None:
    """Within a second or two; those of another one go on."""
    token, other = (give(service.database, name) for name in ("short", "long"))
    until(lambda: service.get("/v1/families", token=other).status == 200, "the tokens are heard of")
    cookies = [cookie_of(sign_in(service, each)) for each in (token, other)]
    store = open_store(service.database)
    store.tokens.revoke("short")
    store.close()
    until(lambda: service.get("/", cookie=cookies[0]).status == 303, "it is led to the form")
    assert service.get("/", cookie=cookies[1]).status == 200


def test_a_service_that_starts_again_knows_no_session(home: Path, tokens: dict[str, str]) -> None:
    """They are in its memory alone."""
    with served(home) as first:
        cookie = cookie_of(sign_in(first, tokens["read"]))
        assert first.get("/", cookie=cookie).status == 200
    with served(home) as second:
        value = cookie.partition("=")[2]
        assert second.get("/", cookie=f"lrsweep-{second.address[1]}={value}").status == 303


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_wrong_token_is_told_on_the_form_and_guessing_is_slowed_down(home: Path, tokens: dict[str, str]) -> None:
    """401 and then 429 with when to come again, as for programs; a good token still signs in."""
    with served(home) as service:
        first = sign_in(service, "lrs_wrong")
        assert first.status == 401
        assert b'role="alert">This token is not in force' in first.body
        assert "set-cookie" not in first.headers
        slowed = next(each for _ in range(1000) if (each := sign_in(service, "lrs_again")).status != 401)
        assert slowed.status == 429
        assert int(slowed.headers["retry-after"]) >= 1
        assert b"<h1>Too Many Requests</h1>" in slowed.body
        assert cookie_of(sign_in(service, tokens["read"]))


def test_pages_count_against_the_rate_of_the_token(tmp_path: Path) -> None:
    """429 as a page; the same token is then refused to a program too, and another one is not."""
    home = tmp_path / "home"
    url = f"sqlite:///{home}/results.db"
    token, other = give(url, "one"), give(url, "two")
    with served(home, "--rate", "1") as service:
        cookie = cookie_of(sign_in(service, token))
        refused: list[Answer] = []

        def is_refused() -> bool:
            refused.append(service.get("/", cookie=cookie))
            return refused[-1].status == 429

        until(is_refused, "it asks too often")
        assert b"ask again in" in refused[-1].body
        assert service.get("/v1/families", token=other).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
    ],
)
def test_a_form_of_another_site_signs_nobody_in_or_out(
    service: Served, tokens: dict[str, str], headers: dict[str, str]
) -> None:
    """403: nobody is signed in as somebody else without knowing it."""
    cookie = cookie_of(sign_in(service, tokens["read"]))
    for path, fields in (("/login", {"token": tokens["read"]}), ("/logout", {})):
        given = {"Content-Type": FORM, "Cookie": cookie, **headers}
        answer = service.ask("POST", path, body=urlencode(fields).encode(), headers=given)
        assert (answer.status, b"stood on another site" in answer.body) == (403, True)
        assert "set-cookie" not in answer.headers
    assert service.get("/", cookie=cookie).status == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", FORM, 422),
        (b"token=", FORM, 422),
        (b"token=%20%0D%0A", FORM, 422),
        (b"other=x", FORM, 422),
        (b"\xff&" * 1000, FORM, 422),
        (b"token=%00%FF", FORM, 401),
        (b'{"token": "x"}', "application/json", 415),
        (b"x" * 300_000, FORM, 413),
    ],
)
def test_a_form_that_cannot_be_read_is_refused_and_is_no_fault(
    service: Served, body: bytes, kind: str, status: int
) -> None:
    """Each with its own status, or that of guessing too often."""
    answer = service.ask("POST", "/login", body=body, headers={"Content-Type": kind})
    assert answer.status in (status, 429)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("query", ["cursor=!", "cursor=YQ%3D%3D", "cursor=" + "Y" * 5000, "cursor=%00"])
def test_a_cursor_that_no_page_gave_is_refused_as_a_page(service: Served, tokens: dict[str, str], query: str) -> None:
    """422, with the way back."""
    answer = service.get(f"/?{query}", token=tokens["read"])
    assert (answer.status, b'<a href="/">' in answer.body) == (422, True)
    assert len(answer.body) < 12_000


def test_other_methods_than_those_of_forms_are_refused(service: Served) -> None:
    """405 on each page."""
    for method, path in (("POST", "/"), ("PUT", "/login"), ("GET", "/logout"), ("DELETE", "/")):
        assert service.ask(method, path).status == 405


def test_a_database_that_is_away_is_told_as_a_page_without_where_it_is(tmp_path: Path) -> None:
    """503 with Retry-After to whoever asks; the front page is back when the database is."""
    home = tmp_path / "home"
    url = f"sqlite:///{home}/results.db"
    token = give(url, "ci")
    with served(home) as service:
        cookie = cookie_of(sign_in(service, token))
        assert service.get("/", cookie=cookie).status == 200
        away = [file.rename(file.with_name(f"{file.name}.away")) for file in home.glob("results.db*")]
        time.sleep(2 * max(BELIEVED, PAGE_BELIEVED))  # by then it has looked again
        for given in (cookie, "x=y"):
            answer = service.get("/", cookie=given)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert str(home).encode() not in answer.body
            assert b"<h1>Service Unavailable</h1>" in answer.body
        for file in away:
            file.rename(file.with_name(file.name.removesuffix(".away")))
        until(lambda: service.get("/", cookie=cookie).status == 200, "it is back")


# ── MLflow ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_without_an_mlflow_server_the_way_there_says_what_to_do(service: Served, tokens: dict[str, str]) -> None:
    """404, and the page has no such link."""
    answer = service.get(f"/mlflow/{SWEPT}", token=tokens["read"])
    assert (answer.status, b"lrsweep ui" in answer.body) == (404, True)
    assert b"/mlflow/" not in service.get("/", token=tokens["read"]).body


def test_an_mlflow_that_is_away_costs_the_page_nothing(home: Path, tokens: dict[str, str]) -> None:
    """It is asked when its link is followed: 503 then, without the password in its address."""
    environ = {"MLFLOW_TRACKING_URI": "http://ann:s3cret-word@127.0.0.1:9"}
    store = open_store(f"sqlite:///{home}/results.db")
    lease = store.acquire_lease(SWEPT, "a test", seconds=600)
    store.update_sweep(lease, SWEEP, mlflow_run_id="0123456789abcdef0123456789abcdef")
    store.release_lease(lease)
    store.close()
    with served(home, environ=environ) as service:
        assert b'href="/mlflow/quick"' in service.get("/", token=tokens["read"]).body
        answer = service.get(f"/mlflow/{SWEPT}", token=tokens["read"])
        assert (answer.status, b"MLflow at http://127.0.0.1:9 does not answer" in answer.body) == (503, True)
        assert b"s3cret" not in answer.body
        for name in ("nope", "%00", "..%2F..%2Fetc", PROMOTED):
            assert service.get(f"/mlflow/{name}", token=tokens["read"]).status == 404


@pytest.mark.parametrize("given", ["mlflow:5000", "ftp://x"])
def test_an_address_of_mlflow_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """Exit code 64, before anything is made."""
    run: Typed = typed(capsys, monkeypatch, tmp_path / "home", {})
    ran = run("serve", "--mlflow-url", given)
    assert (ran.code, f"--mlflow-url is '{given}'" in ran.err) == (64, True)
    assert not (tmp_path / "home").exists()
