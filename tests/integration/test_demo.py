"""`lrsweep demo`: the whole product in one command, on a machine without a way out."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import lrsweep
from lrsweep.schedules import core_names
from tests.agreement import assert_agreement
from tests.browser import chromium_page
from tests.checks.watched import Watched, run_watched
from tests.commands import LONGEST_SECONDS, query, start_lrsweep, wait_for


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watched]:
    """The demo, run once for all tests of this file, with everything that any of its processes tried to send."""
    folder = tmp_path_factory.mktemp("demo")
    command = [str(Path(sys.executable).with_name("lrsweep")), "demo", "--json"]
    home = folder / "home"
    return home, run_watched(command, folder, environment={"LRSWEEP_HOME": str(home)}, timeout_seconds=600)


def test_it_ends_well_and_nothing_tried_to_leave_the_machine(demo: tuple[Path, Watched]) -> None:
    """Exit code 0 without a route; no process of it looked for an address outside."""
    _, watched = demo
    assert watched.returncode == 0, watched.stderr
    assert watched.attempts == ()


def test_it_trains_60_trials_and_all_stores_agree(demo: tuple[Path, Watched]) -> None:
    """Every training has its curve in SQL and its `lr` curve in MLflow; every trial one result and one copy."""
    home, watched = demo
    answer = json.loads(watched.stdout.splitlines()[-1])
    assert (answer["trials"], answer["not_mirrored"], answer["home"]) == (60, 0, str(home))
    assert_agreement(home, "demo", trials=60)


def test_every_family_starts_with_its_share(demo: tuple[Path, Watched]) -> None:
    """The first 24 of 60 trials are three rounds over the eight families."""
    with closing(sqlite3.connect(demo[0] / "results.db")) as database:
        rows = database.execute("SELECT json_extract(params, '$.family') FROM lrs_trial ORDER BY number").fetchall()
    families = [family for (family,) in rows]
    assert Counter(families[:24]) == dict.fromkeys(core_names(), 3)


def test_it_says_what_to_paste_and_what_to_type_next(demo: tuple[Path, Watched]) -> None:
    """The best schedule's line is code that gives one rate per update; `lrsweep ui` is named with the home."""
    home, watched = demo
    [line] = [line.strip() for line in watched.stderr.splitlines() if line.strip().startswith("lrsweep.schedule(")]
    answer = json.loads(watched.stdout.splitlines()[-1])
    rates = eval(line, {"lrsweep": lrsweep})
    assert len(rates) == 600
    assert max(rates) == pytest.approx(answer["best"]["peak_lr"], rel=0.01)
    assert f"LRSWEEP_HOME={home}" in watched.stderr
    assert "ui demo" in watched.stderr


def test_what_it_found_is_good(demo: tuple[Path, Watched]) -> None:
    """Chance is 10 %; the best of 60 trials reads more than 95 % of both held-out halves."""
    best = json.loads(demo[1].stdout.splitlines()[-1])["best"]
    assert best["metrics"]["val_acc"] > 0.95
    assert best["metrics"]["decide_acc"] > 0.95


@pytest.mark.browser
def test_lrsweep_ui_opens_on_the_curves_of_all_families(demo: tuple[Path, Watched]) -> None:
    """The printed link, in a real browser: rate and loss charts, large, with every family. SIGTERM leaves no server."""
    process = start_lrsweep("ui", "demo", "--port", "0", home=demo[0])
    try:
        assert process.stdout is not None
        link = next(word for line in process.stdout for word in line.split() if word.startswith("http"))
        with chromium_page() as page:
            page.goto(link)
            page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length >= 2")
            page.get_by_text("one_cycle (lr)").first.wait_for()
            text = page.inner_text("body")
            sizes = page.evaluate(
                "[...document.querySelectorAll('.js-plotly-plot')].map(plot => [plot.clientWidth, plot.clientHeight])"
            )
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONGEST_SECONDS)
    assert "demo: by family" in text
    drawn = query(demo[0], "SELECT group_concat(DISTINCT family) FROM lrs_trials WHERE state = 'complete'").split(",")
    assert len(drawn) >= 4  # a family that lags far behind at its rung trains no trial at the full horizon
    assert all(f"{family} (lr)" in text for family in drawn)
    assert all(width >= 350 and height >= 300 for width, height in sizes)
    port = urlsplit(link).port
    assert port is not None
    wait_for(lambda: not takes_connections(port))  # what is killed is gone a moment later


def takes_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
