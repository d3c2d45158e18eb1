"""What calibrating trials say of a rung, by rows made by hand, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lrsweep.records import Direction, Origin, Purpose, Status, SweepRow, TrainingRow, TrialRow, TrialState
from lrsweep.selection.statistics import Interval
from lrsweep.study import SearchSpec
from lrsweep.sweep.halting import OtherRules
from lrsweep.sweep.trust import RungTrust, calibrating, rung_trusts
from tests.sweeps import a_complete_trial, a_study, a_training, a_trial

STUDY = a_study()
"""rungs of 30 and 90 steps"""

DIVERGED = math.inf


TRIAL = a_trial(0)

Pairs = Sequence[tuple[float, float]]
"""The value at the rung and at the full horizon, infinite where it diverged there at its own rate."""


def rows(pairs: Pairs, families: Sequence[str] = ()) -> tuple[list[TrialRow], list[TrainingRow]]:
    """Trials that have ended, and their trainings."""
    trials, trainings = [], []
    for number, (rung, full) in enumerate(pairs):
        params = {**TRIAL.params, "family": families[number] if families else "cosine"}
        ended = replace(TRIAL, number=number, params=params, state=TrialState.PRUNED)
        if rung == DIVERGED:
            trainings.append(a_training(number, status=Status.DIVERGED, rate_scale=1.0))
        else:
            trainings.append(a_training(number, value=rung))
            if full == DIVERGED:
                trainings.append(a_training(number, rung=1, status=Status.DIVERGED))
            else:
                ended = replace(ended, state=TrialState.COMPLETE, value=full)
                trainings.append(a_training(number, rung=1, value=full))
        trials.append(ended)
    return trials, trainings


def the_trust(pairs: Pairs, families: Sequence[str] = ()) -> RungTrust:
    [trust] = rung_trusts(STUDY, *rows(pairs, families))
    return trust


def test_a_rung_is_trusted_as_far_as_it_orders_like_the_full_horizon() -> None:
    """Five points of which two pairs of neighbours change places: 1 - 6·4 / (5·24) = 0.8."""
    trust = the_trust([(0.1, 0.2), (0.2, 0.1), (0.3, 0.4), (0.4, 0.3), (0.5, 0.5)])
    assert (trust.rung, trust.horizon, trust.n) == (0, 30, 5)
    assert trust.correlation == pytest.approx(0.8)
    assert trust.interval is not None
    assert trust.interval.low < 0.8 < trust.interval.high


def test_families_are_compared_by_their_best_points() -> None:
    """At the rung a < b < c < d, at the full horizon b < a < c < d: 1 - 6·2 / (4·15) = 0.8, whatever else there is."""
    pairs = [(0.1, 0.2), (0.9, 0.9), (0.2, 0.1), (0.8, 0.95), (0.3, 0.3), (0.4, 0.4), (0.5, 0.8)]
    trust = the_trust(pairs, ["cosine", "cosine", "linear", "linear", "rex", "step", "step"])
    assert (trust.n, trust.families) == (7, 4)
    assert trust.family_correlation == pytest.approx(0.8)
    assert trust.family_interval is not None


def test_what_diverges_at_the_full_horizon_is_worst_there() -> None:
    """The rung liked it best of five: ranks 1 2 3 4 5 against 5 1 2 3 4, 1 - 6·20 / (5·24) = 0."""
    trust = the_trust([(0.1, DIVERGED), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4), (0.5, 0.5)])
    assert trust.n == 5
    assert trust.correlation == pytest.approx(0.0)


def test_what_diverges_at_the_rung_is_no_pair() -> None:
    """Halving never compared it, and its full training was not run."""
    pairs = [(0.1, 0.2), (0.2, 0.1), (0.3, 0.4), (0.4, 0.3), (0.5, 0.5)]
    assert the_trust([*pairs, (DIVERGED, DIVERGED), (DIVERGED, DIVERGED)]) == the_trust(pairs)


def test_only_trials_of_the_search_that_have_ended_are_pairs() -> None:
    """Neither one that still trains, nor a failed or halted one, nor a fresh seed, nor a raised rate that diverged."""
    pairs = [(0.1, 0.1), (0.2, 0.2), (0.3, 0.4), (0.4, 0.3)]
    trials, trainings = rows(pairs)
    trials += [
        a_trial(4),
        a_trial(5, state=TrialState.FAILED),
        a_trial(6, state=TrialState.PRUNED, value=0.1),
    ]
    trainings += [a_training(number, value=9.0 - number) for number in (4, 5, 6)]
    trainings += [a_training(0, value=7.0, purpose=Purpose.FIT), a_training(1, status=Status.DIVERGED)]
    assert rung_trusts(STUDY, trials, trainings) == rung_trusts(STUDY, *rows(pairs))


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_of_a_maximised_metric_the_divergent_is_worst_too(direction: Direction) -> None:
    """The rung's last is the one that diverges: 1 either way; its first: 1 - 6·12 / (4·15) = -0.2."""
    sign = 1.0 if direction == "minimize" else -1.0
    study = a_study(direction=direction)
    ordered = [(sign * each, sign * each) for each in (0.1, 0.2, 0.3)]
    [good] = rung_trusts(study, *rows([*ordered, (sign * 0.4, DIVERGED)]))
    [bad] = rung_trusts(study, *rows([*ordered, (sign * 0.05, DIVERGED)]))
    assert good.correlation == pytest.approx(1.0)
    assert bad.correlation == pytest.approx(-0.2)


def test_rungs_that_another_sweep_trained_by_another_exponent_are_left_out() -> None:
    """Two of five trials are of a sweep that froze 0.1 for SGD."""
    trials, trainings = rows([(0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.9, 0.4), (0.8, 0.5)])
    trainings = [replace(row, sweep_id="before") if row.trial > 2 else row for row in trainings]
    before = SweepRow("before", "quick", STUDY.generation, settings={"rate_exponents": {"sgd": 0.1}})
    [mixed] = rung_trusts(STUDY, trials, trainings)
    [apart] = rung_trusts(STUDY, trials, trainings, OtherRules(STUDY, [before]))
    assert (mixed.n, apart.n) == (5, 3)


def test_of_three_rungs_each_below_the_full_one_is_judged() -> None:
    """100, 300 and 900 steps: the first is reversed, the second agrees; one trial started above the first."""
    study = replace(a_study(horizon=900), search=SearchSpec(rungs=3))
    trials = [a_complete_trial(number, number / 10) for number in range(5)]
    trainings = [a_training(number, value=1 - number / 10) for number in range(4)]
    trainings += [a_training(number, rung=1, value=number / 10) for number in range(5)]
    low, middle = rung_trusts(study, trials, trainings)
    assert (low.horizon, low.n) == (100, 4)
    assert (middle.horizon, middle.n) == (300, 5)
    assert low.correlation == pytest.approx(-1.0)
    assert middle.correlation == pytest.approx(1.0)


def test_a_study_of_one_rung_has_nothing_to_trust() -> None:
    """A horizon too short for a rung."""
    assert rung_trusts(a_study(horizon=20), [], []) == ()


REVERSED = [(1.0 - each / 10, each / 10) for each in range(8)]


def test_a_rung_is_shown_to_mislead_from_the_eighth_calibrating_trial_on() -> None:
    """Eight points in reversed order; of seven no verdict is given."""
    assert not the_trust(REVERSED[:7]).is_low
    assert the_trust(REVERSED).is_low


def test_a_rung_is_kept_while_its_interval_reaches_what_is_worth_it() -> None:
    """Of eight points without any order the interval reaches 0.7: nothing is known yet."""
    pairs = list(zip([1, 2, 3, 4, 5, 6, 7, 8], [5, 3, 2, 8, 4, 1, 7, 6], strict=True))
    trust = the_trust(pairs)
    assert trust.correlation is not None
    assert abs(trust.correlation) < 0.3
    assert not trust.is_low


def test_a_rung_as_good_as_those_measured_is_rarely_dropped_and_a_blind_one_mostly() -> None:
    """200 sweeps each that look after every calibrating trial from the 8th to the 24th: under 3 % and over 80 %."""
    dropped = {}
    for truth in (0.0, 0.76):
        draws = np.random.default_rng(3)
        pearson = 2 * math.sin(math.pi * truth / 6)
        hits = 0
        for _ in range(200):
            full = draws.standard_normal(24)
            rung = pearson * full + math.sqrt(1 - pearson**2) * draws.standard_normal(24)
            trials, trainings = rows(list(zip(rung.tolist(), full.tolist(), strict=True)))
            hits += any(rung_trusts(STUDY, trials[:n], trainings)[0].is_low for n in range(8, 25, 4))
        dropped[truth] = hits / 200
    assert dropped[0.76] < 0.03
    assert dropped[0.0] > 0.8


def test_the_sentence_names_rung_n_correlation_and_interval() -> None:
    """Word for word, before there is a figure, with one, and of one family."""
    trust = RungTrust(0, 200, 12, 0.831, Interval(0.52, 0.95), 8, 0.5, Interval(-0.3, 0.89))
    assert trust.sentence == (
        "rung of 200 steps: rank correlation 0.83 (95 %: 0.52 to 0.95) with the full horizon, "
        "0.50 (95 %: -0.30 to 0.89) over families' bests (n = 12 trials of 8 families)"
    )
    low = replace(trust, correlation=-0.2, interval=Interval(-0.7, 0.4), family_correlation=None, families=1)
    assert low.sentence == (
        "rung of 200 steps: rank correlation -0.20 (95 %: -0.70 to 0.40) with the full horizon "
        "(n = 12 trials of 1 family)"
    )
    nothing = RungTrust(0, 200, 1, None, None, 1, None, None)
    assert nothing.sentence == "rung of 200 steps: too few calibrating trials yet to say how it ranks (n = 1)"
    assert low.to_json() == {
        "rung": 0,
        "horizon": 200,
        "n": 12,
        "correlation": -0.2,
        "interval": [-0.7, 0.4],
        "families": 1,
        "family_correlation": None,
        "family_interval": [-0.3, 0.89],
        "is_low": True,
    }


def test_the_calibrating_trials_are_those_of_the_ten_that_sweeps_train() -> None:
    """Copied ones ran no rungs."""
    trials = [a_trial(number) for number in range(100)]
    assert len(calibrating(trials)) == 10
    assert calibrating([replace(trial, origin=Origin.COPIED) for trial in trials]) == []
