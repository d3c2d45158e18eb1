"""Which exponent a sweep goes by, what its design trains, and what the fit makes of known curves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lrsweep.records import Origin, Purpose, Status, SweepRow, TrainingRow
from lrsweep.selection.parabola import Optimum, optimum
from lrsweep.selection.statistics import Interval
from lrsweep.study import RATE_EXPONENTS, ResolvedStudy, SearchSpec
from lrsweep.sweep.exponents import FACTORS, FITTED_KEY, Fit, design, design_cost, fitted, frozen_for, is_wanted
from tests.sweeps import a_complete_trial, a_study, a_training, a_trial

WANTED = SearchSpec(fit_exponent=True)
STUDY = replace(a_study(), search=WANTED)
"""rungs of 30 and 90 steps: a third"""

TRIALS = [a_complete_trial(0, 0.3, family="linear"), a_complete_trial(1, 0.2), a_complete_trial(2, 0.4, family="rex")]

Curve = Callable[[float], float]


def bowl(at: float) -> float:
    return 0.1 + 0.02 * at**2


def ended(rows: list[TrainingRow], exponent: float, curve: Curve = bowl, **changes: Any) -> list[TrainingRow]:
    """The cost of a training is the curve at its distance, in log rate, from the best rate of its horizon."""
    done = []
    for row in rows:
        at = math.log(row.rate_scale) - exponent * math.log(90 / row.horizon)
        done.append(replace(row, status=Status.COMPLETED, metrics={"val_loss": curve(at)}, **changes))
    return done


def the_fit(exponent: float, curve: Curve = bowl, study: ResolvedStudy = STUDY) -> Fit:
    return fitted(study, TRIALS, ended(design(study, TRIALS, []), exponent, curve))["sgd"]


# ── frozen ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_sweep(number: int, **fits: Fit) -> SweepRow:
    settings = {FITTED_KEY: {name: fit.to_json() for name, fit in fits.items()}} if fits else {}
    return SweepRow(f"sweep-{number}", "quick", "g", settings=settings)


def a_fit(exponent: float, low: float, high: float) -> Fit:
    return Fit(exponent, Interval(low, high), (0,))


def test_a_first_sweep_goes_by_the_defaults_of_its_optimizers() -> None:
    """Of those that it searches, written out; a sweep without a fit changes nothing."""
    defaults = {"sgd": RATE_EXPONENTS["sgd"], "adamw": RATE_EXPONENTS["adamw"]}
    assert frozen_for(a_study()) == defaults
    assert frozen_for(a_study(), [a_sweep(0)]) == defaults


def test_a_later_sweep_goes_by_the_newest_narrow_fit() -> None:
    """Of each optimizer alone: a wide interval, a refusal and an optimizer that is not searched do not count."""
    earlier = [
        a_sweep(0, sgd=a_fit(0.3, 0.1, 0.5), adamw=a_fit(0.2, 0.1, 0.3)),
        a_sweep(1, sgd=a_fit(0.4, 0.2, 0.6), nesterov=a_fit(0.4, 0.3, 0.5)),
        a_sweep(2, sgd=a_fit(0.9, 0.6, 1.2), adamw=Fit(None, None, (), ("trial 0: at 30 steps …",))),
    ]
    assert frozen_for(a_study(), earlier) == {"sgd": 0.4, "adamw": 0.2}


# ── the design ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_design_trains_the_bests_of_two_families_at_five_rates_on_two_horizons() -> None:
    """Trial 1 leads with cosine, trial 0 follows with linear; 20 trainings of ids and a seed of their own."""
    rows = design(STUDY, TRIALS, [a_training(1, value=0.2)])
    assert {(row.trial, row.horizon, row.rung) for row in rows} == {(1, 30, 0), (1, 90, 1), (0, 30, 0), (0, 90, 1)}
    assert all(row.purpose is Purpose.FIT and row.status is Status.QUEUED for row in rows)
    assert len({row.training_id for row in rows}) == len(rows) == 20
    [seed] = {row.seed for row in rows}
    assert seed != 7
    of_one = sorted(row.rate_scale for row in rows if row.trial == 1 and row.horizon == 90)
    assert of_one == pytest.approx([1 / 3, 0.57735, 1, 1.73205, 3], rel=1e-5)


def test_at_the_rung_the_rates_lie_around_the_one_that_the_sweep_raises() -> None:
    """√3 times those of the full horizon under SGD; by the exponent that the sweep has frozen, where it has."""
    rows = design(STUDY, TRIALS[1:2], [])
    assert [row.rate_scale for row in rows if row.horizon == 30] == pytest.approx(
        [1 / 3**0.5, 1, 3**0.5, 3, 3 * 3**0.5]
    )
    frozen = replace(STUDY, rate_exponents={"sgd": 0.0})
    assert [row.rate_scale for row in design(frozen, TRIALS, []) if row.horizon == 30][:5] == list(FACTORS)


def test_a_design_is_made_once() -> None:
    """Trainings of it that are there, whatever their state, are all of it; nor is one made of nothing."""
    rows = design(STUDY, TRIALS, [])
    assert design(STUDY, TRIALS, rows[:1]) == []
    assert design(STUDY, [a_trial(0)], []) == []


def test_what_somebody_else_measured_is_not_built_upon() -> None:
    """A foreign trial leads by its own metric, not by ours."""
    foreign = a_complete_trial(9, 0.001, family="rex", origin=Origin.FOREIGN)
    assert {row.trial for row in design(STUDY, [*TRIALS, foreign], [])} == {0, 1}


def test_unasked_a_design_is_made_only_where_it_is_cheap() -> None:
    """It takes 2 · 5 · (30 + 90) = 1,200 updates: at most a tenth of 12,000."""
    study = a_study()
    assert design_cost(study) == 1_200
    assert is_wanted(replace(study, total_steps=12_000))
    assert not is_wanted(replace(study, total_steps=11_999))
    assert not is_wanted(replace(study, total_steps=12_000, search=SearchSpec(fit_exponent=False)))
    assert is_wanted(STUDY)
    assert design(replace(study, total_steps=11_999), TRIALS, []) == []


def test_a_study_of_one_horizon_has_nothing_to_fit() -> None:
    """Too short for a rung, or told to train at the full horizon alone."""
    assert not is_wanted(replace(a_study(horizon=20), search=WANTED))
    assert not is_wanted(replace(a_study(), search=SearchSpec(fidelity="full", fit_exponent=True)))


@pytest.mark.parametrize(("total_steps", "seeds"), [(0, 1), (24_000, 2), (36_500, 3), (1_000_000, 4)])
def test_a_larger_budget_pays_for_more_seeds(total_steps: int, seeds: int) -> None:
    """As many as a tenth of it pays for, up to four; all trials and rates share them."""
    rows = design(replace(STUDY, total_steps=total_steps), TRIALS, [])
    assert len({row.seed for row in rows}) == seeds
    assert len(rows) == 20 * seeds


# ── the fit ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("exponent", [0.0, 0.15, 0.5, 1.0])
def test_the_fit_finds_the_exponent_of_parabolas(exponent: float) -> None:
    """Without noise exactly, and then its interval has no width."""
    fit = the_fit(exponent)
    assert fit.exponent == pytest.approx(exponent, abs=1e-9)
    assert fit.interval is not None
    assert fit.interval.width < 1e-6
    assert fit.is_narrow
    assert fit.trials == (0, 1)


def test_an_exponent_beyond_what_makes_sense_is_held_within_it() -> None:
    """A best rate that falls as the training gets shorter: 0, while the interval says what was seen."""
    fit = the_fit(-0.1)
    assert fit.exponent == 0.0
    assert fit.interval is not None
    assert fit.interval.low == pytest.approx(-0.1, abs=1e-6)


def test_the_interval_covers_the_true_exponent() -> None:
    """Of 200 noisy designs, within four standard deviations (6 %) of 95 %."""
    draws = np.random.default_rng(4)

    def noisy(at: float) -> float:
        return bowl(at) + 0.002 * float(draws.standard_normal())

    rows = design(STUDY, TRIALS, [])
    fits = [fitted(STUDY, TRIALS, ended(rows, 0.4, noisy))["sgd"] for _ in range(200)]
    intervals = [fit.interval for fit in fits if fit.interval is not None]
    assert len(intervals) == 200
    covered = sum(interval.low <= 0.4 <= interval.high for interval in intervals)
    assert covered / 200 == pytest.approx(0.95, abs=0.06)


def of_each_its_own(by_trial: dict[int, float], noise: Callable[[], float] = lambda: 0.0) -> Fit:
    """The fit where the best rates of two trials move apart."""
    rows = [ended([row], by_trial[row.trial], lambda at: bowl(at) + noise())[0] for row in design(STUDY, TRIALS, [])]
    return fitted(STUDY, TRIALS, rows)["sgd"]


def test_families_that_contradict_each_other_make_the_interval_wide() -> None:
    """0 and 1, each without a misfit: of 0.5 they say nothing. 12.706 standard errors of one degree of freedom."""
    fit = of_each_its_own({0: 0.0, 1: 1.0})
    assert fit.exponent == pytest.approx(0.5)
    assert fit.interval is not None
    assert fit.interval.width == pytest.approx(12.706, rel=1e-3)
    assert not fit.is_narrow


def test_the_interval_covers_the_mean_of_families_that_differ() -> None:
    """Exponents of the standard deviation 0.1 around 0.4, and noise: of 200 designs at least 80 %, against 62 % by the
    misfits alone."""
    draws = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        apart = dict(enumerate(draws.normal(0.4, 0.1, 2).tolist()))
        fit = of_each_its_own(apart, lambda: 0.002 * float(draws.standard_normal()))
        assert fit.interval is not None
        covered += fit.interval.low <= 0.4 <= fit.interval.high
    assert covered / 200 >= 0.8


def test_a_second_trial_with_the_same_misfit_halves_the_variance() -> None:
    """Only the rung misfits: 4.303 standard errors of 2 degrees of freedom, against 2.776 of 4 with √(1/2) of it."""
    rows = [
        replace(row, metrics={"val_loss": row.metrics["val_loss"] + (0.001 if row.rate_scale == 3**0.5 else 0.0)})
        if row.horizon == 30
        else row
        for row in ended(design(STUDY, TRIALS, []), 0.5)
    ]
    two = fitted(STUDY, TRIALS, rows)["sgd"].interval
    one = fitted(STUDY, TRIALS, [row for row in rows if row.trial == 1])["sgd"].interval
    assert one is not None
    assert two is not None
    assert one.width / two.width == pytest.approx(4.303 / (2.776 / 2**0.5), rel=1e-3)


@pytest.mark.parametrize(
    ("status", "is_bounded"),
    [(Status.DIVERGED, True), (Status.COMPLETED, True), (Status.FAILED, False), (Status.RUNNING, False)],
)
def test_only_divergence_bounds_a_best_rate_that_is_the_largest_with_a_value(status: Status, is_bounded: bool) -> None:
    """A training that completed with NaN has diverged; one that failed or runs says nothing of its rate."""
    rows = ended(design(STUDY, TRIALS, []), 0.5, lambda at: bowl(at - 0.5))
    largest = max(row.rate_scale for row in rows if row.horizon == 90)
    cut = [
        replace(row, status=status, metrics={}) if (row.rate_scale, row.horizon) == (largest, 90) else row
        for row in rows
    ]
    fit = fitted(STUDY, TRIALS, cut)["sgd"]
    assert (fit.exponent is not None) is is_bounded


def test_a_curve_that_is_no_parabola_makes_the_interval_wide() -> None:
    """Steep above the best rate, as a training is near divergence: the fit is off, and says so."""

    def steep(at: float) -> float:
        return 0.1 + 0.015 * at**2 * (1 if at < 0 else math.exp(1.2 * at))

    fit = the_fit(0.15, steep)
    assert fit.interval is not None
    assert fit.interval.low < 0.15 < fit.interval.high
    assert not fit.is_narrow
    assert fit.sentence.endswith("too wide for a sweep to go by")


def test_what_diverges_bounds_the_best_rate_without_bending_the_parabola() -> None:
    """The largest rate of each five diverges: the other four give the same exponent."""
    rows = ended(design(STUDY, TRIALS, []), 0.5)
    largest = {horizon: max(row.rate_scale for row in rows if row.horizon == horizon) for horizon in (30, 90)}
    cut = [
        replace(row, status=Status.DIVERGED, metrics={}) if row.rate_scale == largest[row.horizon] else row
        for row in rows
    ]
    assert fitted(STUDY, TRIALS, cut)["sgd"].exponent == pytest.approx(0.5)


def test_a_best_rate_at_the_edge_is_refused() -> None:
    """At the rung of trial 0 alone: the fit rests on the other trial, and says why."""
    rows = ended(design(STUDY, TRIALS, []), 0.5)
    moved = [
        replace(row, metrics={"val_loss": -row.rate_scale}) if (row.trial, row.horizon) == (0, 30) else row
        for row in rows
    ]
    fit = fitted(STUDY, TRIALS, moved)["sgd"]
    assert fit.exponent == pytest.approx(0.5)
    assert fit.trials == (1,)
    assert fit.refused == ("trial 0: at 30 steps the best of its rates is the largest one",)


def test_where_every_trial_is_refused_there_is_no_exponent() -> None:
    """Failed and unfinished trainings say nothing, and no later sweep goes by it."""
    rows = design(STUDY, TRIALS, [])
    failed = [replace(row, status=Status.FAILED) for row in rows]
    for nothing in (rows, failed):
        fit = fitted(STUDY, TRIALS, nothing)["sgd"]
        assert (fit.exponent, fit.interval, fit.trials, fit.is_narrow) == (None, None, (), False)
        assert fit.sentence.startswith("not fitted: trial 0: at 30 steps only 0 of its 5 rates came to a value, at 90")
    assert fitted(STUDY, TRIALS, [a_training(1, value=0.2)]) == {}


def test_each_optimizer_is_fitted_by_its_own_trials() -> None:
    """Cosine leads with SGD and linear with AdamW: one curve pair each."""
    trials = [a_complete_trial(0, 0.3, family="linear", optimizer="adamw"), a_complete_trial(1, 0.2)]
    fits = fitted(STUDY, trials, ended(design(STUDY, trials, []), 0.2))
    assert {name: fit.trials for name, fit in fits.items()} == {"sgd": (1,), "adamw": (0,)}
    assert fits["adamw"].exponent == pytest.approx(0.2)


def test_a_fit_comes_back_from_json_as_it_was() -> None:
    """With and without an exponent."""
    for fit in (a_fit(0.3, 0.1, 0.5), Fit(None, None, (), ("trial 0: at 30 steps …",))):
        assert Fit.from_json(fit.to_json()) == fit
    assert a_fit(0.3, 0.1, 0.5).sentence == "0.30 (95 %: 0.10 to 0.50); the next sweep goes by it"


# ── the parabola ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_parabola_has_its_lowest_point_where_it_has() -> None:
    """(x - 1)² + 2 at -1, 0, 2, 3, 4: at 1, without a misfit, and two points are left to judge by."""
    found = optimum([(at, (at - 1) ** 2 + 2) for at in (3, -1, 4, 0, 2)])
    assert isinstance(found, Optimum)
    assert found.at == pytest.approx(1.0)
    assert found.misfit == pytest.approx(0.0, abs=1e-20)
    assert found.freedom == 2


def test_the_lowest_point_varies_as_its_leverage_says() -> None:
    """Costs of the variance 1e-6 at five points: the standard deviation of 1,000 lowest points, within a tenth."""
    draws = np.random.default_rng(0)
    at = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    exact = optimum([(each, (each - 0.2) ** 2) for each in at.tolist()])
    assert isinstance(exact, Optimum)
    found = []
    for noise in draws.normal(0, 1e-3, (1_000, 5)):
        one = optimum(list(zip(at.tolist(), ((at - 0.2) ** 2 + noise).tolist(), strict=True)))
        assert isinstance(one, Optimum)
        found.append(one.at)
    assert float(np.std(found)) == pytest.approx(1e-3 * math.sqrt(exact.leverage), rel=0.1)


@pytest.mark.parametrize(
    ("costs", "why"),
    [
        ([1, 2, 3, 4, 5], "the best of its rates is the smallest one"),
        ([5, 4, 3, 2, 1], "the best of its rates is the largest one"),
        ([3, 1, 2, math.inf, math.inf], "only 3 of its 5 rates came to a value"),
        ([3, 1, 2, None, math.inf], "only 3 of its 5 rates came to a value"),
        ([1, 2, 0.9, 2, 1], "its costs do not bend upwards"),
        ([9, 6, 4, 3, math.inf], "its costs have their lowest point beyond its rates"),
    ],
)
def test_a_curve_without_a_bounded_best_rate_is_refused(costs: list[float | None], why: str) -> None:
    """At either edge, with too few points, or bent the wrong way; divergence bounds the best rate too."""
    assert optimum(list(zip(range(5), costs, strict=True))) == why
