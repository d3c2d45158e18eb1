"""The order of trials and families, on rows made by hand."""

from __future__ import annotations

from lrsweep.records import Origin, TrialState
from lrsweep.selection import best_per_family, best_trial, by_family, ranked
from tests.sweeps import a_complete_trial, a_trial

PRUNED = TrialState.PRUNED


def test_the_best_trial_has_the_smallest_value_at_the_full_horizon() -> None:
    """A halted trial with a smaller value was measured at a rung and does not count."""
    trials = [a_complete_trial(0, 0.3), a_complete_trial(1, 0.2), a_trial(2, state=PRUNED, value=0.1)]
    assert best_trial(trials) == trials[1]


def test_of_two_equal_trials_the_earlier_one_is_best() -> None:
    """Whatever the order in which they are given."""
    trials = [a_complete_trial(5, 0.2), a_complete_trial(3, 0.2)]
    assert best_trial(trials) == trials[1]


def test_a_value_of_zero_is_a_value() -> None:
    """It is the smallest of these, not a missing one."""
    trials = [a_complete_trial(0, 0.0), a_complete_trial(1, -0.5), a_complete_trial(2, 0.1)]
    assert best_trial(trials) == trials[1]
    assert best_trial([trials[0], trials[2]]) == trials[0]


def test_without_a_trial_at_the_full_horizon_there_is_no_best() -> None:
    """Running, halted and failed ones are none."""
    assert best_trial([]) is None
    states = [TrialState.RUNNING, PRUNED, TrialState.FAILED]
    assert best_trial([a_trial(number, state=state) for number, state in enumerate(states)]) is None


def test_a_family_is_counted_by_what_became_of_its_trials() -> None:
    """Two full, two halted, one diverged, one failed, one running: seven trials."""
    trials = [
        a_complete_trial(0, 0.4),
        a_complete_trial(1, 0.3),
        a_trial(2, state=PRUNED, value=0.9),
        a_trial(3, state=PRUNED, value=0.0),
        a_trial(4, state=PRUNED, value=None),
        a_trial(5, state=TrialState.FAILED),
        a_trial(6),
    ]
    [standing] = by_family(trials)
    assert standing.family == "cosine"
    assert (standing.trials, standing.complete, standing.pruned, standing.diverged, standing.failed) == (7, 2, 2, 1, 1)
    assert standing.best == trials[1]


def test_the_best_family_comes_first_and_those_without_a_best_last() -> None:
    """By value, then those without one by name, however the trials are mixed."""
    trials = [
        a_trial(0, family="wsd", state=PRUNED, value=0.01),
        a_complete_trial(1, 0.3, family="linear"),
        a_complete_trial(2, 0.2, family="rex"),
        a_trial(3, family="constant"),
        a_complete_trial(4, 0.5, family="rex"),
    ]
    assert [each.family for each in by_family(trials)] == ["rex", "linear", "constant", "wsd"]
    assert by_family([]) == []


def test_of_a_maximised_metric_the_largest_value_is_best() -> None:
    """Trials and families alike; the earlier of two equal ones, and families without a best still last."""
    trials = [
        a_complete_trial(0, 0.3, family="linear"),
        a_complete_trial(1, 0.9, family="rex"),
        a_complete_trial(2, 0.9, family="rex"),
        a_complete_trial(3, -0.5, family="step"),
        a_trial(4, family="constant"),
    ]
    assert best_trial(trials, "maximize") == trials[1]
    standings = by_family(trials, "maximize")
    assert [each.family for each in standings] == ["rex", "linear", "step", "constant"]
    assert standings[0].best == trials[1]


def test_trials_that_the_sweep_did_not_train_are_counted_apart() -> None:
    """A copied and a foreign one of cosine: neither makes its trials more, nor is the best of the sweep."""
    trials = [
        a_complete_trial(0, 0.1, origin=Origin.COPIED),
        a_complete_trial(1, 0.05, origin=Origin.FOREIGN),
        a_complete_trial(2, 0.3),
        a_trial(3, state=PRUNED, value=0.9),
    ]
    [standing] = by_family(trials)
    assert (standing.trials, standing.complete, standing.pruned, standing.copied) == (2, 1, 1, 2)
    assert standing.best == best_trial(trials) == trials[2]
    [elsewhere] = by_family(trials[:2])
    assert (elsewhere.trials, elsewhere.copied, elsewhere.best) == (0, 2, None)


def test_the_family_of_the_baseline_says_so() -> None:
    """It counts as a trial, and may be the best."""
    trials = [a_complete_trial(0, 0.3, origin=Origin.BASELINE), a_complete_trial(1, 0.4, family="linear")]
    cosine, linear = by_family(trials)
    assert (cosine.trials, cosine.best, cosine.baseline) == (1, trials[0], trials[0])
    assert linear.baseline is None


def test_copied_values_are_comparable_and_foreign_ones_are_not() -> None:
    """Best first over all, and each family's best; halted trials are in neither."""
    trials = [
        a_complete_trial(0, 0.1, family="linear", origin=Origin.COPIED),
        a_complete_trial(1, 0.01, family="linear", origin=Origin.FOREIGN),
        a_complete_trial(2, 0.2, family="linear"),
        a_complete_trial(3, 0.1),
        a_trial(4, family="rex", state=PRUNED, value=0.05),
    ]
    assert [trial.number for trial in ranked(trials)] == [0, 3, 2]
    assert [trial.number for trial in ranked(trials, "maximize")] == [2, 0, 3]
    assert [trial.number for trial in best_per_family(trials)] == [0, 3]
