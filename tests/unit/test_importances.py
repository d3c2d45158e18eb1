"""Which settings the values depend on, by Optuna's fANOVA of ranks at the first rung."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lrsweep.records import Outcome, TrainingPlan
from lrsweep.sweep.importances import FEWEST, Importances, importances
from tests.looked import a_driven_bench
from tests.scripted import Script, completed, diverged, value_of
from tests.sweeps import a_study

STUDY = a_study(trials=40, families=("cosine", "linear", "step"), weight_decay={"sgd": (0.0, 0.1), "adamw": (0.0, 0.1)})


def found(script: Script, trials: int = 40) -> Importances:
    study = replace(STUDY, trials=trials)
    bench = a_driven_bench(study, script)
    return importances(study, bench.store.trials(study.name), bench.store.trainings(study.name))


def by_family(plan: TrainingPlan) -> Outcome:
    return completed(plan, {"cosine": 0.1, "linear": 0.2, "step": 0.3}[plan.schedule.family] + value_of(plan) / 1000)


def by_peak(plan: TrainingPlan) -> Outcome:
    low, high = STUDY.space.peak_lr[plan.optimizer.name]
    return completed(plan, 1 + (plan.peak_lr / low) / (high / low))


def by_decay(plan: TrainingPlan) -> Outcome:
    return completed(plan, 1 + plan.optimizer.settings["weight_decay"])


@pytest.mark.parametrize(("script", "first"), [(by_family, "family"), (by_peak, "peak_lr"), (by_decay, "weight_decay")])
def test_the_setting_that_the_values_follow_has_the_largest_share(
    script: Callable[[TrainingPlan], Outcome], first: str
) -> None:
    """By more than half; the shares add up to 1, and are of the settings that all trials have."""
    shares = found(script).shares
    assert next(iter(shares)) == first
    assert shares[first] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == {"family", "optimizer", "peak_lr", "weight_decay"}


def test_a_divergence_counts_as_the_worst_and_not_as_nothing() -> None:
    """Where one family always diverges and nothing else matters, the family is what matters."""

    def one_diverges(plan: TrainingPlan) -> Outcome:
        return diverged(plan) if plan.schedule.family == "step" else completed(plan, 0.5)

    result = found(one_diverges)
    assert result.diverged > 0
    assert next(iter(result.shares)) == "family"
    assert result.n == 40


def test_it_goes_by_the_first_rung_which_all_trials_have_run() -> None:
    """At the full horizon there are the survivors alone."""

    def turned(plan: TrainingPlan) -> Outcome:
        return by_family(plan) if plan.horizon == STUDY.rungs[0] else by_decay(plan)

    result = found(turned)
    assert (next(iter(result.shares)), result.horizon, result.n) == ("family", 30, 40)


def test_the_same_rows_give_the_same_shares() -> None:
    """The forest has a seed of its own."""
    assert found(by_peak) == found(by_peak)


def test_few_trials_are_told_so_and_fewer_give_none() -> None:
    """Eight are the fewest, and under twenty it is mostly chance."""
    assert (found(by_peak, trials=12).is_of_few, found(by_peak).is_of_few) == (True, False)
    none = found(by_peak, trials=4)
    assert (none.shares, none.why_none) == ({}, f"it takes {FEWEST} trials with a result, and there are 4")


def test_results_that_are_all_alike_depend_on_nothing() -> None:
    """Said in words, and no division by nothing."""
    assert found(lambda plan: completed(plan, 0.5)).why_none == "all trials came to the same result"
