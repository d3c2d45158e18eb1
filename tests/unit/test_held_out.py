"""What is trained again to learn what the test set says: who and with which seeds; and it is read only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrsweep.records import Outcome, Purpose, Status
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command
from lrsweep.study import Baseline
from lrsweep.sweep.held_out import FRESH, data_of, reading, scores, why_none
from lrsweep.workloads.base import Half
from tests.looked import a_driven_bench
from tests.promoted import STUDY, noisy
from tests.scripted import Bench
from tests.trainings import PLAN, digits, outcome_of

WITH_BASELINE = replace(STUDY, baseline=Baseline(schedule=schedule("step"), peak_lr=0.2, optimizer="sgd"))


@pytest.fixture(scope="module")
def bench() -> Bench:
    return a_driven_bench(WITH_BASELINE, noisy)


def finalist(bench: Bench) -> int:
    """The last of them, which is not the baseline."""
    return next(row.trial for row in reversed(bench.trainings()) if row.purpose is Purpose.FINAL and row.trial)


def test_an_engine_reads_the_test_set_only_where_a_plan_says_so() -> None:
    """The values are the model's on that half; the rest of the outcome is the same to the bit."""
    workload, halves = digits(), list[Half]()
    original = workload.evaluate

    def counted(model: object, half: Half) -> dict[str, float]:
        halves.append(half)
        return original(model, half)  # type: ignore[arg-type]

    workload.evaluate = counted  # type: ignore[method-assign]
    without = outcome_of(PLAN, workload)
    assert "test" not in halves
    assert not [name for name in without.metrics if name.startswith("test_")]
    found = outcome_of(replace(PLAN, reads_test=True), workload)
    assert halves.count("test") == 1
    assert {name: value for name, value in found.metrics.items() if not name.startswith("test_")} == without.metrics
    assert found.metrics["test_acc"] > 0.8
    assert found.metrics["test_loss"] not in (found.metrics["val_loss"], found.metrics["decide_loss"])


def test_the_choice_and_the_baseline_are_trained_with_fresh_seeds(bench: Bench) -> None:
    """As many as the finals had and none of theirs, by whose luck it was chosen; at the full horizon, at their own
    rates, without checkpoints."""
    chosen = finalist(bench)
    read = reading(WITH_BASELINE, bench.trials, bench.trainings(), chosen)
    assert read is not None
    finals = [row for row in bench.trainings() if row.trial == chosen and row.purpose is Purpose.FINAL]
    assert len(set(read.seeds)) == len(read.seeds) == len(finals) > FRESH
    assert not {row.seed for row in bench.trainings()} & set(read.seeds)
    assert read == reading(WITH_BASELINE, bench.trials, bench.trainings(), chosen), "the same the next time"
    assert list(read.trials) == [chosen, 0]
    assert read.trials[0] == "step"
    assert len(read.plans) == 2 * len(read.seeds)
    assert {plan.horizon for plan in read.plans.values()} == {90}
    assert {plan.checkpoint_url for plan in read.plans.values()} == {None}
    assert all(plan.reads_test for plan in read.plans.values())
    assert {plan.peak_lr for (trial, _), plan in read.plans.items() if trial == 0} == {0.2}
    assert len({plan.training_id for plan in read.plans.values()}) == len(read.plans)
    assert (read.metric, read.data) == ("test_loss", "digits@d")


def test_a_seed_that_the_sweep_has_used_is_passed_over(bench: Bench) -> None:
    """Whatever trial it was used for."""
    read = reading(WITH_BASELINE, bench.trials, bench.trainings(), 0)
    assert read is not None
    rows = bench.trainings()
    taken = [*rows, replace(rows[0], training_id="other", seed=read.seeds[0])]
    other = reading(WITH_BASELINE, bench.trials, taken, 0)
    assert other is not None
    assert (other.seeds[:-1], len(other.seeds)) == (read.seeds[1:], len(read.seeds))


def test_without_finals_three_fresh_seeds_are_trained(bench: Bench) -> None:
    """None of them the search's; a baseline that is the choice is trained once."""
    searched = [row for row in bench.trainings() if row.purpose is Purpose.SEARCH]
    read = reading(WITH_BASELINE, bench.trials, searched, 0)
    assert read is not None
    assert (len(set(read.seeds)), list(read.trials)) == (FRESH, [0])
    assert not {row.seed for row in searched} & set(read.seeds)


def test_a_trial_that_this_release_cannot_read_is_not_trained(bench: Bench) -> None:
    """There is nothing to read then; without a baseline there is."""
    trials = [replace(trial, params={**trial.params, "family": "gone"}) for trial in bench.trials]
    assert reading(WITH_BASELINE, trials, bench.trainings(), finalist(bench)) is None
    without = [trial for trial in bench.trials if trial.number]
    read = reading(WITH_BASELINE, without, bench.trainings(), finalist(bench))
    assert read is not None
    assert list(read.trials) == [finalist(bench)]


def test_a_training_that_did_not_complete_has_no_score(bench: Bench) -> None:
    """Diverged, failed, or without the metric: its place stays empty."""
    read = reading(WITH_BASELINE, bench.trials, bench.trainings(), finalist(bench))
    assert read is not None
    first, *others = read.plans.values()
    outcomes = {plan.training_id: Outcome(Status.COMPLETED, 90, 1.0, {"test_loss": 0.5}) for plan in others}
    outcomes[first.training_id] = Outcome(Status.DIVERGED, 9, 1.0, {"test_loss": 7.0})
    outcomes[others[0].training_id] = Outcome(Status.COMPLETED, 90, 1.0, {"val_loss": 0.5})
    chosen, baseline = scores(read, outcomes)
    assert list(chosen.values) == [None, None, *[0.5] * (len(read.seeds) - 2)]
    assert list(baseline.values) == [0.5] * len(read.seeds)


def test_a_script_has_no_test_set_here() -> None:
    """It keeps its own; a workload has one."""
    script = replace(STUDY, workload=Command("python train.py").spec())
    assert "a script keeps its own test set" in (why_none(script) or "")
    assert why_none(STUDY) is None


def test_studies_of_the_same_data_share_a_test_set() -> None:
    """Wherever a workload's file lies and whatever it is called; the hash alone says which data. Built-in workloads
    have their own halves of theirs."""
    names = ("/data/ann/net.py:Net", "/srv/net.py:Net", "nets.py:Larger", "package.net:Net")
    found = {data_of(replace(STUDY, facts=replace(STUDY.facts, name=name))) for name in names}
    assert found == {"@d"}
    assert data_of(STUDY) == "digits@d"
