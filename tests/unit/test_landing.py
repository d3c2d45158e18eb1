"""The page for people, part by part: what it tells, how it is drawn, and whom a cookie lets in."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import Response

from lrsweep.errors import SettingsError
from lrsweep.nightly.outcome import StudyNight
from lrsweep.schedules import family_names, schedule
from lrsweep.service.landing.gathering import BROKEN, NIGHTS, STUDIES, WORKING, Gathering, Landing
from lrsweep.service.landing.markup import joined, tag
from lrsweep.service.landing.mlflow import Mlflow
from lrsweep.service.landing.page import landing_page
from lrsweep.service.landing.picture import HEIGHT, WIDTH, picture
from lrsweep.service.landing.sessions import (
    LASTS_SECONDS,
    MOST_OF_ONE_TOKEN,
    Sessions,
    is_own,
    is_secure,
    keep,
    session_in,
)
from lrsweep.service.problems import Refused
from lrsweep.service.sources import Sources
from lrsweep.store import MemoryStore, Store
from lrsweep.store.champions import Action, Alias, ChampionRow
from lrsweep.store.queue import Queued
from lrsweep.sweep.owner import this_owner
from tests.choices import choice
from tests.served import begin, promote

EVIL = "<script>alert(1)</script>"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def gathered(store: Store, cursor: str | None = None) -> Landing:
    return Gathering(Sources()).landing(store, cursor)


def text_of(found: Landing, *, has_mlflow: bool = False, is_signed_in: bool = False) -> str:
    return landing_page(found, version="1.2", has_mlflow=has_mlflow, is_signed_in=is_signed_in).decode()


def came_to(verdict: str, sentence: str, *, is_unchanged: bool = False) -> dict[str, Any]:
    """As a night is kept."""
    night = StudyNight("digits", "g", "k", verdict, sentence, "next", 0, is_unchanged=is_unchanged)
    return {"format": 1, "night": night.to_json()}


# ── markup ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_text_is_text_and_what_was_made_here_is_markup() -> None:
    """In an element and in an attribute; quotes cannot end one."""
    assert tag("p", EVIL, title='"><b>') == ('<p title="&quot;&gt;&lt;b&gt;">&lt;script&gt;alert(1)&lt;/script&gt;</p>')
    assert joined(tag("i", "a"), "<b>", None) == "<i>a</i>&lt;b&gt;"
    assert tag("input", name="x", required=True, hidden=False, title=None) == '<input name="x" required>'


def test_whatever_a_study_or_a_night_is_called_is_shown_as_it_is_written() -> None:
    """Also what somebody wrote to the tables by hand."""
    store = MemoryStore()
    promote(store, choice(evidence={"evidence": EVIL, "n": 3}))
    row = ChampionRow(EVIL, Alias.CHAMPION, Action.PROMOTE, "{}", None, None, None)
    store.champions.promote(row)
    night = store.nights.begin(EVIL, "g", EVIL, {})
    store.nights.end(night.id, came_to(EVIL, f"{EVIL} in /srv/ann/studies"))
    page = text_of(gathered(store), has_mlflow=True)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "/srv/ann" not in page


# ── the picture ──────────────────────────────────────────────────────────────────────────────────────────────────────
def points_of(found: str | None) -> list[tuple[float, float]]:
    assert found is not None
    [points] = re.findall(r'points="([^"]*)"', found)
    return [(float(x), float(y)) for x, y in (each.split(",") for each in points.split())]


def test_a_picture_begins_at_the_peak_and_ends_low_where_a_schedule_does() -> None:
    """Linear: from the upper left to the lower right, within its frame; half way it stands in the middle."""
    points = points_of(picture(schedule("linear").to_json(), 600))
    assert points[0] == (2, 2)
    assert points[-1] == pytest.approx((WIDTH - 2, HEIGHT - 2), abs=0.2)
    assert points[len(points) // 2][1] == pytest.approx(HEIGHT / 2, abs=0.3)


@pytest.mark.parametrize("horizon", [1, 2, 600, 10**12])
def test_every_family_has_a_picture_within_its_frame_on_any_horizon(horizon: int) -> None:
    """Reactive ones have that of their base; of what calls code nothing is drawn and nothing is called."""
    for name in family_names():
        if name in ("table", "function"):
            continue
        points = points_of(picture(schedule(name).to_json(), horizon))
        assert len(points) >= 1
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points), name
    assert picture(json.dumps({"version": 1, "family": "function", "path": "os:abort"}), horizon) is None
    assert picture("{}", horizon) is None


# ── what the page tells ──────────────────────────────────────────────────────────────────────────────────────────────
def test_an_empty_store_says_what_to_type() -> None:
    """The command that makes a study file, and the one that runs it."""
    page = text_of(gathered(MemoryStore()))
    assert "No study has been run here yet" in page
    assert "<code>lrsweep run STUDY.toml</code>" in page
    assert "<table" not in page


def test_each_part_that_has_nothing_says_what_brings_the_first() -> None:
    """A study that has begun, and no choice, no queue, no night."""
    store = MemoryStore()
    begin(store, "digits", "sweep-1")
    page = text_of(gathered(store))
    assert page.count("<table") == 1
    for command in ("lrsweep promote STUDY", "lrsweep nightly run", "lrsweep run STUDY.toml"):
        assert f"<code>{command}</code>" in page


def test_a_champion_has_family_peak_horizon_evidence_and_n_and_the_way_to_use_it() -> None:
    """A candidate has the same without the way: the route gives the champion."""
    store = MemoryStore()
    promote(store, choice())
    promote(store, choice(schedule=schedule("wsd"), peak_lr=0.123456, horizon=120_000), Alias.CANDIDATE)
    found = gathered(store)
    champion, candidate = found.choices
    assert (champion.alias, champion.summary, champion.evidence, champion.n) == (
        "champion",
        "linear with sgd",
        "recommended",
        3,
    )
    assert (candidate.alias, candidate.peak_lr, candidate.horizon) == ("candidate", 0.123456, 120_000)
    page = text_of(found)
    assert page.count("<svg") == 2
    assert "120,000" in page
    assert "0.123<" in page
    assert page.count('href="/v1/studies/digits/schedule"') == 1


def test_running_sweeps_come_first_and_then_those_that_wait_in_their_order() -> None:
    """One that a driver holds, and two that were asked for; of a driver that has died nothing runs."""
    store = MemoryStore()
    for number, name in enumerate(("a", "b", "c", "dead")):
        begin(store, name, f"sweep-{number}")
    store.acquire_lease("b", this_owner(), seconds=600)
    store.acquire_lease("dead", re.sub(r"process \d+", "process 999999999", this_owner()), seconds=600)
    for name in ("c", "a", "b"):
        store.queue.add(Queued(f"asked-{name}", name, "ci"))
    found = gathered(store)
    assert [(each.study, each.state) for each in found.working] == [("b", "running"), ("c", "queued"), ("a", "queued")]
    assert found.working_in_all == 3
    assert {each.name: each.state for each in found.studies}["dead"] == "unfinished"


def test_a_driver_that_has_no_sweep_yet_is_starting() -> None:
    """Its study has no row either: it stands among what runs alone."""
    store = MemoryStore()
    store.acquire_lease("new", this_owner(), seconds=600)
    found = gathered(store)
    assert [(each.study, each.state, each.sweep) for each in found.working] == [("new", "starting", None)]
    assert "<table" in text_of(found)


def test_of_nights_the_newest_are_told_and_one_under_way_says_so() -> None:
    """Verdict and sentence are the night's own."""
    store = MemoryStore()
    for number in range(NIGHTS + 3):
        night = store.nights.begin("digits", "g", f"night-{number:02}", {})
        store.nights.end(night.id, came_to("holds", f"told {number}"))
    last = store.nights.begin("digits", "g", "last", {})
    store.nights.end(last.id, came_to("holds", "as before", is_unchanged=True))
    store.nights.begin("digits", "g", "tonight", {})
    store.nights.begin("nosuch", "fails", "tonight", {"kind": "fails", **came_to("failed", "there is no such file")})
    found = gathered(store)
    nights = found.nights
    assert len(nights) == NIGHTS
    assert [(each.key, each.verdict, each.sentence) for each in nights[:3]] == [
        ("tonight", "failed", "there is no such file"),
        ("tonight", "under way", ""),
        ("last", "holds", "as before"),
    ]
    assert ">holds (unchanged)<" in text_of(found)


def test_pages_hold_every_study_once_and_the_last_leads_on_to_none() -> None:
    """What runs and the nights stand on the first alone; a cursor that no page gave is refused."""
    store = MemoryStore()
    names = [f"study-{number:03}" for number in range(2 * STUDIES + 1)]
    for name in names:
        promote(store, choice(name=name))
    seen, cursor, pages = [], None, 0
    while True:
        found = gathered(store, cursor)
        seen += [each.name for each in found.studies]
        pages += 1
        page = text_of(found)
        assert ('id="nights"' in page) == (cursor is None)
        cursor = found.next
        assert (f'href="/?cursor={cursor}#studies"' in page) == (cursor is not None)
        if cursor is None:
            break
    assert (seen, pages) == (names, 3)
    with pytest.raises(Refused, match="cursor is '!'"):
        gathered(store, "!")


class Counting:
    """A store that counts what it is asked, whatever part of it is asked."""

    def __init__(self, inner: object, asked: Counter[str]) -> None:
        self._inner = inner
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in ("champions", "extracts", "nights", "queue"):
            return Counting(found, self._asked)
        self._asked[name] += 1
        return found


def test_a_page_asks_the_store_as_much_of_three_hundred_studies_as_of_thirty() -> None:
    """Of names in one question, of what it shows alone the rest."""
    asked = []
    for count in (30, 300):
        store = MemoryStore()
        for number in range(count):
            begin(store, f"study-{number:04}", f"sweep-{number}")
            store.queue.add(Queued(f"asked-{number}", f"study-{number:04}", "ci"))
        counts: Counter[str] = Counter()
        found = gathered(cast(Store, Counting(store, counts)))
        assert (len(found.studies), len(found.working), found.working_in_all) == (STUDIES, WORKING, count)
        asked.append(counts)
    assert asked[0] == asked[1]


def test_where_a_sweep_stands_is_found_once_until_something_changes() -> None:
    """A second page asks for no trials; one after an event does."""
    clock, counts = Clock(), Counter[str]()
    store = MemoryStore(clock=clock)
    begin(store, "digits", "sweep-1")
    gathering, counting = Gathering(Sources()), cast(Store, Counting(store, counts))
    for _ in range(3):
        gathering.landing(counting, None)
    assert counts["trial_counts"] == 1
    lease = store.acquire_lease("digits", this_owner(), seconds=600)
    assert gathering.landing(counting, None).studies[0].state == "running"
    store.note(lease, "rung_dropped", "sweep-1", {})
    gathering.landing(counting, None)
    assert counts["trial_counts"] == 3
    clock.now += 601  # the driver's lease has run out, which leaves no event
    assert gathering.landing(counting, None).studies[0].state == "unfinished"


def test_one_study_that_cannot_be_read_hides_no_other() -> None:
    """A newer release's settings, or a row that somebody has written; the page says which command looks into it."""

    def standing(store: Store, sweep: Any) -> Mapping[str, Any]:
        if sweep.study == "broken":
            raise SettingsError("of another release")
        return Sources().standing(store, sweep)

    store = MemoryStore()
    begin(store, "broken", "sweep-1")
    begin(store, "whole", "sweep-2")
    row = ChampionRow("broken", Alias.CHAMPION, Action.PROMOTE, '{"schedule": []}', None, None, None)
    store.champions.promote(row)
    found = Gathering(replace(Sources(), standing=standing)).landing(store, None)
    assert [(each.name, each.state) for each in found.studies] == [("broken", BROKEN), ("whole", "unfinished")]
    assert found.choices[0].summary == BROKEN
    assert "lrsweep db check" in text_of(found)


def test_links_into_mlflow_are_there_where_mlflow_has_an_address() -> None:
    """A database of its own has none; the page of a study with a sweep has one."""
    store = MemoryStore()
    begin(store, "digits", "sweep-1")
    found = gathered(store)
    assert "/mlflow/digits" in text_of(found, has_mlflow=True)
    assert "/mlflow/" not in text_of(found, has_mlflow=False)


@pytest.mark.parametrize(
    ("uri", "shown", "wanted"),
    [
        ("http://ann:s3cret-word@mlflow:5000", None, ("http://ann:s3cret-word@mlflow:5000", "http://mlflow:5000")),
        ("http://mlflow:5000", "https://box/mlflow", ("http://mlflow:5000", "https://box/mlflow")),
        ("", "http://127.0.0.1:5000", ("http://127.0.0.1:5000", "http://127.0.0.1:5000")),
        ("sqlite:///mlflow.db", None, None),
        ("", None, None),
    ],
)
def test_mlflow_is_asked_at_one_address_and_linked_to_at_another(
    uri: str, shown: str | None, wanted: tuple[str, str] | None
) -> None:
    """A password stays with the service."""
    found = Mlflow.of(uri, shown)
    assert (None if found is None else (found.uri, found.base)) == wanted


@pytest.mark.parametrize(
    "shown", ["mlflow:5000", "ftp://x", "http://", "javascript:alert(1)", "http://h:x", "http://a b"]
)
def test_an_address_of_mlflow_that_is_none_is_refused(shown: str) -> None:
    """With one that would do."""
    with pytest.raises(SettingsError, match="wanted is such as"):
        Mlflow.of("http://mlflow:5000", shown)


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_session_ends_by_time_by_signing_out_and_for_no_other_reason() -> None:
    """And nothing opens that nobody was given."""
    clock = Clock()
    sessions = Sessions(clock)
    session, other = sessions.begin("digest"), sessions.begin("digest")
    assert session != other
    clock.now += LASTS_SECONDS - 1
    assert (sessions.digest_of(session), sessions.digest_of("x"), sessions.digest_of(None)) == ("digest", None, None)
    sessions.end(other)
    assert (sessions.digest_of(session), sessions.digest_of(other)) == ("digest", None)
    clock.now += 2
    assert sessions.digest_of(session) is None


def test_one_token_has_so_many_browsers_and_the_first_gives_way() -> None:
    """Those of another token stay: nobody signs others out by signing in often."""
    sessions = Sessions(Clock())
    other = sessions.begin("other")
    begun = [sessions.begin("digest") for _ in range(MOST_OF_ONE_TOKEN + 1)]
    assert [sessions.digest_of(each) for each in begun] == [None, *["digest"] * MOST_OF_ONE_TOKEN]
    assert sessions.digest_of(other) == "other"


def asking(headers: Sequence[tuple[str, str]], port: int = 8000) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "method": "POST", "headers": raw, "server": ("127.0.0.1", port)})


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([("host", "localhost:8000")], False),
        ([("host", "127.0.0.1:8000"), ("origin", "http://127.0.0.1:8000")], False),
        ([("host", "box.example")], True),
        ([("host", "127.0.0.1.evil.example")], True),
        ([("host", "127.0.0.1:8000"), ("origin", "https://box.example")], True),
        ([], True),
    ],
)
def test_a_cookie_goes_over_tls_alone_unless_this_machine_was_asked(
    headers: list[tuple[str, str]], wanted: bool
) -> None:
    """Also where a proxy with TLS asks under this machine's name. Scripts and other sites never have it."""
    request, answer = asking(headers), Response()
    assert is_secure(request) is wanted
    keep(answer, request, "value")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-lrsweep-8000=value;" if wanted else "lrsweep-8000=value;")
    assert ("; Secure" in cookie) is wanted
    for part in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LASTS_SECONDS}"):
        assert part in cookie
    assert "Domain" not in cookie


def test_two_services_on_one_machine_do_not_take_each_others_cookie() -> None:
    """Browsers send a host's cookies to all of its ports."""
    cookies = ("cookie", "lrsweep-8000=one; lrsweep-8001=two; __Host-lrsweep-8002=three")
    assert [session_in(asking([cookies], port)) for port in (8000, 8001, 8002, 8003)] == ["one", "two", "three", None]


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ([("sec-fetch-site", "same-origin"), ("origin", "https://box"), ("host", "127.0.0.1:8000")], True),
        ([("sec-fetch-site", "cross-site"), ("origin", "http://h:1"), ("host", "h:1")], False),
        ([("sec-fetch-site", "same-site"), ("host", "h:1")], False),
        ([("origin", "http://h:1"), ("host", "H:1")], True),
        ([("origin", "http://h:2"), ("host", "h:1")], False),
        ([("origin", "null"), ("host", "h:1")], False),
        ([("host", "h:1")], True),
    ],
)
def test_a_form_of_another_site_is_known_by_what_browsers_say(headers: list[tuple[str, str]], wanted: bool) -> None:
    """Where they say nothing it is a program, which has no cookie."""
    assert is_own(asking(headers)) is wanted
