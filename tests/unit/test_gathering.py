"""Records leave an engine's process several at a time, and say the same as they did one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lrsweep.executors.gathering import SECONDS, Gathering, joined
from lrsweep.records import Curve, Outcome, Record, Status
from tests.sweeps import a_record


class Way:
    """What has gone out, by a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[Record] = []
        self.records = Gathering(self._send, lambda: self.now)

    def _send(self, message: object) -> None:
        assert isinstance(message, Record)
        self.sent.append(message)

    def add(self, *records: Record) -> None:
        for record in records:
            self.records.add(record)

    @property
    def steps(self) -> list[tuple[str, int, int]]:
        return [(each.training_id, each.first_step, len(each.rates)) for each in self.sent]


def a_stretch(begin: int, end: int, training: str = "a", **given: object) -> Record:
    rates = [0.1 * (step + 1) for step in range(begin, end)]
    return a_record(begin, rates, training_id=training, **given)  # type: ignore[arg-type]


ENDED = Outcome(Status.COMPLETED, steps=3, seconds=0.5, metrics={"val_loss": 0.25})


def curve_of(records: Sequence[Record]) -> Curve:
    curve = Curve.empty()
    for record in records:
        curve = curve.extended(record)
    return curve


def test_the_first_goes_at_once_and_the_rest_with_the_end() -> None:
    """A training that is over within a moment is two messages, however often it was evaluated."""
    way = Way()
    told = [
        a_stretch(0, 0),
        a_stretch(0, 1),
        a_record(1, evaluations={1: {"val_loss": 0.5}}, training_id="a"),
        a_stretch(1, 3),
        a_record(3, evaluations={3: {"val_loss": 0.25}}, training_id="a", outcome=ENDED),
    ]
    way.add(*told)
    assert way.steps == [("a", 0, 0), ("a", 0, 3)]
    assert way.sent[1].outcome == ENDED
    whole, apart = curve_of(way.sent), curve_of(told)
    assert whole.rates.tolist() == apart.rates.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert whole.evaluation_steps.tolist() == [1, 3]
    assert whole.evaluations["val_loss"].tolist() == [0.5, 0.25]


def test_what_comes_later_goes_with_all_that_was_kept_back() -> None:
    """The pause is of each training; another's records do not wait for it."""
    way = Way()
    way.add(a_stretch(0, 0), a_stretch(0, 1), a_stretch(0, 0, "b"))
    assert way.steps == [("a", 0, 0), ("b", 0, 0)]
    way.now += SECONDS
    way.add(a_stretch(1, 2))
    assert way.steps[2:] == [("a", 0, 2)]
    way.add(a_stretch(2, 3), a_stretch(0, 1, "b"))
    assert way.steps[3:] == [("b", 0, 1)]


def test_nothing_is_kept_back_for_longer_than_that() -> None:
    """Also where no other record comes for a while: each update looks whether something is due."""
    way = Way()
    way.add(a_stretch(0, 0), a_stretch(0, 1), a_stretch(0, 0, "b"))
    way.now += SECONDS / 2
    way.add(a_stretch(0, 2, "b"))
    way.records.tick()
    assert way.steps == [("a", 0, 0), ("b", 0, 0)]
    way.now += SECONDS / 2
    way.records.tick()
    assert way.steps[2:] == [("a", 0, 1), ("b", 0, 2)]
    way.records.tick()
    assert len(way.sent) == 4


def test_what_was_sent_by_itself_starts_the_time_anew() -> None:
    """And what is not due yet is looked at again."""
    way = Way()
    way.add(a_stretch(0, 0))
    way.now += SECONDS / 2
    way.add(a_stretch(0, 0, "b"), a_stretch(0, 1), a_stretch(0, 1, "b"))
    way.now += SECONDS / 2
    way.records.tick()
    assert way.steps[2:] == [("a", 0, 1)]
    way.now += SECONDS / 2
    way.records.tick()
    assert way.steps[3:] == [("b", 0, 1)]


def test_a_drain_leaves_nothing_behind() -> None:
    """A training that goes on elsewhere has been heard to where it was left."""
    way = Way()
    way.add(a_stretch(0, 0), a_stretch(0, 1), a_stretch(1, 2))
    way.records.flush()
    way.records.flush()
    assert way.steps == [("a", 0, 0), ("a", 0, 2)]


def test_an_ended_training_that_begins_again_is_heard_at_once() -> None:
    """As the next attempt, of the same name."""
    way = Way()
    way.add(a_stretch(0, 0), a_stretch(0, 3, outcome=ENDED), a_stretch(0, 0))
    assert way.steps == [("a", 0, 0), ("a", 0, 3), ("a", 0, 0)]


def test_a_record_that_goes_back_is_not_put_behind_what_it_replaces() -> None:
    """Each stretch of a message begins where the one before it ends."""
    way = Way()
    way.add(a_stretch(0, 0), a_stretch(0, 2), a_stretch(1, 3, outcome=ENDED))
    assert way.steps == [("a", 0, 0), ("a", 0, 2), ("a", 1, 2)]
    assert curve_of(way.sent).rates.tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_metric_that_some_evaluations_lack_is_nan_there() -> None:
    """As in a curve."""
    one = a_record(0, [0.1], evaluations={1: {"val_loss": 0.5}})
    other = a_record(1, [0.2], evaluations={2: {"val_acc": 0.75}})
    found = joined([one, other])
    np.testing.assert_array_equal(found.evaluations["val_loss"], [0.5, np.nan])
    np.testing.assert_array_equal(found.evaluations["val_acc"], [np.nan, 0.75])
