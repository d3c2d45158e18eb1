"""Failures in a sweep: those of the machine are tried again, those of the code are not, and too many end it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from lrsweep.errors import SweepFailed
from lrsweep.records import Outcome, Purpose, Status, SweepStatus, TrainingPlan, TrialState
from lrsweep.schedules import Search
from lrsweep.study import RunSpec, SelectionSpec
from lrsweep.sweep.beginning import is_over, trials_left
from lrsweep.sweep.failures import STOPPED_KEY, to_try_again, try_again
from tests.history import assert_history
from tests.scripted import Bench, End, Script, completed, failed, in_turn, only_sgd
from tests.sweeps import a_study

FULL = "Traceback …\n  save()\nOSError: [Errno 28] No space left on device"


def disk_is_full(_: TrainingPlan) -> Outcome:
    return Outcome(Status.FAILED, 10, 0.1, {}, FULL)


def test_a_fault_of_the_machine_is_tried_again_and_leaves_no_failure() -> None:
    """Twice it fails and the third attempt completes; the history says why, and the trial is told once."""
    bench = Bench(only_sgd(trials=1))
    bench.drive(in_turn(disk_is_full, disk_is_full, completed))
    bench.assert_done(1)
    first, _ = bench.trainings()
    assert (first.status, first.attempt) == (Status.COMPLETED, 3)
    again = [event.data["reason"] for event in bench.store.events("quick") if event.kind == "training_queued_again"]
    assert again == ["disk, network or handles: OSError: [Errno 28] No space left on device"] * 2
    assert any("trial 0 is trained again after a fault of the machine" in sentence for sentence in bench.said)


def test_a_fault_that_stays_fails_the_training_after_its_third_attempt() -> None:
    """And then the sweep, for all of its trainings meet it."""
    bench = Bench(only_sgd(trials=30))
    with pytest.raises(SweepFailed, match="No space left on device"):
        bench.drive(disk_is_full)
    statuses = Counter(row.status for row in bench.trainings())
    assert statuses[Status.FAILED] == 5
    assert {row.attempt for row in bench.trainings() if row.status is Status.FAILED} == {3}


def test_a_fault_of_the_code_is_not_tried_again() -> None:
    """Its first attempt is its last."""
    bench = Bench(only_sgd(trials=3))
    bench.drive(in_turn(failed, completed))
    assert Counter(row.status for row in bench.trainings())[Status.FAILED] == 1
    assert {row.attempt for row in bench.trainings()} == {1}


@pytest.mark.parametrize("most", [1, 3])
def test_a_study_says_how_many_failures_in_a_row_stop_it(most: int) -> None:
    """The traceback stands in the message once."""
    bench = Bench(replace(only_sgd(trials=30), run=RunSpec(failures_that_stop=most)))
    with pytest.raises(SweepFailed) as caught:
        bench.drive(in_turn(completed, failed))
    assert str(caught.value).count("RuntimeError: no data") == 1
    assert Counter(row.status for row in bench.trainings())[Status.FAILED] == most


def test_a_point_that_is_no_schedule_fails_and_the_sweep_goes_on() -> None:
    """A study that an earlier release took can draw a warm-up and a hold that are longer than the whole."""
    study = a_study(trials=12, families=("cosine",), warmup=(0.3, 0.6), settings={"cosine": {"hold": Search(0.3, 0.6)}})
    bench = Bench(study)
    bench.drive()
    bench.assert_done(12)
    failed = [row for row in bench.trainings() if row.status is Status.FAILED]
    assert failed
    assert all("warmup" in str(row.error) and "hold" in str(row.error) for row in failed)
    assert {row.status for row in bench.trainings()} == {Status.FAILED, Status.COMPLETED}


# ── a sweep that failures stopped, and whose cause is mended ─────────────────────────────────────────────────────────


def stopped_by_failures(bench: Bench, script: Script) -> str:
    """As ``run_sweep`` leaves it; what the user reads."""
    with pytest.raises(SweepFailed) as caught:
        bench.drive(script)
    for row in bench.trainings():
        if row.status is Status.RUNNING:
            bench.store.queue_again(bench.lease, row.training_id, reason="the sweep was stopped")
    settings = {STOPPED_KEY: True}
    bench.sweep = bench.store.update_sweep(
        bench.lease, bench.sweep.sweep_id, status=SweepStatus.STOPPED, settings=settings
    )
    return str(caught.value)


def gone_on(bench: Bench, script: Script = completed) -> int:
    """The next driver, as ``run_sweep`` leads it to the end: how many trainings it tries again."""
    bench.sweep = bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.RUNNING)
    found = to_try_again(bench.store, bench.sweep)
    bench.sweep = try_again(bench.store, bench.lease, bench.sweep, found)
    bench.drive(script)
    bench.sweep = bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    return len(found)


def test_what_failures_have_stopped_is_tried_again_and_costs_none_of_the_budget() -> None:
    """Three trainings succeed, then five fail; with the cause mended each trial has a value, at the point it had."""
    bench = Bench(only_sgd(trials=12))
    text = stopped_by_failures(bench, in_turn(completed, completed, completed, failed))
    assert "the same command then goes on, and tries again what failed" in text
    before = {row.number: row.params for row in bench.trials if row.state is TrialState.FAILED}
    failures = {row.training_id for row in bench.trainings() if row.status is Status.FAILED}
    assert len(before) == len(failures) == 5
    assert trials_left(bench.store, bench.study, bench.sweep) == 12 - sum(row.is_told for row in bench.trials) + 5
    assert gone_on(bench) == 5
    rows = bench.trials
    assert len(rows) == 12
    assert {row.state for row in rows} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(row.value is not None for row in rows)
    assert {row.number: row.params for row in rows if row.number in before} == before
    assert {row.training_id for row in bench.trainings() if row.attempt == 2} >= failures
    assert_history(bench.store, bench.study.name)


def test_a_sweep_in_which_all_has_failed_is_tried_again_whole() -> None:
    """Fewer trials than failures that stop it: its budget is used up by failures, and it is not over."""
    bench = Bench(only_sgd(trials=3))
    assert "the same command then tries all of them again" in stopped_by_failures(bench, failed)
    assert not is_over(bench.store, bench.sweep, bench.study)
    assert gone_on(bench) == 3
    assert all(row.value is not None for row in bench.trials)
    assert_history(bench.store, bench.study.name)


def test_finals_that_failures_have_stopped_are_tried_again() -> None:
    """They have fresh seeds of their own, and their trials keep what the search was told."""
    study = replace(only_sgd(trials=6), total_steps=2000, selection=SelectionSpec(finalists=2, seeds=3))
    bench, undisturbed = Bench(study), Bench(study)
    undisturbed.drive()
    wanted = {row.training_id for row in undisturbed.trainings() if row.purpose is Purpose.FINAL}

    def fails_in_the_finals(plan: TrainingPlan) -> End:
        return failed(plan) if plan.training_id in wanted else completed(plan)

    stopped_by_failures(bench, fails_in_the_finals)
    assert not is_over(bench.store, bench.sweep, study)
    told_before = {row.number: row.value for row in bench.trials if row.state is TrialState.COMPLETE}
    assert gone_on(bench) == 5
    finals = {row.training_id: row.status for row in bench.trainings() if row.purpose is Purpose.FINAL}
    assert finals == dict.fromkeys(wanted, Status.COMPLETED)
    assert {row.number: row.value for row in bench.trials if row.number in told_before} == told_before
    assert_history(bench.store, study.name)


def test_failures_that_stopped_no_sweep_are_results() -> None:
    """A finished sweep with some, one that was interrupted, and one that has tried them again before."""
    bench = Bench(only_sgd(trials=8))
    bench.drive(in_turn(failed, failed, completed))
    assert to_try_again(bench.store, bench.sweep) == []
    bench = Bench(only_sgd(trials=12))
    stopped_by_failures(bench, failed)
    assert gone_on(bench, in_turn(completed, failed, completed)) == 5
    assert Counter(row.state for row in bench.trials)[TrialState.FAILED] == 1
    assert to_try_again(bench.store, bench.sweep) == []
    assert is_over(bench.store, bench.sweep, bench.study)


def test_what_fails_a_second_time_is_a_result_and_the_sweep_goes_on_past_it() -> None:
    """Five points fail whatever is mended: the second run meets them again, and the third asks for others."""
    bench = Bench(only_sgd(trials=12))
    text = stopped_by_failures(bench, in_turn(completed, failed))
    assert "Where the points themselves fail, raise run.failures_that_stop (now 5)" in text
    bad = {row.training_id for row in bench.trainings() if row.status is Status.FAILED}

    def by_itself(plan: TrainingPlan) -> End:
        return failed(plan) if plan.training_id in bad else completed(plan)

    bench.sweep = bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.RUNNING)
    bench.sweep = try_again(bench.store, bench.lease, bench.sweep, to_try_again(bench.store, bench.sweep))
    stopped_by_failures(bench, by_itself)
    assert trials_left(bench.store, bench.study, bench.sweep) == 12 - sum(row.is_told for row in bench.trials)
    assert gone_on(bench, by_itself) == 0
    assert Counter(row.state for row in bench.trials)[TrialState.FAILED] == 5
    assert {row.training_id for row in bench.trainings() if row.status is Status.FAILED} == bad
    assert to_try_again(bench.store, bench.sweep) == []
    assert is_over(bench.store, bench.sweep, bench.study)
    assert_history(bench.store, bench.study.name)


def test_a_sweep_in_which_all_has_failed_twice_is_not_promised_a_third_time() -> None:
    """Its budget is used up, and there is nothing that the same command would do."""
    bench = Bench(only_sgd(trials=3))
    stopped_by_failures(bench, failed)
    bench.sweep = bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.RUNNING)
    bench.sweep = try_again(bench.store, bench.lease, bench.sweep, to_try_again(bench.store, bench.sweep))
    text = stopped_by_failures(bench, failed)
    assert "Each of them has been tried again before: mend the cause, and start another sweep with `--new`." in text


def test_a_driver_that_dies_before_it_notes_that_all_has_failed_leaves_it_to_be_tried_again() -> None:
    """The rows say it: nothing waits, and nothing but failures has ended."""
    bench = Bench(only_sgd(trials=3))
    with pytest.raises(SweepFailed):
        bench.drive(failed)
    assert not bench.sweep.settings.get(STOPPED_KEY)
    assert gone_on(bench) == 3
    assert all(row.value is not None for row in bench.trials)
