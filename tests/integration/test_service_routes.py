"""What the service answers, on SQLite and on PostgreSQL, in a real process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy.engine import make_url

from lrsweep.champion.exporting import exported
from lrsweep.champion.reading import from_json
from lrsweep.loading import load_choice
from lrsweep.store import open_store
from tests.choices import choice
from tests.commands import lrsweep
from tests.databases import administer
from tests.served import BEGUN, CHAMPION, PROMOTED, SWEEP, SWEPT, Served, begin, fill, promote, served, until


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process for all tests here: none of them changes what another reads."""
    home = tmp_path_factory.mktemp("served") / "home"
    if request.param == "sqlite":
        fill(f"sqlite:///{home}/results.db")
        with served(home) as found:
            yield found
        return
    server: str = request.getfixturevalue("postgres_server")
    name = f"test_{uuid4().hex}"
    administer(server, f"CREATE DATABASE {name}")
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    fill(url)
    plain = url.replace("+psycopg", "")
    with served(home, environ={"LRSWEEP_DATABASE_URL": plain}, database=url) as found:
        yield found
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


# ── studies ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_studies_are_listed_by_name_with_what_is_in_force(service: Served) -> None:
    """One with a sweep that has ended, one that has begun, and one of which a champion is all that is left."""
    answer = service.get("/v1/studies")
    assert answer.status == 200
    lines = {each["name"]: each for each in answer.json["studies"]}
    assert list(lines)[:3] == [BEGUN, PROMOTED, SWEPT]
    assert (lines[SWEPT]["newest_sweep"], lines[SWEPT]["is_finished"], lines[SWEPT]["champion"]) == (SWEEP, True, None)
    assert (lines[BEGUN]["newest_sweep"], lines[BEGUN]["is_finished"]) == ("sweep-2", False)
    assert lines[PROMOTED]["newest_sweep"] is None
    assert lines[PROMOTED]["champion"] == "linear at 0.4 with sgd, 600 steps"
    assert lines[PROMOTED]["evidence"] == "recommended"


def test_pages_hold_every_study_once_whatever_is_added_meanwhile(service: Served) -> None:
    """A name before the cursor moves nothing; the last page has no next."""
    first = service.get("/v1/studies?limit=2").json
    store = open_store(service.database)
    begin(store, "another", f"sweep-{uuid4().hex}")
    store.close()
    second = service.get(f"/v1/studies?limit=2&cursor={first['next']}").json
    assert [each["name"] for each in first["studies"] + second["studies"]] == [BEGUN, PROMOTED, SWEPT]
    assert second["next"] is None
    assert service.get("/v1/studies").json["studies"][0]["name"] == "another"


@pytest.mark.parametrize("query", ["cursor=!", "cursor=YQ%3D%3D", "cursor=", "limit=0", "limit=101", "limit=x"])
def test_a_page_that_cannot_be_is_refused_with_what_was_given(service: Served, query: str) -> None:
    """422, and the text names it."""
    answer = service.get(f"/v1/studies?{query}")
    assert answer.status == 422
    assert query.split("=")[0] in answer.problem


def test_a_study_tells_where_it_stands_and_what_is_in_force(service: Served) -> None:
    """The standing is that of `lrsweep status --json`, without the name of the machine that drives it."""
    found = service.get(f"/v1/studies/{SWEPT}").json
    assert found["standing"]["state"] == "finished"
    assert found["standing"]["family"] == "cosine"
    assert found["standing"]["is_driven"] is False
    assert "driver" not in found["standing"]
    assert [each["sweep"] for each in found["sweeps"]] == [SWEEP]
    assert found["champion"] is None

    promoted = service.get(f"/v1/studies/{PROMOTED}").json
    assert promoted["standing"] is None
    assert (promoted["champion"]["family"], promoted["champion"]["peak_lr"]) == ("linear", 0.4)


@pytest.mark.parametrize("path", ["/v1/studies/quik", "/v1/studies/quik/schedule"])
def test_an_unknown_study_is_refused_with_the_names_that_there_are(service: Served, path: str) -> None:
    """404, the one that was probably meant first."""
    answer = service.get(path)
    assert answer.status == 404
    assert "there is no study 'quik'. Did you mean 'quick'?" in answer.problem
    assert PROMOTED in answer.problem


@pytest.mark.parametrize("name", ["%00", "quick%00", "a%01b", "%7f", "%C2%80"])
def test_a_name_with_a_control_sign_is_not_there(service: Served, name: str) -> None:
    """404 on either database: PostgreSQL refuses a NUL in any question."""
    for path in (
        f"/v1/studies/{name}",
        f"/v1/studies/{name}/schedule",
        f"/v1/sweeps/{name}",
        f"/v1/sweeps/{name}/report",
    ):
        answer = service.get(path)
        assert (answer.status, "no name has a control sign" in answer.problem) == (404, True), path


# ── the schedule ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_champion_comes_with_its_rates_and_its_evidence(service: Served) -> None:
    """Four in one call: which schedule, at which rates, how far that is shown, and by how many seeds."""
    found = service.get(f"/v1/studies/{PROMOTED}/schedule").json
    assert (found["source"], found["recommended"], found["evidence"], found["n"]) == (
        "champion",
        "linear",
        "recommended",
        3,
    )
    assert (found["horizon"], found["found_on"], found["peak_lr"], found["notes"]) == (600, 600, 0.4, [])
    assert found["rates"][:2] == [0.4, pytest.approx(0.4 * 599 / 600)]
    assert len(found["rates"]) == 600
    assert from_json(found["choice"], "the service") == CHAMPION


def test_without_a_champion_it_is_what_the_newest_sweep_recommends(service: Served) -> None:
    """With the verdict that its finals allow, and where it comes from."""
    found = service.get(f"/v1/studies/{SWEPT}/schedule").json
    assert (found["source"], found["sweep"], found["recommended"]) == ("sweep", SWEEP, "cosine")
    assert (found["evidence"], found["horizon"]) == ("proven", 90)
    assert len(found["rates"]) == 90
    assert found["choice"]["evidence"]["winner"] == "cosine"
    assert found["choice"]["test"] is None


def test_another_horizon_moves_the_peak_by_the_exponent_and_says_so(service: Served) -> None:
    """A quarter of the steps, and the exponent 0.5: twice the peak."""
    found = service.get(f"/v1/studies/{PROMOTED}/schedule?horizon=150").json
    assert found["peak_lr"] == pytest.approx(0.8)
    assert found["rates"][0] == pytest.approx(0.8)
    assert len(found["rates"]) == 150
    [note] = found["notes"]
    assert "0.4 was found on 600 steps; for 150 it is 0.8" in note
    assert "measured, 95 %: 0.4 to 0.6" in note


@pytest.mark.parametrize("form", ["python", "torch", "transformers", "optax", "keras", "csv"])
def test_a_form_is_the_text_of_the_export_command(service: Served, form: str) -> None:
    """Byte for byte, on the choice's own horizon and on another."""
    for horizon, query in ((None, ""), (30, "&horizon=30")):
        answer = service.get(f"/v1/studies/{PROMOTED}/schedule?format={form}{query}")
        assert answer.status == 200
        assert answer.body.decode() == exported(CHAMPION, form, horizon)
    assert answer.headers["content-type"].startswith("text/csv" if form == "csv" else "text/x-python")


def test_rates_alone_are_a_list(service: Served) -> None:
    """One for each update."""
    rates = service.get(f"/v1/studies/{PROMOTED}/schedule?format=rates&horizon=4").json
    assert rates == CHAMPION.schedule.rates(4, CHAMPION.peak_at(4)).tolist()


def test_very_many_rates_are_not_written_out(service: Served) -> None:
    """As JSON they are left out and a note says so; as a list or as csv they are refused; code has any."""
    long = service.get(f"/v1/studies/{PROMOTED}/schedule?horizon=1000000").json
    assert long["rates"] is None
    assert any("100,000 steps at most" in note for note in long["notes"])
    for form in ("rates", "csv"):
        answer = service.get(f"/v1/studies/{PROMOTED}/schedule?horizon=1000000&format={form}")
        assert answer.status == 422
        assert "format=python" in answer.problem
    assert service.get(f"/v1/studies/{PROMOTED}/schedule?horizon=1000000&format=python").status == 200


@pytest.mark.parametrize("query", ["horizon=0", "horizon=-1", "horizon=x", "horizon=1e400", "format=nowhere"])
def test_what_cannot_be_meant_is_refused_by_name(service: Served, query: str) -> None:
    """422, with the parameter and what was given."""
    answer = service.get(f"/v1/studies/{PROMOTED}/schedule?{query}")
    assert answer.status == 422
    [error] = answer.json["errors"]
    assert error["where"] == f"query.{query.split('=')[0]}"
    assert query.split("=")[1] in error["given"]


def test_a_study_without_a_value_is_a_conflict_that_says_what_to_do(service: Served) -> None:
    """409: the study is there, and nothing is known of it yet."""
    answer = service.get(f"/v1/studies/{BEGUN}/schedule")
    assert answer.status == 409
    assert "no training of study 'begun' has come to a value" in answer.problem


def test_who_has_the_answer_is_told_so_until_it_changes(service: Served) -> None:
    """304 and no body by its ETag; another form, horizon or champion has another one."""
    name = "changing"
    store = open_store(service.database)
    promote(store, choice(name=name))
    path = f"/v1/studies/{name}/schedule"
    first = service.get(path)
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        same = service.get(path, if_none_match=known)
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", etag)
    assert service.get(path, if_none_match='"x"').status == 200
    others = [service.get(f"{path}?horizon=30"), service.get(f"{path}?format=rates")]
    assert len({etag, *(each.headers["etag"] for each in others)}) == 3

    promote(store, choice(name=name, peak_lr=0.5))
    store.close()
    until(lambda: service.get(path, if_none_match=etag).status == 200, "within a second or so")
    assert service.get(path).json["peak_lr"] == 0.5


def test_a_sweep_that_goes_on_changes_the_answer(service: Served) -> None:
    """What is kept of a sweep is dropped with its next event, whatever it is."""
    path = f"/v1/studies/{SWEPT}/schedule"
    before = service.get(path)
    store = open_store(service.database)
    lease = store.acquire_lease(SWEPT, "a test", seconds=60)
    store.create_sweep(lease, type(store.sweeps(SWEPT)[0])("sweep-3", SWEPT, store.sweeps(SWEPT)[0].generation))
    until(lambda: service.get(path).headers["etag"] != before.headers["etag"], "within a second or so")
    after = service.get(path)
    assert after.json["sweep"] == SWEEP
    assert after.json["notes"] == ["of an earlier sweep: the newest, sweep-3, has no value yet"]
    with store._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM lrs_sweep WHERE sweep_id = 'sweep-3'")
    store.release_lease(lease)
    store.close()
    until(lambda: service.get(path).json["notes"] == [], "the sweep is gone again")


# ── sweeps ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_sweep_tells_where_it_stands_and_has_a_report(service: Served) -> None:
    """Its links lead where they say; the page is of no origin and loads nothing."""
    found = service.get(f"/v1/sweeps/{SWEEP}").json
    assert (found["study"], found["state"], found["trials_told"]) == (SWEPT, "finished", 8)
    assert service.get(found["links"]["study"]).json["name"] == SWEPT
    assert service.get(found["links"]["schedule"]).status == 200
    page = service.get(found["links"]["report"])
    assert page.headers["content-type"].startswith("text/html")
    assert b"<html" in page.body
    assert b"cosine" in page.body
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-same-origin" not in policy
    again = service.get(found["links"]["report"], if_none_match=page.headers["etag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/v1/sweeps/nope", "/v1/sweeps/nope/report"])
def test_an_unknown_sweep_is_refused_with_the_ids_that_there_are(service: Served, path: str) -> None:
    """404."""
    answer = service.get(path)
    assert answer.status == 404
    assert SWEEP in answer.problem


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_families_are_those_of_the_command(service: Served, tmp_path: Path) -> None:
    """`lrsweep families --json`, in an object, without the one that calls a function: it is refused here."""
    told = json.loads(lrsweep("families", "--json", home=tmp_path / "none").out)
    assert "function" in [each["name"] for each in told]
    assert service.get("/v1/families").json == {"families": [each for each in told if each["name"] != "function"]}


@pytest.mark.parametrize("path", ["/studies", "/studies/quick/schedule", "/sweeps/x", "/families", "/preview"])
def test_an_address_without_its_version_is_refused_with_the_one_that_was_meant(service: Served, path: str) -> None:
    """404; for one that is nowhere the list of all."""
    answer = service.get(path)
    assert (answer.status, f"Did you mean '/v1{path}'?" in answer.problem) == (404, True)
    elsewhere = service.get(f"/nowhere{path}")
    assert (elsewhere.status, "Did you mean" in elsewhere.problem) == (404, False)
    assert "/openapi.json lists" in elsewhere.problem


def test_a_preview_gives_the_rates_of_a_family_with_its_settings(service: Served) -> None:
    """Those of the schedule itself; a reactive one on the metrics that are given."""
    asked = {"family": "linear", "settings": {"floor": 0.5}, "steps": 4, "peak_lr": 2.0}
    found = service.post("/v1/preview", asked)
    assert found.status == 200
    assert found.json["rates"] == [2.0, 1.75, 1.5, 1.25]
    assert found.json["schedule"]["floor"] == 0.5
    reacts = {"family": "plateau", "settings": {"patience": 0}, "steps": 8, "metrics": [1.0, 1.0, 1.0, 1.0]}
    assert len(set(service.post("/v1/preview", reacts).json["rates"])) > 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"family": "function", "settings": {"path": "os:getcwd"}}, "runs no code of who asks"),
        (
            {"family": "plateau", "settings": {"base": {"family": "function", "path": "os:getcwd"}}},
            "runs no code of who asks",
        ),
        ({"family": "cosin"}, "cosine"),
        ({"family": "linear", "settings": {"warmup": 2}}, "warmup"),
        ({"family": "plateau"}, "reacts to a metric"),
        ({"family": "linear", "steps": 100_001}, "body.steps"),
        ({"family": "linear", "steps": 0}, "body.steps"),
        ({"family": "linear", "peak_lr": -1}, "body.peak_lr"),
        ({"family": "linear", "other": 1}, "body.other"),
        ({"family": "linear", "metrics": [1.0]}, "leave them out"),
        ({"family": "plateau", "metrics": [True]}, "body.metrics.0"),
        ({"family": "linear", "peak_lr": "0.1"}, "body.peak_lr"),
        ({"family": "linear", "peak_lr": 1e308, "settings": {"warmup": 1e308}}, "warmup"),
        (
            {"family": "slope", "settings": {"window": 101}, "steps": 10_000, "metrics": [1.0] * 10_000},
            "a window of 101 over 10,000 metrics looks at 1,010,000 numbers; wanted are 1,000,000 at most",
        ),
        ({"settings": {}}, "body.family"),
        ([1], "body"),
    ],
)
def test_a_preview_that_cannot_be_is_refused(service: Served, asked: object, told: str) -> None:
    """422 with what is wrong; nothing that is sent is called."""
    answer = service.post("/v1/preview", asked)
    assert answer.status == 422
    assert told in answer.problem


def test_a_field_that_no_question_has_is_refused_with_those_that_it_has(service: Served) -> None:
    """With the one that was probably meant, and without its value."""
    answer = service.post("/v1/preview", {"family": "linear", "peak": 0.1, "stepps": "hunter2"})
    assert answer.status == 422
    wanted = "wanted are family, metrics, peak_lr, settings, steps."
    assert f"body.stepps: the object of POST /v1/preview has no such field; {wanted} Did you mean 'steps'?" in (
        answer.problem
    )
    assert [each["where"] for each in answer.json["errors"]] == ["body.peak", "body.stepps"]
    assert "hunter2" not in answer.body.decode()


@pytest.mark.parametrize("text", [b"{", b"\xff", b'{"family": "linear", "peak_lr": NaN}', b"[" * 10_000])
def test_a_body_that_is_no_json_is_refused(service: Served, text: bytes) -> None:
    """422."""
    assert service.post("/v1/preview", text).status == 422


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            f"/v1/studies/{SWEPT}/schedule?horizn=2000&format=rates",
            "query.horizn: GET /v1/studies/{name}/schedule takes no such parameter; wanted are format, horizon. "
            "Did you mean 'horizon'?",
        ),
        (
            "/v1/studies?page=2&limits=3",
            "query.limits: GET /v1/studies takes no such parameter; wanted are cursor",
        ),
        ("/v1/families?token=hunter2", "query.token: GET /v1/families takes no such parameter; it takes none."),
        ("/metrics?x", "query.x: GET /metrics takes no such parameter; it takes none."),
    ],
)
def test_a_parameter_that_no_route_knows_is_refused_with_those_that_it_knows(
    service: Served, path: str, told: str
) -> None:
    """422, each by its name and without its value, which may be a secret; what looks at health may add its own."""
    answer = service.get(path)
    assert answer.status == 422
    assert told in answer.problem
    assert answer.json["errors"][-1]["where"] in told
    assert "hunter2" not in answer.body.decode()
    assert service.get("/healthz?at=1").status == service.get("/readyz?at=1").status == 200


def test_very_many_parameters_are_refused_as_fast_as_one(service: Served) -> None:
    """Fifty of them are told."""
    answer = service.get("/v1/studies?" + "&".join(f"x{number}" for number in range(3000)))
    assert (answer.status, len(answer.json["errors"])) == (422, 50)


# ── the service itself ───────────────────────────────────────────────────────────────────────────────────────────────
def test_it_says_that_it_lives_and_can_answer_and_counts_what_it_does(service: Served) -> None:
    """By route and status, not by path: whatever is asked for, the lines stay few."""
    assert service.get("/healthz").json["status"] == "ok"
    assert service.get("/readyz").json["status"] == "ok"
    service.get("/v1/studies/nobody-else-asks")
    answer = service.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    counted = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert int(counted['lrsweep_http_requests_total{method="GET",route="/v1/studies/{name}",status="404"}']) >= 1
    assert counted['lrsweep_in_force{alias="champion"}'] >= "1"
    assert counted['lrsweep_sweeps{status="finished"}'] == "1"
    assert "nobody-else-asks" not in answer.body.decode()
    many = '/v1/studies/{name}",le="+Inf"}'
    assert any(many in line for line in lines)


@pytest.mark.parametrize("path", ["/v1/studies", "/v1/studies/nope", "/nowhere", "/healthz", "/openapi.json"])
def test_every_answer_has_the_headers_that_keep_browsers_away(service: Served, path: str) -> None:
    """Refusals too; and no answer lets another origin read it."""
    headers = service.get(path, origin="http://elsewhere.example").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]
    assert "server" not in headers


def test_openapi_has_an_example_of_every_answer_and_names_every_refusal(service: Served) -> None:
    """Each 200 that is JSON has a model with an example, and each refusal is problem+json."""
    found = service.get("/openapi.json").json
    assert sorted(found["paths"]) == [
        "/healthz",
        "/metrics",
        "/readyz",
        "/v1/families",
        "/v1/preview",
        "/v1/studies",
        "/v1/studies/{name}",
        "/v1/studies/{name}/schedule",
        "/v1/studies/{name}/sweeps",
        "/v1/sweeps/{sweep_id}",
        "/v1/sweeps/{sweep_id}/cancel",
        "/v1/sweeps/{sweep_id}/events",
        "/v1/sweeps/{sweep_id}/report",
    ]
    models = found["components"]["schemas"]
    for path, operations in found["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
                    continue
                schema = response.get("content", {}).get("application/json", {}).get("schema", {})
                if "$ref" in schema:
                    assert models[schema["$ref"].rpartition("/")[2]]["examples"], path
    assert "HTTPValidationError" not in models


def test_examples_of_openapi_are_answers_that_could_be(service: Served) -> None:
    """The one of the schedule has every key that a real answer has, and the question of a preview is answered."""
    models = service.get("/openapi.json").json["components"]["schemas"]
    [example] = models["ScheduleAnswer"]["examples"]
    assert set(example) == set(service.get(f"/v1/studies/{PROMOTED}/schedule").json)
    [question] = models["PreviewQuestion"]["examples"]
    answer = service.post("/v1/preview", question)
    assert np.max(answer.json["rates"]) == question["peak_lr"]


def test_the_same_choice_is_loaded_from_the_database_itself(service: Served) -> None:
    """`lrsweep.load_choice` and the service read one row."""
    url = service.database.replace("+psycopg", "")
    assert load_choice(PROMOTED, url=url) == from_json(
        service.get(f"/v1/studies/{PROMOTED}/schedule").json["choice"], "the service"
    )


def test_a_line_too_much_at_the_end_leads_nowhere(service: Served) -> None:
    """A redirect would lead to whatever host the request has named."""
    answer = service.get("/v1/studies/", host=f"localhost:{service.address[1]}")
    assert (answer.status, answer.headers.get("location")) == (404, None)
    assert "there is nothing at '/v1/studies/'. Did you mean '/v1/studies'?" in answer.problem
