"""What a script says, as a curve: attempts that follow each other, divergence, and what cannot be the plan's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lrsweep.engines.command.story import Story
from lrsweep.records import Curve, Outcome, Status
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command
from lrsweep.scripts.reports import Begin, End, Line, Preempted, Report, Writer, Wrong
from tests.scripted_commands import a_plan

LINEAR = schedule("linear")
"""On 40 steps from 0.1: step i has 0.1·(1 - i/40)."""


def told(*lines: Line, **changes: Any) -> Story:
    story = Story(a_plan(Command("train"), **{"schedule": LINEAR} | changes))
    for line in lines:
        story.hear(line)
    return story


def loss(step: int, value: float, **others: float) -> Report:
    return Report(step, {"val_loss": value, **others})


def curve_of(story: Story) -> Curve:
    record = story.record("script")
    assert record is not None
    assert record.engine == "command"
    return Curve.empty().extended(record)


def test_a_report_brings_the_rates_of_the_updates_before_it() -> None:
    """A script tells no training loss, so that is NaN; the rates are the plan's."""
    curve = curve_of(told(Begin(1), loss(10, 0.5)))
    np.testing.assert_allclose(curve.rates, 0.1 * (1 - np.arange(10) / 40), rtol=1e-15)
    assert np.isnan(curve.train_losses).all()
    assert curve.evaluation_steps.tolist() == [10]
    assert curve.evaluations["val_loss"].tolist() == [0.5]


def test_records_follow_each_other_without_gaps() -> None:
    """Each has what is new; where nothing is new there is none."""
    story = told(Begin(1), loss(10, 0.5))
    curve = curve_of(story)
    assert story.record("script") is None
    story.hear(loss(20, 0.4, val_acc=0.9))
    record = story.record("script")
    assert record is not None
    assert (record.first_step, len(record.rates)) == (10, 10)
    curve = curve.extended(record)
    assert curve.evaluation_steps.tolist() == [10, 20]
    np.testing.assert_array_equal(curve.evaluations["val_acc"], [math.nan, 0.9])


def test_two_reports_of_one_step_are_one_evaluation() -> None:
    """A script may report its losses by two calls, and the second may come after the first was sent."""
    story = told(Begin(1), loss(10, 0.5), Report(20, {"train_loss": 0.3}))
    curve = curve_of(story)
    story.hear(loss(20, 0.4))
    record = story.record("script")
    assert record is not None
    curve = curve.extended(record)
    assert curve.evaluation_steps.tolist() == [10, 20]
    np.testing.assert_array_equal(curve.evaluations["train_loss"], [math.nan, 0.3])
    np.testing.assert_array_equal(curve.evaluations["val_loss"], [0.5, 0.4])
    assert story.last_metrics == {"train_loss": 0.3, "val_loss": 0.4}


def test_an_evaluation_before_the_first_update_is_kept() -> None:
    """Step 0: no rate belongs to it."""
    curve = curve_of(told(Begin(1), loss(0, 2.3), loss(10, 0.5)))
    assert (curve.steps, curve.evaluation_steps.tolist()) == (10, [0, 10])


def test_a_later_attempt_keeps_what_lies_before_its_first_report() -> None:
    """The script goes on from its checkpoint of step 20: its report of 30 is said anew. Nothing comes before that."""
    story = told(Begin(1), loss(10, 0.5), loss(20, 0.4), loss(30, 0.9), Wrong("other rates"), attempt=2)
    story.begin()
    assert story.record("script") is None
    assert story.wrong is None
    story.hear(Begin(2))
    assert story.record("script") is None
    story.hear(loss(30, 0.3))
    record = story.record("script")
    assert record is not None
    curve = Curve.empty().extended(record)
    assert curve.steps == 30
    assert curve.evaluation_steps.tolist() == [10, 20, 30]
    assert curve.evaluations["val_loss"].tolist() == [0.5, 0.4, 0.3]


def test_a_second_process_that_begins_forgets_nothing() -> None:
    """Every process that the script starts to train says that it begins, also when another has reported already."""
    story = told(Begin(1), loss(10, 0.5), Report(20, {"val_loss": 0.4}, 20), Wrong("other rates"), Begin(1))
    assert (story.steps, story.updates, story.wrong) == (20, 20, "other rates")
    story.hear(loss(30, 0.3))
    assert curve_of(story).evaluation_steps.tolist() == [10, 20]


def test_an_attempt_that_finds_nothing_left_to_do_has_the_curve_of_those_before_it() -> None:
    """It ends without a report, and its one record holds all: the driver has dropped what earlier attempts sent."""
    story = told(Begin(1), loss(20, 0.5), loss(40, 0.4), attempt=2)
    story.begin()
    record = story.record("script", Outcome(Status.COMPLETED, 40, 1.0, story.last_metrics))
    assert record is not None
    curve = Curve.empty().extended(record)
    assert (curve.steps, curve.evaluation_steps.tolist()) == (40, [20, 40])


def test_a_script_that_begins_anew_leaves_nothing_of_its_earlier_attempt() -> None:
    """Without a checkpoint its first report is that of the first step again."""
    story = told(Begin(1), loss(10, 0.5), loss(20, 0.4), Begin(2), loss(5, 0.8), attempt=2)
    curve = curve_of(story)
    assert (curve.steps, curve.evaluation_steps.tolist()) == (5, [5])


def test_an_attempt_that_lives_on_is_not_heard() -> None:
    """A batch system's job may outlive its attempt: neither before the next one has said a word, nor after."""
    old, new = Writer(1, "a"), Writer(2, "b")
    story = Story(a_plan(Command("train"), schedule=LINEAR, attempt=2))
    early: list[Line] = [Begin(1), loss(10, 0.5)]
    for line in early:
        story.hear(line, old)
    story.begin()
    late: list[Line] = [loss(20, 9.0), Wrong("other rates"), Begin(1), Preempted(20), End(20)]
    for line in late:
        story.hear(line, old)
    assert (story.is_attached, story.wrong, story.preempted, story.updates) == (False, None, False, None)
    story.hear(Begin(2), new)
    story.hear(loss(10, 0.4), new)
    story.hear(loss(30, 9.0), old)
    story.hear(loss(20, 0.3), new)
    assert story.wrong is None
    curve = curve_of(story)
    assert curve.evaluation_steps.tolist() == [10, 20]
    assert curve.evaluations["val_loss"].tolist() == [0.4, 0.3]


def test_a_script_that_is_started_again_within_an_attempt_goes_back() -> None:
    """Slurm's requeue, or torchrun with restarts: it has a checkpoint of step 15, and the one before is over."""
    first, second = Writer(1, "a"), Writer(1, "b")
    story = told()
    for line in (Begin(1), loss(10, 0.5), loss(20, 0.4), loss(30, 0.9)):
        story.hear(line, first)
    story.hear(Begin(1), second)
    assert story.steps == 30
    story.hear(loss(20, 0.3), second)
    story.hear(loss(31, 0.9), first)  # not dead yet, on a machine that was lost
    story.hear(loss(30, 0.2), second)
    assert story.wrong is None
    curve = curve_of(story)
    assert curve.evaluation_steps.tolist() == [10, 20, 30]
    assert curve.evaluations["val_loss"].tolist() == [0.5, 0.3, 0.2]
    story.hear(loss(29, 0.2), second)
    assert story.wrong is not None
    assert story.wrong.startswith("it reported step 29 after step 30")


def test_two_processes_that_report_the_same_steps_are_one_curve() -> None:
    """One trains and one evaluates: neither has replaced the other."""
    story = told()
    for step in (10, 20):
        story.hear(Report(step, {"train_loss": 0.5}), Writer(1, "a"))
        story.hear(loss(step, 0.4), Writer(1, "b"))
    curve = curve_of(story)
    assert curve.evaluations["train_loss"].tolist() == [0.5, 0.5]
    assert curve.evaluations["val_loss"].tolist() == [0.4, 0.4]


def test_a_script_that_gives_way_and_begins_again_has_not_given_way() -> None:
    """torchrun starts its processes again after any exit code but 0."""
    story = told(Begin(1), Report(10, {"val_loss": 0.5}, 10), Preempted(12))
    assert (story.preempted, story.updates) == (True, 12)
    story.hear(Begin(1))
    assert not story.preempted


REACTIVE = {"schedule": schedule("plateau", patience=0, gamma=0.5)}
"""Halves the rate at each evaluation that is no better than the best."""


def test_a_reactive_schedule_hears_what_was_reported() -> None:
    """Worse at step 20: half the rate from there on, as a replay of these metrics gives."""
    story = told(Begin(1), loss(10, 0.5), loss(20, 0.6), loss(30, 0.4), **REACTIVE)
    rates = curve_of(story).rates
    assert rates[:20].tolist() == [0.1] * 20
    assert rates[20:].tolist() == [0.05] * 10
    assert story.reactor_heard


def test_a_reactive_schedule_forgets_what_an_attempt_says_anew() -> None:
    """The first attempt was worse at step 20; the second begins before that and is better."""
    before: list[Line] = [Begin(1), loss(10, 0.5), loss(20, 0.6), loss(30, 0.7), Begin(2)]
    story = told(*before, loss(15, 0.45), loss(20, 0.4), loss(30, 0.3), attempt=2, **REACTIVE)
    assert curve_of(story).rates.tolist() == [0.1] * 30


def test_a_metric_that_comes_at_the_end_alone_is_heard_by_nobody() -> None:
    """After the last update there is no rate left to change."""
    assert not told(Begin(1), loss(40, 0.5), **REACTIVE).reactor_heard


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_divergence(value: float) -> None:
    """With the value and the step; another metric may be what it likes."""
    assert told(Begin(1), loss(10, 0.5, other=value)).diverged is None
    assert told(Begin(1), loss(10, value)).diverged == f"val_loss was {value} after 10 updates"


def test_a_loss_above_four_times_its_first_value_three_times_in_a_row_is_divergence() -> None:
    """2.0 is not above 4 x 0.5, so the two before it do not count."""
    calm = told(Begin(1), loss(1, 0.5), loss(2, 2.1), loss(3, 2.1), loss(4, 2.0), loss(5, 2.1), loss(6, 2.1))
    assert calm.diverged is None
    calm.hear(loss(7, 2.2))
    assert calm.diverged == (
        "val_loss was above 4 times its first value 0.5 at 3 reports in a row: 2.2 after 7 updates"
    )


def test_a_metric_that_should_grow_may_grow() -> None:
    """An accuracy of 0.9 is no divergence after one of 0.1; nor is anything after a first loss below 0."""
    grown: list[Line] = [Begin(1), *(Report(step, {"val_acc": 0.1 if step == 1 else 0.9}) for step in range(1, 6))]
    assert told(*grown, metric="val_acc", direction="maximize").diverged is None
    assert told(*grown, metric="val_acc").diverged is not None
    assert told(Begin(1), *(loss(step, -5.0 + step) for step in range(1, 6))).diverged is None


def test_a_step_that_goes_back_within_an_attempt_is_wrong() -> None:
    """Epochs, or a counter that starts anew: nobody knows what such a step counts."""
    story = told(Begin(1), loss(10, 0.5), loss(9, 0.4))
    assert story.wrong is not None
    assert story.wrong.startswith("it reported step 9 after step 10; wanted: the number of the optimizer's updates")
    assert curve_of(story).steps == 10


def test_a_step_beyond_the_horizon_is_wrong_at_once() -> None:
    """With both numbers, and what to do; the script would train on for long."""
    story = told(Begin(1), loss(50, 0.5))
    assert story.wrong is not None
    assert story.wrong.startswith("it reported step 50, and this training has 40 updates. The script's loop has to end")


def test_what_a_script_says_is_wrong_is_kept_until_another_attempt() -> None:
    """The first sentence counts; a later attempt may be right."""
    story = told(Begin(1), Wrong("other rates"), Wrong("again"))
    assert story.wrong == "other rates"
    story.hear(Begin(2))
    assert story.wrong is None


def test_updates_are_those_that_the_optimizer_counted() -> None:
    """The last number counts: that of the end, else that of the last report, else nobody knows."""
    assert told(Begin(1), loss(40, 0.5)).updates is None
    assert told(Begin(1), Report(40, {"val_loss": 0.5}, 39)).updates == 39
    assert told(Begin(1), Report(40, {"val_loss": 0.5}, 40), End(41)).updates == 41
    assert told(Begin(1), Report(40, {"val_loss": 0.5}, 40), End(None)).updates == 40
