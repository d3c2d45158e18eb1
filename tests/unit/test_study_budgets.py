"""What a budget pays for, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrsweep.records import Status, SweepRow, TrainingRow
from lrsweep.study import BudgetSpec, SelectionSpec
from lrsweep.study.budgets import (
    Allotment,
    SearchCost,
    allotted,
    finalists,
    in_unit_of,
    pace,
    seed_deviation,
    seeds_for,
    smallest_difference,
)

COST = SearchCost((200, 600), 3)
SELECTION = SelectionSpec()


def test_trials_that_calibrate_run_all_rungs_and_of_the_others_one_in_three() -> None:
    """Of 40 four calibrate; 36 / 3 = 12 of the others go on: 16. Three rungs: 4 + 36 / 9."""
    assert COST.reached(40) == (40.0, 16.0)
    assert SearchCost((60, 180, 540), 3).reached(40) == (40.0, 16.0, 8.0)
    assert COST.steps(40) == 40 * 200 + 16 * 600


def test_without_a_pruner_every_trial_runs_all_rungs() -> None:
    """And without rungs a trial is a training."""
    assert replace(COST, halts=False).reached(38) == (38.0, 38.0)
    assert SearchCost((600,), 3).steps(10) == 6000


def test_updates_pay_for_as_many_trials_as_their_cost_says() -> None:
    """One update less, one trial less; and one trial is always asked."""
    assert (COST.trials(17_600), COST.trials(17_599), COST.trials(1)) == (40, 39, 1)


def test_trials_are_those_of_the_search_and_the_finalists_share_comes_on_top() -> None:
    """17,600 updates are 60 % of 29,334."""
    assert allotted(BudgetSpec(trials=40), SELECTION, COST) == Allotment(40, 17_600.0, 29_334)


@pytest.mark.parametrize(
    "budget",
    [
        BudgetSpec(trainings=48.89),
        BudgetSpec(steps=29_334),
        BudgetSpec(wall_clock=293.34),
        BudgetSpec(gpu_hours=2 * 293.34 / 3600),
        BudgetSpec(money=2 * 293.34 / 3600 * 3, price_per_hour=3.0),
    ],
    ids=lambda budget: budget.kind,
)
def test_every_other_unit_is_the_whole(budget: BudgetSpec) -> None:
    """100 updates a second on two devices: the same budget in five units."""
    found = allotted(budget, SELECTION, COST, steps_per_second=100, devices=2)
    assert found == Allotment(40, 17_600.0, 29_334)
    assert found.final_steps == 11_734


def test_a_budget_in_time_says_nothing_without_a_pace() -> None:
    """Neither hours nor money; all others do."""
    assert allotted(BudgetSpec(wall_clock=60.0), SELECTION, COST) is None
    assert allotted(BudgetSpec(money=1.0, price_per_hour=1.0), SELECTION, COST) is None


def test_without_finalists_the_search_has_it_all() -> None:
    """Nothing is kept for nobody."""
    found = allotted(BudgetSpec(steps=17_600), replace(SELECTION, finalists=0), COST)
    assert found == Allotment(40, 17_600.0, 17_600)


def test_a_share_that_pays_for_no_two_finalists_is_not_kept() -> None:
    """40 % of 15 trainings are six; of 14 they are fewer, and the search has all: 19 trials, and not 12."""
    fifteen, fourteen = (allotted(BudgetSpec(trainings=each), SELECTION, COST) for each in (15, 14))
    assert fifteen is not None
    assert fourteen is not None
    assert (fifteen.trials, fourteen.trials) == (12, 19)
    of_trials = [allotted(BudgetSpec(trials=each), SELECTION, COST) for each in (13, 12)]
    assert of_trials == [Allotment(13, 5720.0, 9534), Allotment(12, 5280.0, 5280)]


@pytest.mark.parametrize(
    ("trainings", "expected"),
    [(40, (6, 6)), (18, (6, 3)), (17, (5, 3)), (13, (4, 3)), (6, (2, 3)), (5, (0, 0)), (0, (0, 0))],
)
def test_there_are_fewer_finalists_before_there_are_fewer_seeds(trainings: int, expected: tuple[int, int]) -> None:
    """Never under two of them, and what is left over goes into seeds."""
    assert finalists(trainings * 600.0, 600, SELECTION, candidates=60) == expected


def test_there_are_no_more_finalists_than_candidates() -> None:
    """Three trials have three, with more seeds each."""
    assert finalists(18 * 600.0, 600, SELECTION, candidates=3) == (3, 6)


@pytest.mark.parametrize(("seeds", "deviations"), [(3, 3.07), (10, 1.325), (17, 0.991), (26, 0.792), (64, 0.499)])
def test_the_smallest_difference_is_that_of_the_tables_for_two_sample_t_tests(seeds: int, deviations: float) -> None:
    """Cohen (1988): 17, 26 and 64 a group find d = 1, 0.8 and 0.5 with a power of 80 %."""
    assert smallest_difference(seeds) == pytest.approx(deviations, abs=0.001)


def test_the_seeds_that_a_difference_needs() -> None:
    """Half a deviation takes 64 of each; a thousandth of one takes more than anybody has."""
    assert seeds_for(0.05, 0.1) == 64
    assert seeds_for(0.0001, 0.1) is None


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (BudgetSpec(trials=3), "trials = 64"),
        (BudgetSpec(trainings=3), "trainings = 84"),
        (BudgetSpec(steps=3), "steps = 50000"),
        (BudgetSpec(wall_clock=60.0), 'wall_clock = "9m"'),
        (BudgetSpec(gpu_hours=1 / 60), "gpu_hours = 0.139"),
        (BudgetSpec(money=1.0, price_per_hour=60.0), "money = 8.33"),
    ],
    ids=lambda each: each.kind if isinstance(each, BudgetSpec) else "",
)
def test_an_amount_is_told_in_the_unit_of_the_file(budget: BudgetSpec, text: str) -> None:
    """50,000 updates at 100 a second are 500 seconds."""
    assert in_unit_of(budget, 50_000, 600, trials=64, steps_per_second=100, devices=1) == text


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (BudgetSpec(wall_clock=60.0), 'wall_clock = "9m"'),
        (BudgetSpec(gpu_hours=1 / 60), "gpu_hours = 0.556"),
        (BudgetSpec(money=1.0, price_per_hour=60.0), "money = 33.3"),
    ],
    ids=lambda each: each.kind if isinstance(each, BudgetSpec) else "",
)
def test_devices_side_by_side_are_all_paid_for(budget: BudgetSpec, text: str) -> None:
    """The same 500 seconds on four of them are 2,000 of one."""
    assert in_unit_of(budget, 50_000, 600, trials=64, steps_per_second=100, devices=4) == text


# ── what earlier sweeps say ──────────────────────────────────────────────────────────────────────────────────────────


def a_training(
    trial: int, seed: int, value: float | None, *, sweep: str = "s", status: Status = Status.COMPLETED
) -> TrainingRow:
    metrics = {} if value is None else {"val_loss": value}
    return TrainingRow(
        f"{sweep}-{trial}-{seed}", "quick", trial, sweep, 1, 600, seed, 1.0, status=status, metrics=metrics, steps=600
    )


def test_the_pace_is_of_all_trainings_side_by_side() -> None:
    """Two ended trainings of 600 in 3 seconds; one that waits counts nothing."""
    sweep = SweepRow("s", "quick", "g", seconds=3.0)
    rows = [a_training(0, 1, 0.1), a_training(1, 1, None, status=Status.DIVERGED)]
    waiting = a_training(2, 1, None, status=Status.QUEUED)
    assert pace(sweep, [*rows, waiting]) == 400.0
    assert pace(sweep, [waiting]) is None
    assert pace(replace(sweep, seconds=0.0), rows) is None


def test_the_deviation_of_seeds_is_pooled_over_points() -> None:
    """Squares of 2 over three seeds of one point, and of 2 over two of another: 4 by 3 degrees of freedom."""
    rows = [a_training(0, seed, value) for seed, value in enumerate((1.0, 2.0, 3.0))]
    rows += [a_training(1, seed, value) for seed, value in enumerate((10.0, 12.0))]
    rows += [a_training(2, 0, 99.0), a_training(1, 7, None, status=Status.DIVERGED)]
    assert seed_deviation(rows, "val_loss") == pytest.approx((4 / 3) ** 0.5)
    assert seed_deviation(rows[:1], "val_loss") is None
