"""Which nights are news: a change of a study's state, and nothing else."""

from __future__ import annotations

import pytest

from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.telling.news import changes, news
from tests.nights_told import plain, run_of


def told(*nights: StudyNight) -> list[tuple[str | None, str]]:
    """What is news of the last one, the others being its study's history."""
    *before, tonight = nights
    return [(each.before, each.now) for each in changes(run_of(tonight), {tonight.study: before})]


@pytest.mark.parametrize("verdict", ["holds", "undecided", "challenger better", "workload drifted", "failed"])
def test_the_same_state_again_is_no_news(verdict: str) -> None:
    """Whatever it is; a failure is told once."""
    assert told(plain(0, verdict), plain(1, verdict)) == []


def test_another_state_is_news_with_what_it_was_before() -> None:
    """Also back to what is good, and after a failure."""
    assert told(plain(0), plain(1, "workload drifted")) == [("holds", "workload drifted")]
    assert told(plain(0, "failed"), plain(1)) == [("failed", "holds")]
    assert told(plain(0), plain(1, "failed")) == [("holds", "failed")]


def test_a_first_night_is_news_where_somebody_has_to_act() -> None:
    """One that holds or is undecided has changed nothing."""
    assert told(plain(0)) == []
    assert told(plain(0, "undecided")) == []
    assert told(plain(0, "failed")) == [(None, "failed")]
    assert told(plain(0, "workload drifted")) == [(None, "workload drifted")]


def test_another_challenger_is_another_state() -> None:
    """The state names whom nobody has acted on."""
    first = plain(0, "undecided", judgement={"standing": "wsd"})
    second = plain(1, "undecided", judgement={"standing": "rex"})
    assert told(first, second) == [("undecided: wsd", "undecided: rex")]


def test_a_night_on_which_nothing_changed_leaves_the_state_as_it_was() -> None:
    """It looked at nothing, so that neither it nor the night after it is news; after a failure it is."""
    unchanged = plain(1, is_unchanged=True)
    assert told(plain(0, "undecided"), unchanged) == []
    assert told(plain(0, "undecided"), unchanged, plain(2, "undecided")) == []
    assert told(plain(0, "undecided"), unchanged, plain(2)) == [("undecided", "holds")]
    assert told(plain(0, "undecided"), plain(1, "failed"), plain(2, is_unchanged=True)) == [("failed", "undecided")]


def test_a_night_that_is_only_read_again_is_no_news() -> None:
    """It was told of when it ended."""
    assert told(plain(0), plain(1, "failed", is_recorded=True)) == []


def test_tonight_may_stand_in_the_history_already() -> None:
    """It is not its own night before; what came after it does not count either."""
    drifted = plain(1, "workload drifted")
    history = {"mine": [plain(0), drifted, plain(2, "failed")]}
    assert [(each.before, each.now) for each in changes(run_of(drifted), history)] == [("holds", "workload drifted")]


def test_what_came_into_force_is_always_news() -> None:
    """Two promotions on two nights are two, though the verdict is the same."""
    assert told(plain(0, "challenger better"), plain(1, "challenger better", promoted="wsd")) == [
        ("challenger better", "challenger better")
    ]


def test_the_message_says_which_study_what_and_what_to_do() -> None:
    """One for all studies that changed; those that did not are not in it."""
    one, other, quiet = (
        plain(1, "failed", "one"),
        plain(1, "workload drifted", "two", promoted="wsd"),
        plain(1, study="still"),
    )
    history = {name: [plain(0, study=name)] for name in ("one", "two", "still")}
    run = run_of(one, other, quiet)
    message = news(run, changes(run, history))
    assert message is not None
    assert message.title == "lrsweep: 2 studies have changed"
    assert message.body == (
        "one: failed (before: holds)\nwhy it is failed\nNext: what comes next\n\n"
        "two: workload drifted (before: holds)\nwhy it is workload drifted\nNow in force: wsd.\nNext: what comes next"
        "\n\nNight 2026-01-02."
    )
    assert message.sort == "bad"


@pytest.mark.parametrize(
    ("verdict", "sort"), [("holds", "good"), ("undecided", "plain"), ("challenger better", "look"), ("failed", "bad")]
)
def test_a_message_has_the_sort_of_what_it_tells(verdict: str, sort: str) -> None:
    """By which a messenger gives it its colour."""
    run = run_of(plain(1, verdict))
    before = "workload drifted"
    message = news(run, changes(run, {"mine": [plain(0, before)]}))
    assert message is not None
    assert (message.title, message.sort) == (f"lrsweep: mine: {verdict}", sort)


def test_nothing_new_is_no_message() -> None:
    """Not an empty one."""
    assert news(run_of(plain(0)), ()) is None
