"""A report of every kind of sweep: finished or not, raced, diverged, failed, of a script."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lrsweep.findings.reporting.gathering import gather
from lrsweep.records import SweepStatus
from lrsweep.report.answer import answer
from lrsweep.report.content import Report
from lrsweep.report.html import page
from lrsweep.report.markdown import markdown
from lrsweep.report.tables import tables
from lrsweep.study.spaces import SEARCHABLE
from tests.looked import a_driven_bench
from tests.read_pages import Read, data_in
from tests.reported import (
    A_SCRIPT,
    NOW,
    ONE_FAMILY,
    WITH_FINALS,
    WITHOUT_FINALS,
    a_report,
    a_report_in_the_middle,
    noisy,
    scripted,
)
from tests.scripted import completed, diverged, failed
from tests.sweeps import a_study


@pytest.fixture(scope="module")
def finished() -> Report:
    return a_report()


KINDS: dict[str, Callable[[], Report]] = {
    "with finals": a_report,
    "without finals": lambda: a_report(WITHOUT_FINALS, completed),
    "one family": lambda: a_report(ONE_FAMILY, completed),
    "all diverged": lambda: a_report(WITHOUT_FINALS, diverged),
    "nothing yet": lambda: a_report_in_the_middle(after=0),
    "in the search": lambda: a_report_in_the_middle(after=9),
    "in the finals": lambda: a_report_in_the_middle(after=28),
    "to be maximized": lambda: a_report(a_study(trials=10, direction="maximize"), completed),
    "of a script": lambda: a_report(A_SCRIPT, scripted),
    "that reacts": lambda: a_report(a_study(trials=4, families=("plateau", "linear")), completed),
    "of all families": lambda: a_report(a_study(trials=25, families=SEARCHABLE), completed),
    "without rungs": lambda: a_report(a_study(trials=5, horizon=40), completed),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sweep_has_a_page_and_a_text(kind: str) -> None:
    """Each of all sections, with no figure that is none."""
    report = KINDS[kind]()
    text, plain = page(report), markdown(report)
    read = Read(text)
    assert sum(tag == "section" for tag, _ in read.tags) == 10
    for each in (read.text, plain):
        assert not re.search(r"\b(nan|NaN|inf|Infinity|None|null)\b", each), kind
    json.dumps(report.to_json(), allow_nan=False)
    assert data_in(text)["charts"] is not None


def test_a_sweep_that_still_runs_says_so() -> None:
    """With what it has so far, and with how much of the finals is left."""
    assert "The sweep is running: this may change." in page(a_report_in_the_middle(after=9))
    assert "No training of study" in page(a_report_in_the_middle(after=0))
    report = a_report_in_the_middle(after=28)
    assert report.finals_left > 0
    assert f"The finals are not over ({report.finals_left} trainings left): this may change." in page(report)


@pytest.mark.parametrize("after", [9, 15, 22, 28])
def test_nothing_is_to_be_used_before_the_finals_are_over(after: int) -> None:
    """In bold stands who leads so far, and the table says what is shown."""
    report = a_report_in_the_middle(after=after)
    if report.choice is None:
        pytest.skip("no training of the full horizon yet")
    found, table = answer(report), tables(report)["finalists"]
    assert re.fullmatch(r"\w+ with sgd leads so far, at a peak rate of [\d.]+\.", found.headline)
    assert table.title == ("Finalists" if report.has_finals else "The search's best")
    assert f"## {table.title}" in markdown(report)
    state = "The finals are under way, " if report.are_finals_open else "No finals so far: shown are "
    assert table.notes[0].startswith(state)
    assert "trials stand for themselves" not in markdown(report)


def test_finals_without_a_result_show_the_search_and_say_so(finished: Report) -> None:
    """Also between two rounds, when no training is left; of a cancelled sweep they are not under way."""
    between = replace(finished, has_finals=False, are_finals_open=True, finals_left=0, state="stopped")
    said = "The finals are under way: shown are the search's trials, with the one seed that each of them has."
    assert tables(between)["finalists"].notes[0] == f"{said} Nothing is claimed yet."
    assert "The finals are not over: this may change." in answer(between).sentences
    cancelled = replace(between, state="cancelled", finals_left=2)
    assert "under way" not in markdown(cancelled)
    assert "The sweep was cancelled before its finals were over (2 trainings left)." in answer(cancelled).sentences
    assert re.match(r"cosine with sgd leads, at", answer(cancelled).headline)


def test_a_race_between_its_rounds_is_not_over() -> None:
    """No training of it is left, and it has not ended."""
    bench = a_driven_bench(WITH_FINALS, noisy)
    sweep = bench.store.sweeps("quick")[-1]
    race = {**sweep.settings.get("race", {"alpha": 0.05, "looks": 2}), "ended": None}
    bench.store.update_sweep(bench.lease, sweep.sweep_id, settings={"race": race})
    assert gather(bench.store, "quick", now=NOW).are_finals_open == (sweep.status is not SweepStatus.FINISHED)
    assert not gather(bench.store, "quick", now=NOW, state="finished").are_finals_open


def test_trainings_side_by_side_are_told_where_their_time_is_more_than_the_clocks(finished: Report) -> None:
    """One after the other they take no more than the sweep."""
    added = sum(each.seconds for each in finished.cost.lines)
    assert added > 0
    told = [
        "side by side" in " ".join(tables(replace(finished, cost=cost))["cost"].notes)
        for cost in (replace(finished.cost, wall_seconds=share * added) for share in (0.5, 1.2))
    ]
    assert told == [True, False]


def test_where_all_diverged_that_is_the_answer() -> None:
    """With the smallest rate, and without anything to use."""
    report = a_report(WITHOUT_FINALS, diverged)
    found = answer(report)
    assert (found.evidence, found.headline) == ("no answer", "There is no answer.")
    assert any(
        re.match(r"All \d+ trainings that ended diverged, from a peak rate of", each) for each in found.sentences
    )
    assert report.use is None
    assert "There is nothing to use yet." in page(report)


def test_failures_are_counted() -> None:
    """They say nothing of a schedule, and stand with the cost."""

    def some(plan: Any) -> Any:
        return failed(plan) if plan.schedule.family == "step" and plan.horizon == 30 else noisy(plan)

    report = a_report(script=some)
    assert report.failed > 0
    assert f"{report.failed} training" in " ".join(tables(report)["cost"].notes)
