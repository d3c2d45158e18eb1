"""Which rungs a sweep leaves out, by rows made by hand."""

from __future__ import annotations

import pytest

from lrsweep.records import Origin, TrainingRow, TrialRow
from lrsweep.sweep.halting import OtherRules
from lrsweep.sweep.rungs import Rungs
from tests.sweeps import a_complete_trial, a_study, a_training

STUDY = a_study(horizon=900)
"""rungs of 100, 300 and 900 steps"""


def calibrating(*reversed_at: int, count: int = 8) -> dict[int, tuple[TrialRow, list[TrainingRow]]]:
    """Trials that all calibrate, since they are baselines; at those rungs the better is the worse."""
    return {
        number: (
            a_complete_trial(number, number / 10, origin=Origin.BASELINE),
            [a_training(number, rung, value=(-1) ** (rung in reversed_at) * number / 10) for rung in (0, 1)],
        )
        for number in range(count)
    }


def recovered(*reversed_at: int) -> Rungs:
    rungs = Rungs(STUDY, OtherRules(STUDY))
    rows = calibrating(*reversed_at).values()
    rungs.recover([trial for trial, _ in rows], {trial.number: trainings for trial, trainings in rows})
    return rungs


@pytest.mark.parametrize(
    ("reversed_at", "first", "after_the_first"),
    [((), 0, 1), ((0,), 1, 1), ((1,), 0, 2), ((0, 1), 2, 2)],
)
def test_committed_rows_say_which_rungs_are_left_out(
    reversed_at: tuple[int, ...], first: int, after_the_first: int
) -> None:
    """Before any trial is told: a sweep begins above what another of its generation has shown to mislead."""
    rungs = recovered(*reversed_at)
    assert rungs.dropped == set(reversed_at)
    assert (rungs.first, rungs.above(0), rungs.above(1), rungs.above(2)) == (first, after_the_first, 2, 2)


def test_what_comes_after_the_first_thousand_judges_no_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here after the first eight; told in another order, the first are the same."""
    monkeypatch.setattr("lrsweep.sweep.trust.MOST_CALIBRATING", 8)
    rungs = Rungs(STUDY, OtherRules(STUDY))
    told: list[tuple[TrialRow, list[TrainingRow]]] = []
    for trial, trainings in reversed(calibrating(1, count=30).values()):
        for row in trainings:
            rungs.trained(trial, row)
        rungs.told(trial)
        told.append((trial, trainings))
        again = Rungs(STUDY, OtherRules(STUDY))
        again.recover([each for each, _ in told], {each.number: rows for each, rows in told})
        assert again.trusts == rungs.trusts
    assert {trust.n for trust in rungs.trusts} == {8}
    assert rungs.trusts == recovered(1).trusts


def test_a_rung_is_dropped_by_the_trial_that_is_told_as_by_rows_that_are_read_back() -> None:
    """The eighth; what was dropped stays so, whatever is told after it."""
    rungs = Rungs(STUDY, OtherRules(STUDY))
    for trial, trainings in calibrating(1).values():
        assert rungs.dropped == set()
        for row in trainings:
            rungs.trained(trial, row)
        rungs.told(trial)
    assert (rungs.dropped, rungs.trusts) == ({1}, recovered(1).trusts)
    for trial, trainings in list(calibrating(count=40).values())[8:]:
        for row in trainings:
            rungs.trained(trial, row)
        rungs.told(trial)
    assert not rungs.trusts[1].is_low
    assert rungs.dropped == {1}


def test_what_the_sweep_has_dropped_is_left_out_although_its_rows_say_so_no_more() -> None:
    """A later driver knows it before the first ask, and before it sorts what was left."""
    rungs = Rungs(STUDY, OtherRules(STUDY), dropped=[0])
    rungs.recover([], {})
    assert (rungs.dropped, rungs.first) == ({0}, 1)


def test_a_study_of_one_rung_starts_there() -> None:
    """A horizon too short for another."""
    study = a_study(horizon=20)
    rungs = Rungs(study, OtherRules(study))
    rungs.recover([], {})
    assert (rungs.first, rungs.trusts) == (0, ())


@pytest.mark.parametrize(
    ("reversed_at", "dropped", "what_follows"),
    [
        ((0,), 0, "new trials start at 300 steps"),
        ((0, 1), 0, "new trials start at 900 steps"),
        ((0, 1), 1, "new trials start at 900 steps"),
        ((1,), 1, "from shorter rungs trials go on to 900 steps"),
    ],
)
def test_the_sentence_says_where_trials_are_trained_instead(
    reversed_at: tuple[int, ...], dropped: int, what_follows: str
) -> None:
    """Of a rung below all others that are left, and of one between them."""
    rungs = recovered(*reversed_at)
    figures = rungs.trusts[dropped].sentence
    assert rungs.sentence(dropped) == f"{figures}. It misleads: {what_follows}, and none is halted at it"
