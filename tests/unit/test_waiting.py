"""Which of the trainings that wait is next, by hand."""

from __future__ import annotations

from lrsweep.records import TrainingRow
from lrsweep.sweep.waiting import Waiting
from tests.sweeps import a_training


def in_order(rows: list[TrainingRow], *, takes: int) -> list[str]:
    waiting = Waiting(takes=takes)
    for row in rows:
        waiting.add(row)
    assert len(waiting) == len(rows)
    taken = [waiting.next() for _ in rows]
    assert not waiting
    return taken


CAME = [
    a_training(training_id="short", horizon=30),
    a_training(training_id="lost", horizon=270, attempt=1),
    a_training(training_id="long", horizon=90),
    a_training(training_id="also-long", horizon=90),
    a_training(training_id="often-lost", horizon=810, attempt=2),
    a_training(training_id="lost-short", horizon=30, attempt=1),
]


def test_side_by_side_the_longest_of_those_tried_least_is_next() -> None:
    """A preempted training lets all others pass; of equals the one that came first is next."""
    taken = in_order(CAME, takes=3)
    assert taken == ["long", "also-long", "short", "lost", "lost-short", "often-lost"]


def test_one_after_the_other_they_run_as_they_came() -> None:
    """One runs and one waits behind it: their order changes no total, and results stay those of earlier releases."""
    assert in_order(CAME, takes=2) == [row.training_id for row in CAME]


def test_what_comes_later_may_overtake() -> None:
    """The order is kept while trainings come and go."""
    waiting = Waiting(takes=16)
    waiting.add(a_training(training_id="a", horizon=30))
    waiting.add(a_training(training_id="b", horizon=30))
    assert waiting.next() == "a"
    waiting.add(a_training(training_id="c", horizon=90))
    assert [waiting.next(), waiting.next()] == ["c", "b"]
