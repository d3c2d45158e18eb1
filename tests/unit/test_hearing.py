"""What a reactive schedule has heard: asked at any place, in any order, without walking over all of it each time."""

from __future__ import annotations

import lrsweep
from lrsweep.scripts.hearing import Heard

HALVES = lrsweep.schedule("plateau", patience=0, gamma=0.5)
"""The rate at each metric that is no better than the best."""


class Counted(int):
    """A number that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) < int(other)

    def __le__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) <= int(other)

    def __gt__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) > int(other)

    def __ge__(self, other: int) -> bool:
        Counted.compared += 1
        return int(self) >= int(other)


def test_a_thousand_metrics_are_not_walked_over_at_each_of_them() -> None:
    """Growing as their square a training that reports at each update would stand still: some 20 comparisons for each
    metric are a search among a thousand; a walk is a thousand."""
    heard = Heard(HALVES.course(2000))
    Counted.compared = 0
    for done in map(Counted, range(1, 1001)):
        heard.hear(done, 1.0 / done)
        heard.factor(done)
    assert heard.factor(1500) == 1.0
    assert 0 < Counted.compared < 50_000


def test_it_can_be_asked_about_what_lies_behind() -> None:
    """Worse after 2 updates and after 4: the rate before them is what it was, and after them too."""
    heard = Heard(HALVES.course(10))
    for done, metric in ((1, 1.0), (2, 2.0), (4, 2.0)):
        heard.hear(done, metric)
    assert [heard.factor(step) for step in (9, 1, 4, 3, 2, 0)] == [0.25, 1.0, 0.25, 0.5, 0.5, 1.0]


def test_what_is_said_anew_counts_once() -> None:
    """Worse at 2 and at 3; said again from 2 on, it is better there, and what came after is forgotten."""
    heard = Heard(HALVES.course(10))
    for done, metric in ((1, 1.0), (2, 2.0), (3, 3.0)):
        heard.hear(done, metric)
    assert heard.factor(3) == 0.25
    heard.hear(2, 0.5)
    assert heard.factor(3) == 1.0


def test_what_a_stored_state_has_heard_is_not_heard_again() -> None:
    """It stands after 2 updates with half the rate; a metric from before is in it already."""
    course = HALVES.course(10)
    before = Heard(course)
    before.hear(1, 1.0)
    before.hear(2, 2.0)
    heard = Heard(course, before.states(2), 2)
    heard.hear(2, 2.0)
    assert heard.factor(2) == 0.5
    heard.hear(4, 2.0)
    assert [heard.factor(step) for step in (3, 4, 2)] == [0.5, 0.25, 0.5]
