"""Who becomes a finalist, with how many seeds, and what the seeds then say; by rows made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from lrsweep.records import Origin, Purpose, Status, TrainingRow, TrialRow, TrialState, WorkloadSpec
from lrsweep.study import BudgetSpec, Objective, ResolvedStudy, SelectionSpec
from lrsweep.sweep.finals import Plan, fresh_seeds, leader, plan, standings, trainings
from tests.sweeps import a_complete_trial, a_study, a_training, a_trial

STUDY = replace(a_study(), budget=BudgetSpec(trainings=100), total_steps=9_000)
"""A budget of 100 trainings of 90 updates."""

TRIALS = [
    a_complete_trial(0, 0.5, family="cosine"),
    a_complete_trial(1, 0.3, family="cosine"),
    a_complete_trial(2, 0.2, family="linear"),
    a_complete_trial(3, 0.25, family="linear"),
    a_complete_trial(4, 0.4, family="rex"),
    a_trial(5, family="step", state=TrialState.PRUNED, value=0.1),
    a_trial(6, family="wsd", state=TrialState.PRUNED, value=None),
]


def spent(updates: int) -> list[TrainingRow]:
    """A search that has done so many."""
    return [a_training(0, value=0.5, steps=updates)]


def the_plan(left: int, trials: Sequence[TrialRow] = TRIALS, **selection: Any) -> Plan:
    """After a search that leaves so many of its 100 trainings."""
    study = replace(STUDY, selection=SelectionSpec(**selection))
    return plan(study, trials, spent(9_000 - left * 90))


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_bests_of_all_families_and_the_leaders_second_are_finalists() -> None:
    """By value; a family whose best never reached the full horizon is out, however good it looked at its rung."""
    assert the_plan(40).trials == (2, 1, 4, 3)


def test_the_baseline_is_a_finalist_whatever_its_value() -> None:
    """Second after the leader, so that it stays when there is room for two; also where a rung halted it."""
    worst = a_complete_trial(9, 0.9, origin=Origin.BASELINE)
    assert the_plan(40, [*TRIALS, worst]).trials == (2, 9, 1, 4, 3)
    assert the_plan(40, [*TRIALS, worst], finalists=2).trials == (2, 9)
    halted = replace(worst, state=TrialState.PRUNED)
    assert the_plan(40, [*TRIALS, halted]).trials == (2, 9, 1, 4, 3)


def test_a_baseline_that_diverged_is_not_compared() -> None:
    """It has no value; nor has one that failed."""
    for state in (TrialState.PRUNED, TrialState.FAILED):
        diverged = a_trial(9, state=state, value=None, origin=Origin.BASELINE)
        assert the_plan(40, [*TRIALS, diverged]).trials == (2, 1, 4, 3)


def test_a_baseline_that_leads_its_family_or_follows_its_leader_is_in_once() -> None:
    """As linear's best it leads; as linear's second it stands where the baseline does, and the third is in too."""
    best = [replace(trial, origin=Origin.BASELINE) if trial.number == 2 else trial for trial in TRIALS]
    assert the_plan(40, best).trials == (2, 1, 4, 3)
    second = [replace(trial, origin=Origin.BASELINE) if trial.number == 3 else trial for trial in TRIALS]
    third = a_complete_trial(7, 0.6, family="linear")
    assert the_plan(40, [*second, third]).trials == (2, 3, 1, 4, 7)


def test_a_copied_trial_may_be_a_finalist_and_a_foreign_one_not() -> None:
    """The first has a value of the same meaning; the other's was measured by somebody else."""
    copied = a_complete_trial(7, 0.1, family="rex", origin=Origin.COPIED)
    foreign = a_complete_trial(8, 0.05, family="wsd", origin=Origin.FOREIGN)
    assert the_plan(40, [*TRIALS, copied, foreign]).trials == (7, 2, 1, 4)


def test_of_a_maximised_metric_the_largest_values_are_finalists() -> None:
    """Cosine's 0.5 leads, then rex's 0.4 and linear's 0.25, and cosine's second."""
    study = replace(STUDY, direction="maximize")
    assert plan(study, TRIALS, spent(0)).trials == (0, 4, 3, 1)


# ── how many ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("left", "finalists", "seeds"),
    [(40, 4, 10), (38, 4, 10), (37, 4, 9), (15, 4, 3), (12, 4, 3), (11, 3, 3), (9, 3, 3), (8, 2, 4), (6, 2, 3)],
)
def test_what_the_search_left_pays_for_fewer_finalists_before_fewer_seeds(
    left: int, finalists: int, seeds: int
) -> None:
    """Four candidates, at least three seeds each, and more where there is room. A search that took up to 2 of the 100
    trainings more than its share costs the finals nothing."""
    found = the_plan(left)
    assert (len(found.trials), len(found.seeds), found.why_none) == (finalists, seeds, None)
    assert found.trials == (2, 1, 4, 3)[:finalists]


def test_without_room_for_two_finalists_there_are_none_and_it_says_why() -> None:
    """Two with three seeds are six trainings; five are left by the clock."""
    assert plan(STUDY, TRIALS, spent(0), left=450) == Plan(
        why_none="no finals: 2 finalists with 3 seeds each take 540 updates, and 450 are left. Give a larger budget, "
        "a larger selection.share, or fewer selection.seeds"
    )
    assert the_plan(5, seeds=2).trials == (2, 1)


@pytest.mark.parametrize("left", [0, 1, 5])
def test_a_search_that_took_more_than_its_share_leaves_two_finalists(left: int) -> None:
    """Many trials at a time go on to longer rungs when the share is used up: two with three seeds are kept for certain.
    Not where no share was kept, nor where a budget is smaller than what the search had spent before."""
    found = the_plan(left)
    assert (found.trials, len(found.seeds)) == ((2, 1), 3)
    assert the_plan(left, share=0.0).why_none is not None
    assert plan(STUDY, TRIALS, spent(STUDY.total_steps + 1)).why_none is not None


def test_another_seed_of_the_study_leaves_the_finals_their_seeds() -> None:
    """Those that are there are paid; new ones are the new seed's."""
    first = the_plan(12)
    there = [
        a_training(trial, 1, purpose=Purpose.FINAL, seed=seed, training_id=f"final-{trial}-{seed}")
        for trial in first.trials
        for seed in first.seeds
    ]
    again = plan(replace(STUDY, seed=7), TRIALS, [*spent(0), *there], left=20 * 90)
    assert set(again.seeds[:3]) == set(first.seeds)
    assert len(set(again.seeds)) == 5


def test_a_trial_that_has_nobody_to_be_compared_with_is_no_finalist() -> None:
    """One family whose only full training it is; or none at all."""
    assert the_plan(40, TRIALS[:1]).why_none == (
        "no finals: it takes 2 trials to compare, and 1 of this sweep's reached the full horizon"
    )
    assert the_plan(40, []).trials == ()


def test_a_study_that_wants_no_finalists_gets_none_without_a_word() -> None:
    """``finalists = 0``, or a study that says nothing of its budget."""
    assert the_plan(40, finalists=0) == Plan()
    assert plan(replace(STUDY, total_steps=0), TRIALS, []) == Plan()


def test_one_finalist_is_refused_with_what_to_write_instead() -> None:
    """It is compared with nobody."""
    assert the_plan(40, finalists=1) == Plan(
        why_none="no finals: selection.finalists is 1, and it takes 2 trials to compare. Write 0 where none are wanted"
    )


def test_the_share_of_a_budget_in_trials_comes_on_top() -> None:
    """The search took more than was expected: 40 % of the 100 trainings are kept all the same, for four with ten. Of
    another budget it is what two finalists take."""
    study = replace(STUDY, budget=BudgetSpec(trials=60))
    assert len(plan(study, TRIALS, spent(9_000)).seeds) == 10
    assert len(plan(STUDY, TRIALS, spent(9_000)).seeds) == 3


def test_a_clock_may_say_what_is_left() -> None:
    """Of a budget in time: 12 trainings, whatever the updates say."""
    assert len(plan(STUDY, TRIALS, spent(9_000), left=1_080).seeds) == 3
    assert len(plan(replace(STUDY, total_steps=0), TRIALS, spent(9_000), left=1_080).seeds) == 3


def test_finals_that_are_there_do_not_change_the_plan() -> None:
    """A driver that starts in the middle of them makes the same one, and queues what is missing."""
    whole = the_plan(12)
    rows = trainings(STUDY, whole, TRIALS, [])
    half = [replace(row, status=Status.COMPLETED, steps=90) for row in rows[:5]]
    again = plan(STUDY, TRIALS, [*spent(9_000 - 12 * 90), *half])
    assert again == whole
    assert trainings(STUDY, again, TRIALS, half) == rows[5:]


def test_a_larger_budget_reuses_the_seeds_that_are_there() -> None:
    """Six seeds of each of four in the place of three. Where one is no longer a finalist its four trainings are spent,
    and the 20 that are left pay for five."""
    rows = [replace(row, steps=90) for row in trainings(STUDY, the_plan(12), TRIALS, [])]
    more = plan(STUDY, TRIALS, [*spent(9_000 - 24 * 90), *rows])
    assert len(trainings(STUDY, more, TRIALS, rows)) == 12
    better = a_complete_trial(8, 0.01, family="wsd")
    gone = [replace(row, trial=0) for row in rows[:4]]
    assert len(plan(STUDY, [*TRIALS, better], [*spent(9_000 - 24 * 90), *gone]).seeds) == 5


# ── the trainings ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_finalists_share_fresh_seeds_at_the_full_horizon_and_their_own_rate() -> None:
    """Seed by seed, so that one cut short has about as many of each; every training is its own."""
    rows = trainings(STUDY, the_plan(12), TRIALS, [])
    assert [row.trial for row in rows[:5]] == [2, 1, 4, 3, 2]
    assert {(row.rung, row.horizon, row.rate_scale, row.purpose, row.status) for row in rows} == {
        (1, 90, 1.0, Purpose.FINAL, Status.QUEUED)
    }
    by_trial = {number: [row.seed for row in rows if row.trial == number] for number in (1, 2, 3, 4)}
    assert all(seeds == list(fresh_seeds(STUDY, 3)) for seeds in by_trial.values())
    assert len({row.training_id for row in rows}) == 12


def test_fresh_seeds_follow_from_the_studys_seed() -> None:
    """Others for another seed; more of them begin with the same."""
    assert len(set(fresh_seeds(STUDY, 20))) == 20
    assert fresh_seeds(STUDY, 20)[:3] == fresh_seeds(STUDY, 3)
    assert not set(fresh_seeds(STUDY, 20)) & set(fresh_seeds(replace(STUDY, seed=1), 20))


def test_fresh_seeds_are_those_of_the_sweep_that_began_with_the_first_trial() -> None:
    """Numbers are never given twice in a study. Seeds that its finals have stay, whatever rows were removed since."""
    later = [replace(each, number=each.number + 12) for each in TRIALS]
    planned = plan(STUDY, later, [])
    assert len(planned.seeds) >= 3
    assert planned.seeds == fresh_seeds(STUDY, len(planned.seeds), begun=12)
    assert not set(planned.seeds) & set(fresh_seeds(STUDY, 20))
    held = trainings(STUDY, planned, later, [])
    assert set(plan(STUDY, later[1:], held).seeds) == set(planned.seeds)


# ── the standings ────────────────────────────────────────────────────────────────────────────────────────────────────


def a_final(trial: int, seed: int, value: float | None, *, key: str = "decide_loss", **changes: Any) -> TrainingRow:
    """Completed with that value on the half that the search did not see; without one, diverged."""
    row = a_training(
        trial, 1, purpose=Purpose.FINAL, seed=seed, training_id=f"final-{trial}-{seed}", status=Status.DIVERGED
    )
    if value is not None:
        row = replace(row, status=Status.COMPLETED, metrics={"val_loss": 9.0, key: value})
    return replace(row, **changes)


def finals(values: dict[int, list[float | None]], **changes: Any) -> list[TrainingRow]:
    return [a_final(trial, seed, each, **changes) for trial, of in values.items() for seed, each in enumerate(of)]


def the_standings(rows: Sequence[TrainingRow], study: ResolvedStudy = STUDY) -> list[Any]:
    return list(standings(study, TRIALS, rows))


def test_finalists_stand_by_the_mean_of_the_half_that_the_search_did_not_see() -> None:
    """0.2, 0.3, 0.4: mean 0.3, sd 0.1, and the interval 0.3 ± 4.303 · 0.1 / √3; the search's value counts nothing."""
    rows = [a_training(2, 1, value=0.0), *finals({2: [0.2, 0.3, 0.4], 1: [0.1, 0.1, 0.4]})]
    first, second = the_standings(rows)
    assert (first.trial, first.family, first.n, first.metric, first.is_decide) == (1, "cosine", 3, "decide_loss", True)
    assert (second.trial, second.n) == (2, 3)
    assert (first.mean, second.mean, second.sd) == pytest.approx((0.2, 0.3, 0.1))
    assert second.interval is not None
    assert (second.interval.low, second.interval.high) == pytest.approx((0.0516, 0.5484), abs=1e-4)
    assert leader([first, second]) == first
    assert first.to_json()["interval"] == [first.interval.low, first.interval.high]


def test_what_diverged_is_counted_beside_and_never_averaged() -> None:
    """And it comes behind those that did not, whatever the mean of its other seeds; more of it further behind."""
    found = the_standings(
        finals({1: [0.1, None, 0.1], 2: [0.5, 0.5, 0.5], 3: [0.2, None, None], 4: [None, None, None]})
    )
    assert [(each.trial, each.n, each.diverged, each.mean) for each in found] == [
        (2, 3, 0, 0.5),
        (1, 2, 1, 0.1),
        (3, 1, 2, 0.2),
        (4, 0, 3, None),
    ]
    assert (found[2].sd, found[2].interval) == (None, None)
    assert leader(found[3:]) is None
    assert leader([]) is None


def test_what_failed_or_has_not_ended_is_counted_apart() -> None:
    """One of each, and one value."""
    rows = finals({1: [0.3, 0.3, 0.3]})
    rows[1] = replace(rows[1], status=Status.FAILED, metrics={})
    rows[2] = replace(rows[2], status=Status.RUNNING, metrics={})
    [found] = the_standings(rows)
    assert (found.n, found.diverged, found.failed, found.left, found.mean) == (1, 0, 1, 1, 0.3)


def test_a_finalist_without_a_value_comes_last() -> None:
    """All of its trainings failed: behind one with a value, and behind one that diverged once."""
    rows = [replace(row, status=Status.FAILED, metrics={}) if row.trial == 1 else row for row in finals({1: [0.1]})]
    found = the_standings([*rows, *finals({2: [0.5], 3: [0.4, None]})])
    assert [each.trial for each in found] == [2, 3, 1]


def test_of_a_maximised_metric_the_largest_mean_is_first() -> None:
    """The decide half of val_acc is decide_acc."""
    study = replace(STUDY, metric="val_acc", direction="maximize")
    found = the_standings(finals({1: [0.8, 0.8], 2: [0.9, 0.9]}, key="decide_acc"), study)
    assert [(each.trial, each.metric) for each in found] == [(2, "decide_acc"), (1, "decide_acc")]


def test_a_script_has_one_validation_metric_and_it_says_so() -> None:
    """There is no other half: the finalists stand by the metric that the search saw, of seeds that it did not."""
    study = replace(STUDY, workload=WorkloadSpec("command"))
    rows = [replace(row, metrics={"val_loss": row.metrics["decide_loss"]}) for row in finals({1: [0.3], 2: [0.2]})]
    found = the_standings(rows, study)
    assert [(each.trial, each.metric, each.is_decide) for each in found] == [
        (2, "val_loss", False),
        (1, "val_loss", False),
    ]


def test_other_objectives_stand_by_their_own_value() -> None:
    """The best evaluation, and the updates to a target: both of the half that the search sees."""
    best = replace(STUDY, objective=Objective("best"))
    rows = finals({1: [0.3]}, key="best_val_loss")
    [found] = the_standings([replace(row, metrics={**row.metrics, "decide_loss": 0.5}) for row in rows], best)
    assert (found.metric, found.is_decide, found.mean) == ("best_val_loss", False, 0.3)
    target = replace(STUDY, metric="val_acc", direction="maximize", objective=Objective("target", 0.9))
    first, second = the_standings(finals({1: [60.0], 2: [40.0]}, key="steps_to_val_acc"), target)
    assert (first.trial, first.mean, second.mean) == (2, 40.0, 60.0)


def test_the_baseline_is_marked_among_the_finalists() -> None:
    """Trial 2 is what the user runs today."""
    trials = [replace(trial, origin=Origin.BASELINE) if trial.number == 2 else trial for trial in TRIALS]
    found = standings(STUDY, trials, finals({1: [0.3], 2: [0.2]}))
    assert [(each.trial, each.is_baseline) for each in found] == [(2, True), (1, False)]
    assert standings(STUDY, trials, [a_training(1, 1, value=0.1)]) == []
