"""The front page's way to MLflow: a real sweep on a real server, and the link that a person follows."""

from __future__ import annotations

import http.server
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from mlflow import MlflowClient

from lrsweep.records import Direction
from lrsweep.store import open_store
from lrsweep.tracking.server import MlflowServer
from lrsweep.tracking.views import BY_FAMILY, Look, filter_link, saved_views, view_link
from tests.browser import PATIENCE_MS, chromium_page
from tests.commands import lrsweep, write_study
from tests.served import Answer, Served, begin, served, until

STUDY = "tiny"


@dataclass(frozen=True)
class Swept:
    home: Path
    server: str
    experiment: str


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """A sweep whose runs are on a server of MLflow, and a study that MLflow has not heard of."""
    folder = tmp_path_factory.mktemp("mlflow")
    with MlflowServer(f"sqlite:///{folder / 'server.db'}", str(folder / "served"), port=0) as server:
        ran = lrsweep(
            "run", str(write_study(folder, trials=3)), home=folder / "home", environ={"MLFLOW_TRACKING_URI": server.url}
        )
        assert ran.code == 0, ran.err
        store = open_store(f"sqlite:///{folder}/home/results.db")
        begin(store, "unheard", "sweep-unheard")
        store.close()
        found = MlflowClient(tracking_uri=server.url).get_experiment_by_name(STUDY)
        assert found is not None
        yield Swept(folder / "home", server.url, found.experiment_id)


def followed(service: Served, study: str) -> Answer:
    return service.get(f"/mlflow/{study}")


def look_of(swept: Swept) -> Look:
    """As its saved views say it."""
    tags = MlflowClient(tracking_uri=swept.server).get_experiment(swept.experiment).tags
    sense: Direction = "minimize"
    looks = [Look(STUDY, horizon, "val_loss", "val_loss", sense) for horizon in range(1, 200)]
    [found] = [each for each in looks if saved_views(each).items() <= tags.items()]
    return found


def test_the_link_leads_to_the_saved_view_where_browsers_reach_mlflow(swept: Swept) -> None:
    """By the server's own address, or by the one that the option gives."""
    wanted = view_link("", swept.experiment, Look(STUDY))
    environ = {"MLFLOW_TRACKING_URI": swept.server}
    with served(swept.home, environ=environ) as service:
        answer = followed(service, STUDY)
        assert (answer.status, answer.headers["location"]) == (303, f"{swept.server}{wanted}")
        assert f'href="/mlflow/{STUDY}"'.encode() in service.get("/").body
        lacking = followed(service, "unheard")
        assert (lacking.status, b"lrsweep sync unheard" in lacking.body) == (404, True)
    with served(swept.home, "--mlflow-url", "https://box.example/mlflow/", environ=environ) as service:
        assert followed(service, STUDY).headers["location"] == f"https://box.example/mlflow{wanted}"
    with served(swept.home, "--mlflow-url", swept.server) as service:  # no variable says it
        assert followed(service, STUDY).headers["location"] == f"{swept.server}{wanted}"


@pytest.mark.browser
def test_who_clicks_it_sees_the_curves_by_family(swept: Swept) -> None:
    """In MLflow's own page: the view that `lrsweep ui` opens."""
    with served(swept.home, environ={"MLFLOW_TRACKING_URI": swept.server}) as service, chromium_page() as page:
        page.goto(service.url)
        page.get_by_role("link", name=f"curves in MLflow of {STUDY}").click()
        page.wait_for_url(f"{swept.server}/**", timeout=PATIENCE_MS)
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length > 0", timeout=PATIENCE_MS)
        assert "viewStateShareKey=by-family" in page.url


def test_without_saved_views_the_link_filters_the_same_runs(swept: Swept) -> None:
    """As where a server forbids to tag experiments."""
    client = MlflowClient(tracking_uri=swept.server)
    look = look_of(swept)
    kept = {key: text for key, text in client.get_experiment(swept.experiment).tags.items() if key in saved_views(look)}
    for key in kept:
        client.delete_experiment_tag(swept.experiment, key)
    try:
        with served(swept.home, environ={"MLFLOW_TRACKING_URI": swept.server}) as service:
            location = followed(service, STUDY).headers["location"]
    finally:
        for key, text in kept.items():
            client.set_experiment_tag(swept.experiment, key, text)
    assert location == filter_link(swept.server, swept.experiment, look, BY_FAMILY)
    assert f"tags.`lrsweep.study` = '{STUDY}'" in unquote(location)
    with urllib.request.urlopen(location) as answer:
        assert answer.status == 200


def test_an_mlflow_that_wants_a_password_is_asked_with_it_and_the_link_has_none(swept: Swept) -> None:
    """It stands in the address, as MLflow's own clients take it."""
    uri = swept.server.replace("http://", "http://ann:s3cret-word@")
    with served(swept.home, environ={"MLFLOW_TRACKING_URI": uri}) as service:
        location = followed(service, STUDY).headers["location"]
    assert location.startswith(f"{swept.server}/#/experiments/")


@pytest.mark.parametrize("status", [200, 302, 403, 500])
def test_what_is_no_mlflow_is_told_so(swept: Swept, status: int) -> None:
    """503 with its status; a redirect is not followed with a password, and nothing is a fault of the service."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            uri = f"http://ann:s3cret-word@127.0.0.1:{other.server_address[1]}"
            with served(swept.home, environ={"MLFLOW_TRACKING_URI": uri}) as service:
                answer = followed(service, STUDY)
        finally:
            other.shutdown()
            thread.join()
    assert answer.status == 503
    assert b"s3cret" not in answer.body
    assert len(heard) == 1


def test_an_mlflow_that_says_nothing_holds_nobody_up_but_who_looks_into_it(swept: Swept) -> None:
    """Two wait for it, eight wait for them, more are told to come again; all else is answered meanwhile."""
    silent = socket.create_server(("127.0.0.1", 0))
    heard: list[socket.socket] = []
    asked: list[threading.Thread] = []
    statuses: list[int] = []

    def listen() -> None:
        with suppress(OSError):  # it is closed
            while True:
                heard.append(silent.accept()[0])

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with served(swept.home, environ={"MLFLOW_TRACKING_URI": uri}) as service:

        def ask() -> None:
            statuses.append(followed(service, STUDY).status)

        def one_more() -> bool:
            asked.append(threading.Thread(target=ask))
            asked[-1].start()
            assert service.get("/").status == 200
            return 429 in statuses

        until(one_more, "the line is full")
        assert service.get("/v1/studies").status == 200
        silent.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        listening.join()
        silent.close()
        for each in heard:
            each.close()
        for thread in asked:
            thread.join()
    assert set(statuses) == {429, 503}
