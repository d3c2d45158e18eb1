"""What follows when a training ends, branch by branch, and the rule of the best third by hand tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lrsweep.records import Direction, Origin, Outcome, Purpose, Status, SweepRow, TrainingRow, TrialState
from lrsweep.store import TrialEnd
from lrsweep.study import Objective, SearchSpec
from lrsweep.sweep.halting import (
    Next,
    OtherRules,
    Reached,
    Rivals,
    after,
    calibrates,
    goes_on,
    is_behind_anywhere,
    rung_step,
    rung_values,
)
from tests.sweeps import a_study, a_training, a_trial

STUDY = a_study()
"""rungs of 30 and 90 steps"""


def alone(rivals: Sequence[float]) -> Rivals:
    """There is one family."""
    return Rivals(rivals, rivals)


def following(ended: TrainingRow, *, rivals: Sequence[float] = (), calibrating: bool = False) -> Next:
    return after(ended, STUDY, rivals=alone(rivals), calibrates=calibrating, scale=1.0)


def test_a_failed_training_fails_its_trial() -> None:
    """At either rung, even where the trial would have calibrated."""
    for rung in (0, 1):
        failed = a_training(rung=rung).with_outcome(Outcome(Status.FAILED, 3, 1.0, {}, "Traceback …"))
        assert following(failed, calibrating=True) == Next(tell=TrialEnd(TrialState.FAILED, None))


@pytest.mark.parametrize(
    "outcome",
    [Outcome(Status.DIVERGED, 3, 1.0, {}), Outcome(Status.COMPLETED, 30, 1.0, {"val_loss": math.nan})],
    ids=["diverged", "completed with NaN"],
)
def test_a_divergence_at_a_raised_rate_is_repeated_at_the_trials_own(outcome: Outcome) -> None:
    """The same rung, horizon and seed, rate scale 1: another training, and the search hears nothing yet."""
    diverged = a_training().with_outcome(outcome)
    result = following(diverged, calibrating=True)
    assert result.tell is None
    [repeat] = result.queue
    assert (repeat.rung, repeat.horizon, repeat.seed, repeat.rate_scale) == (0, 30, 7, 1.0)
    assert (repeat.trial, repeat.sweep_id, repeat.study) == (0, "s", "quick")
    assert (repeat.status, repeat.attempt, repeat.metrics) == (Status.QUEUED, 0, {})
    assert repeat.training_id != diverged.training_id


@pytest.mark.parametrize("rung", [0, 1])
def test_a_divergence_at_its_own_rate_ends_the_trial_without_a_value(rung: int) -> None:
    """PRUNED with None, whatever else would speak for going on."""
    diverged = a_training(rung=rung, rate_scale=1.0).with_outcome(Outcome(Status.DIVERGED, 3, 1.0, {}))
    assert following(diverged, calibrating=True) == Next(tell=TrialEnd(TrialState.PRUNED, None))


def test_the_last_rung_completes_the_trial_with_its_value() -> None:
    """Even a value that is worse than all others."""
    assert following(a_training(rung=1, value=0.5), rivals=[0.1] * 9) == Next(tell=TrialEnd(TrialState.COMPLETE, 0.5))


def test_a_study_of_one_rung_completes_at_its_first() -> None:
    """A horizon under 30 steps has no shorter one."""
    ended = a_training(value=0.5, horizon=20, rate_scale=1.0)
    result = after(ended, a_study(horizon=20), rivals=alone([0.1] * 9), calibrates=False, scale=1.0)
    assert result == Next(tell=TrialEnd(TrialState.COMPLETE, 0.5))


def test_a_trial_behind_its_family_is_halted_with_its_value() -> None:
    """0.5 is the third of three, of which one goes on."""
    assert following(a_training(value=0.5), rivals=[0.1, 0.2]) == Next(tell=TrialEnd(TrialState.PRUNED, 0.5))


@pytest.mark.parametrize(("rivals", "calibrating"), [([0.6, 0.7], False), ([0.1, 0.2], True)])
def test_a_leading_or_calibrating_trial_goes_on_to_the_next_rung(rivals: list[float], calibrating: bool) -> None:
    """90 steps at the next rung's rate scale, the same seed; the search hears of it only at the end."""
    result = following(a_training(value=0.5), rivals=rivals, calibrating=calibrating)
    assert result.tell is None
    [onward] = result.queue
    assert (onward.rung, onward.horizon, onward.seed, onward.rate_scale) == (1, 90, 7, 1.0)


@pytest.mark.parametrize(
    ("value", "rivals", "expected"),
    [
        (0.5, [], True),  # alone it is the best
        (0.5, [0.6], True),  # the best of two; there is always one place
        (0.5, [0.4], False),
        (0.5, [0.4, 0.6], False),  # three have one place
        (0.5, [0.4, 0.6, 0.7, 0.8], False),  # five have one
        (0.5, [0.4, 0.6, 0.7, 0.8, 0.9], True),  # six have two
        (0.5, [0.3, 0.4, 0.6, 0.7, 0.8], False),
        (0.5, [0.5, 0.5, 0.5], True),  # no rival is better
        (0.5, [0.4, 0.5], False),
        (0.5, [0.1, 0.2] + [0.9] * 6, True),  # nine have three
        (0.5, [0.1, 0.2, 0.3] + [0.9] * 5, False),
    ],
)
def test_the_best_third_of_a_family_goes_on(value: float, rivals: list[float], expected: bool) -> None:
    """The trial itself counts among its family; places are rounded down, but never to none."""
    assert goes_on(value, alone(rivals)) is expected


@pytest.mark.parametrize(
    ("of_all", "expected"),
    [
        ([0.4, 0.6], False),  # three have one place
        ([0.4, 0.6, 0.7], True),  # four have two
        ([0.3, 0.4, 0.6, 0.7], False),  # five have two
        ([0.3, 0.4, 0.6, 0.7, 0.8], True),
    ],
)
def test_the_best_of_a_family_in_the_worse_half_of_all_is_halted(of_all: list[float], expected: bool) -> None:
    """Here it is the only one of its family; in the better half it still has to lead its family."""
    assert goes_on(0.5, Rivals([], of_all)) is expected
    assert not goes_on(0.5, Rivals([0.4], of_all))


@pytest.mark.parametrize(("factor", "expected"), [(2, True), (4, False)])
def test_the_reduction_factor_says_how_many_go_on(factor: int, expected: bool) -> None:
    """The second of four: one in two goes on, or one in four."""
    study = replace(STUDY, search=SearchSpec(reduction_factor=factor))
    result = after(a_training(value=0.5), study, rivals=alone([0.4, 0.6, 0.7]), calibrates=False, scale=1.0)
    assert (result.tell is None) is expected


@pytest.mark.parametrize(
    ("direction", "expected"), [("minimize", [0.25, 0.5, 0.5, 0.75]), ("maximize", [0.75, 0.5, 0.5, 0.25])]
)
def test_the_values_of_a_family_come_the_best_first(direction: Direction, expected: list[float]) -> None:
    """Of its completed trainings at that rung; another rung, another family and what did not complete stay apart."""
    reached = Reached(a_study(direction=direction))
    for number, value in enumerate([0.5, 0.75, 0.25, 0.5]):
        reached.add(a_trial(number), a_training(number, value=value))
    reached.add(a_trial(4), a_training(4, rung=1, value=0.125))
    reached.add(a_trial(5, family="linear"), a_training(5, value=0.375))
    reached.add(a_trial(6), a_training(6, status=Status.DIVERGED, metrics={"val_loss": 0.3}))
    reached.add(a_trial(7), a_training(7, value=0.3, metrics={"val_acc": 0.3}))
    assert list(reached.by("cosine", 0).of_family) == expected
    assert list(reached.by("cosine", 1).of_family) == [0.125]
    assert list(reached.by("plateau", 0).of_family) == []
    assert list(reached.by("plateau", 0).of_all) == sorted([*expected, 0.375], reverse=direction == "maximize")


@pytest.mark.parametrize("purpose", [Purpose.FINAL, Purpose.FIT])
def test_what_the_search_does_not_hear_of_is_nobodys_rival(purpose: Purpose) -> None:
    """A fresh seed of a finalist, and a training of a design; nor do they speak for their trial at its rungs."""
    reached = Reached(STUDY)
    row = a_training(rung=1, value=0.1, purpose=purpose)
    reached.add(a_trial(0), row)
    assert reached.by("cosine", 1) == ([], [])
    assert rung_values([row], "val_loss", 3) == {}
    assert not reached.is_behind(a_trial(0), row)


def test_the_values_of_an_objective_are_compared_by_its_own_name_and_sense() -> None:
    """Updates until ``val_acc`` reaches 0.9: fewer are better, although more accuracy is."""
    study = replace(STUDY, metric="val_acc", direction="maximize", objective=Objective("target", 0.9))
    reached = Reached(study)
    for number, steps in enumerate([30.0, 10.0, 20.0]):
        reached.add(a_trial(number), a_training(number, value=0.0, metrics={"steps_to_val_acc": steps, "val_acc": 1.0}))
    assert list(reached.by("cosine", 0).of_family) == [10.0, 20.0, 30.0]
    slow = a_training(3, value=0.0, metrics={"steps_to_val_acc": 25.0, "val_acc": 1.0})
    result = after(slow, study, rivals=reached.by("cosine", 0), calibrates=False, scale=1.0)
    assert result == Next(tell=TrialEnd(TrialState.PRUNED, 25.0))


def test_rung_values_are_compared_only_where_rates_were_raised_alike() -> None:
    """The earlier sweep froze 0.4 for SGD in the place of 0.5: its full horizon counts, its rung does not."""
    before = SweepRow("before", "quick", STUDY.generation, settings={"rate_exponents": {"sgd": 0.4, "adamw": 0.15}})
    reached = Reached(STUDY, OtherRules(STUDY, [before, SweepRow("older", "quick", STUDY.generation)]))
    for number, (sweep, optimizer) in enumerate(
        [("before", "sgd"), ("before", "adamw"), ("older", "sgd"), ("s", "sgd")]
    ):
        trial = a_trial(number, optimizer=optimizer, sweep_id=sweep)
        for rung in (0, 1):
            reached.add(trial, a_training(number, rung, value=number + rung / 2, sweep_id=sweep))
    assert reached.by("cosine", 0) == alone([1.0, 2.0, 3.0])
    assert reached.by("cosine", 1) == alone([0.5, 1.5, 2.5, 3.5])


def test_a_calibrating_trial_is_behind_where_the_others_of_now_would_halt_it() -> None:
    """Of five one goes on: the second is behind, the best is not; what has not completed is behind nobody."""
    reached = Reached(STUDY)
    rows = [a_training(number, value=value) for number, value in enumerate([0.1, 0.2, 0.3, 0.4, 0.5])]
    for row in rows:
        reached.add(a_trial(row.trial), row)
    assert is_behind_anywhere(a_trial(1), [rows[1], a_training(1, rung=1)], reached)
    assert not is_behind_anywhere(a_trial(0), [rows[0]], reached)
    assert not is_behind_anywhere(a_trial(5), [a_training(5)], reached)


def test_a_calibrating_trial_in_the_worse_half_of_all_is_behind() -> None:
    """Alone in its family, and the second of three: two others and itself have one place."""
    reached = Reached(STUDY)
    for number, value in enumerate([0.4, 0.6]):
        reached.add(a_trial(number), a_training(number, value=value))
    trial, row = a_trial(2, family="wsd"), a_training(2, value=0.5)
    reached.add(trial, row)
    assert is_behind_anywhere(trial, [row], reached)


@pytest.mark.parametrize(("halted", "expected"), [(True, True), (False, False)])
def test_the_word_of_optunas_pruner_is_final(halted: bool, expected: bool) -> None:
    """It halts the best of its family, and lets the worst go on."""
    rivals = [0.6, 0.7] if halted else [0.1, 0.2]
    result = after(a_training(value=0.5), STUDY, rivals=alone(rivals), calibrates=False, scale=1.0, halted=halted)
    assert (result.tell is not None) is expected


def test_a_calibrating_trial_runs_all_rungs_whatever_optunas_pruner_says() -> None:
    """It then goes on only to calibrate."""
    result = after(a_training(value=0.5), STUDY, rivals=alone([]), calibrates=True, scale=1.0, halted=True)
    assert [row.rung for row in result.queue] == [1]
    assert result.only_calibrates


def test_each_of_three_rungs_prunes() -> None:
    """Of 27 trials of one family in a shuffled order: less than half of those at a rung go on to the next."""
    study = replace(a_study(horizon=900), search=SearchSpec(rungs=3))
    assert study.rungs == (100, 300, 900)
    reached = Reached(study)
    trained = [0, 0, 0]
    for number in range(27):
        value = (number * 10) % 27 / 27  # a fixed shuffle: 10 and 27 have no common factor
        row: TrainingRow | None = a_training(number, horizon=100)
        while row is not None:
            trained[row.rung] += 1
            ended = replace(row, attempt=1, status=Status.COMPLETED, metrics={"val_loss": value})
            rivals = Rivals(*map(list, reached.by("cosine", row.rung)))
            result = after(ended, study, rivals=rivals, calibrates=False, scale=1.0)
            reached.add(a_trial(number), ended)
            row = result.queue[0] if result.queue else None
            if row is not None:
                assert (row.rung, row.horizon) == (ended.rung + 1, study.rungs[ended.rung + 1])
    assert trained[0] == 27
    assert trained[0] > 2 * trained[1] > 4 * trained[2] > 0


def test_a_trial_that_starts_above_a_dropped_rung_goes_the_rest_of_the_way() -> None:
    """From the second of three rungs to the full horizon, judged by the values of its own rung."""
    study = replace(a_study(horizon=900), search=SearchSpec(rungs=3))
    started = a_training(5, rung=1, horizon=300, value=0.5)
    [onward] = after(started, study, rivals=alone([0.6]), calibrates=False, scale=1.0).queue
    assert (onward.rung, onward.horizon) == (2, 900)
    halted = after(started, study, rivals=alone([0.4]), calibrates=False, scale=1.0)
    assert halted.tell == TrialEnd(TrialState.PRUNED, 0.5)


def test_one_trial_of_each_ten_calibrates() -> None:
    """Drawn by lot: it is not always the same of the ten, and others calibrate in another study."""
    trial = a_trial(0)
    mine = [number for number in range(300) if calibrates(replace(trial, number=number))]
    theirs = [number for number in range(300) if calibrates(replace(trial, number=number, study="slow"))]
    assert [number // 10 for number in mine] == [number // 10 for number in theirs] == list(range(30))
    assert len({number % 10 for number in mine}) > 5
    assert len(set(mine) & set(theirs)) < 15


def test_the_baseline_always_calibrates() -> None:
    """What the user runs today reaches the full horizon in every sweep, also in the second of its generation."""
    numbers = range(100, 120)
    assert all(calibrates(a_trial(number, origin=Origin.BASELINE)) for number in numbers)
    assert not all(calibrates(a_trial(number)) for number in numbers)


def test_rungs_stand_at_the_steps_that_optunas_pruners_see() -> None:
    """The study's reduction factor apart."""
    assert [rung_step(rung) for rung in range(3)] == [1, 3, 9]
    assert [rung_step(rung, 4) for rung in range(3)] == [1, 4, 16]


def test_the_values_of_a_trial_stand_at_the_steps_of_its_rungs() -> None:
    """What waits, failed or diverged at a raised rate says nothing; at its own rate a divergence is NaN."""
    assert rung_values([a_training(value=0.5), a_training(rung=1, value=0.4)], "val_loss", 3) == {1: 0.5, 3: 0.4}
    silent = [
        a_training(status=Status.DIVERGED),
        a_training(status=Status.FAILED, rate_scale=1.0),
        a_training(rung=1),
    ]
    assert rung_values(silent, "val_loss", 3) == {}
    repeated = [a_training(status=Status.DIVERGED), a_training(value=0.5, rate_scale=1.0)]
    assert rung_values(repeated, "val_loss", 3) == {1: 0.5}
    [(step, value)] = rung_values([a_training(status=Status.DIVERGED, rate_scale=1.0)], "val_loss", 3).items()
    assert step == 1
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("value", "rivals", "expected"),
    [
        (0.5, [0.4], True),
        (0.5, [0.6], False),
        (0.5, [0.9, 0.6, 0.3, 0.2, 0.1], False),
        (0.7, [0.9, 0.6, 0.3, 0.2, 0.1], True),
    ],
)
def test_of_a_maximised_metric_the_largest_third_goes_on(value: float, rivals: list[float], expected: bool) -> None:
    """Two have one place. Six have two: 0.5 is the third of them, 0.7 the second."""
    study = a_study(direction="maximize")
    result = after(a_training(value=value), study, rivals=alone(rivals), calibrates=False, scale=1.0)
    assert (result.tell is None) is expected
