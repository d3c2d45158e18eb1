"""A larger budget continues a sweep: what was removed of it stays paid, what a clock has stopped is trained again."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from lrsweep.records import Origin, Outcome, Purpose, Status, StudyRow, SweepStatus, TrainingPlan, TrainingRow
from lrsweep.schedules import schedule
from lrsweep.store.rules import Removed
from lrsweep.study import Baseline, BudgetSpec, ResolvedStudy, SearchSpec, SelectionSpec
from lrsweep.sweep.exponents import FITTED_KEY
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.removing import Kept, old_results
from lrsweep.sweep.run import _result
from tests.history import assert_history
from tests.scripted import Bench, End, ScriptedExecutor, completed, only_sgd

BASELINE = Baseline(schedule("exponential"), 0.2, "sgd", settings={"momentum": 0.0, "weight_decay": 0.0})
ALL: tuple[Kept, ...] = ("champions", "finalists")


def in_steps(steps: int, **changes: object) -> ResolvedStudy:
    """Half of the updates are the search's; both finalists get two fresh seeds or more."""
    return replace(
        only_sgd(trials=1000),
        budget=BudgetSpec(steps=steps),
        total_steps=steps,
        selection=SelectionSpec(share=0.5, finalists=2, seeds=2),
        **changes,  # type: ignore[arg-type]
    )


def better_and_better() -> Callable[[TrainingPlan], End]:
    """Every trial is trained at both rungs, and the last is the best."""
    values = count(1000, -1)
    return lambda plan: completed(plan, float(next(values)))


def prune(bench: Bench) -> None:
    """The finished sweep as ``lrsweep prune`` leaves it in the store."""
    store, study = bench.store, bench.study
    store.register_study(bench.lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
    store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    store.release_lease(bench.lease)
    [removal] = old_results(store, before=math.inf, keep=ALL)
    bench.lease = store.acquire_lease(study.name, "a test", seconds=600)
    store.remove_trials(bench.lease, removal.sweep.sweep_id, removal.trials)
    bench.sweep = store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.RUNNING)


def steps_of(rows: list[TrainingRow], *purposes: Purpose) -> int:
    return sum(row.steps for row in rows if row.purpose in purposes)


# ── after a removal ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_updates_of_removed_trainings_stay_spent() -> None:
    """Of 2,400 updates the search had 1,200. With 4,800 it has another 1,200, though its old rows are gone."""
    bench = Bench(in_steps(2400))
    bench.drive(better_and_better())
    searched = steps_of(bench.trainings(), Purpose.SEARCH)
    prune(bench)
    left = steps_of(bench.trainings(), Purpose.SEARCH)
    assert left < searched / 2
    bench.study = in_steps(4800)
    bench.drive(better_and_better())
    rows = bench.trainings()
    assert Removed.of(bench.sweep).steps == {Purpose.SEARCH: searched - left}
    assert 2400 - 120 < steps_of(rows, Purpose.SEARCH) + searched - left <= 2400 + 2 * 120
    assert 4800 - 2 * 90 <= steps_of(rows, *Purpose) + searched - left <= 4800 + 2 * 120


def test_updates_of_removed_finals_are_not_there_for_others() -> None:
    """The second of two is gone: the seeds that it had are paid from the larger budget all the same."""
    bench = Bench(in_steps(2400))
    bench.drive(better_and_better())
    second = next(row.trial for row in bench.trainings() if row.purpose is Purpose.FINAL)
    bench.store.remove_trials(bench.lease, bench.sweep.sweep_id, [second])
    bench.sweep = bench.store.sweep(bench.sweep.sweep_id)
    removed = Removed.of(bench.sweep)
    assert removed.steps[Purpose.FINAL] > 0
    bench.study = in_steps(4800)
    bench.drive(better_and_better())
    assert steps_of(bench.trainings(), *Purpose) + removed.all_steps <= 4800 + 2 * 120


def test_the_baseline_stays_where_the_sweep_does() -> None:
    """It was halted at no rung, was best at none and is no finalist here: without it a larger budget would pay for
    another one."""
    study = replace(only_sgd(trials=6), baseline=BASELINE, selection=SelectionSpec(finalists=0))
    bench = Bench(study)
    bench.drive(lambda plan: completed(plan, 9.0 if plan.schedule.family == "exponential" else None))
    prune(bench)
    assert bench.trials[0].origin is Origin.BASELINE
    bench.study = replace(study, trials=8)
    executor = bench.drive()
    assert [trial.origin for trial in bench.trials].count(Origin.BASELINE) == 1
    assert "exponential" not in {plan.schedule.family for plan in executor.begun}
    assert Removed.of(bench.sweep).trials + len(bench.trials) == 8


def test_a_baseline_does_not_keep_a_sweep() -> None:
    """Where nothing else is to stay, all of it goes."""
    bench = Bench(replace(only_sgd(trials=3), baseline=BASELINE, selection=SelectionSpec(finalists=0)))
    bench.drive()
    store, study = bench.store, bench.study
    store.register_study(bench.lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
    store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    store.release_lease(bench.lease)
    [removal] = old_results(store, before=math.inf, keep=())
    assert (removal.trials, removal.kept) == ((0, 1, 2), ())


def test_those_who_watch_see_removed_trials_counted() -> None:
    """As told, and as paid: eight of eight at the end, and the price of all updates."""
    bench = Bench(replace(only_sgd(trials=6), selection=SelectionSpec(finalists=0)))
    bench.drive()
    spent = steps_of(bench.trainings(), *Purpose)
    prune(bench)
    bench.study = replace(bench.study, trials=8)
    executor = ScriptedExecutor(completed)
    driver = bench.driver(executor)
    driver.run()
    driver.show()
    last = bench.seen[-1]
    assert (last.trials_told, last.trials_wanted) == (8, 8)
    spent += sum(plan.horizon for plan in executor.begun)
    assert last.cost is not None
    assert last.cost.steps == spent
    nowhere = Homes(Path("nowhere"), "", "", "", None)
    result = _result(bench.store, bench.study, bench.sweep, nowhere, startup_seconds=0.0)
    assert result.cost is not None
    assert result.cost.steps == spent


def test_a_design_that_was_removed_is_not_made_again() -> None:
    """What it has found stays with the sweep; what is left of its trainings would say less."""
    study = replace(only_sgd(trials=9), search=SearchSpec(fit_exponent=True), selection=SelectionSpec(finalists=0))
    bench = Bench(study)
    bench.drive(lambda plan: completed(plan, float((plan.peak_lr / 0.1 - 1) ** 2)))
    fitted = bench.store.sweep(bench.sweep.sweep_id).settings[FITTED_KEY]
    [designed] = {row.trial for row in bench.trainings() if row.purpose is Purpose.FIT}
    bench.store.remove_trials(bench.lease, bench.sweep.sweep_id, [designed])
    bench.sweep = bench.store.sweep(bench.sweep.sweep_id)
    bench.study = replace(study, trials=11)
    bench.drive()
    assert not [row for row in bench.trainings() if row.purpose is Purpose.FIT]
    assert bench.store.sweep(bench.sweep.sweep_id).settings[FITTED_KEY] == fitted


# ── after a clock ────────────────────────────────────────────────────────────────────────────────────────────────────


class Clocked:
    """Drivers of one sweep whose trainings take 50 s each in the search and 150 s in finals or a design, by a clock
    of the test's own. What the executor is told to stop ends after ten steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, study: ResolvedStudy) -> None:
        self.bench = Bench(study)
        self.now = time.monotonic()
        monkeypatch.setattr("lrsweep.sweep.driver.time.monotonic", lambda: self.now)
        monkeypatch.setattr(self.bench.store, "renew_lease", lambda *_, **__: None)

    def run(self, wall_clock: float) -> ScriptedExecutor:
        bench = self.bench
        bench.study = replace(bench.study, budget=BudgetSpec(wall_clock=wall_clock))
        stopped: set[str] = set()

        def script(plan: TrainingPlan) -> End:
            if plan.training_id in stopped:
                return Outcome(Status.STOPPED, 10, 0.1, {})
            self.now += 50.0 if bench.store.training(plan.training_id).purpose is Purpose.SEARCH else 150.0
            return replace(completed(plan), seconds=plan.horizon / 10)

        class Stops(ScriptedExecutor):
            def stop(self, training_id: str) -> None:
                stopped.add(training_id)

        executor = Stops(script)
        driver = bench.driver(executor)
        driver.run()
        bench.sweep = driver.count_seconds()
        return executor

    def rows(self, purpose: Purpose) -> list[TrainingRow]:
        return [row for row in self.bench.trainings() if row.purpose is purpose]


def stopped_in(rows: list[TrainingRow]) -> set[str]:
    return {row.training_id for row in rows if row.status is Status.STOPPED}


def test_finals_that_a_clock_has_stopped_are_trained_to_their_end_by_a_larger_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that ran, and those that had not begun; the ones that had ended stay as they are, and so do the seeds."""
    selection = SelectionSpec(share=0.5, finalists=2, seeds=2)
    clocked = Clocked(monkeypatch, replace(only_sgd(trials=2), total_steps=10**6, selection=selection))
    bench = clocked.bench
    clocked.run(1000.0)
    before = clocked.rows(Purpose.FINAL)
    stopped = stopped_in(before)
    assert stopped
    assert len(stopped) < len(before)
    # the search's share of this clock is used up by what the finals have taken
    executor = clocked.run(1900.0)
    begun = Counter(plan.training_id for plan in executor.begun)
    assert stopped <= set(begun)
    rows = {row.training_id: row for row in clocked.rows(Purpose.FINAL)}
    assert {rows[each].status for each in stopped} == {Status.COMPLETED}
    assert {rows[each].attempt for each in stopped} == {2}
    assert all(rows[row.training_id] == row for row in before if row.training_id not in stopped)
    assert_history(bench.store, bench.study.name)


def test_time_that_is_too_short_for_finals_goes_to_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of 1,000 s are some 600 updates, and two finalists with four seeds would take 720."""
    selection = SelectionSpec(share=0.5, finalists=2, seeds=4)
    clocked = Clocked(monkeypatch, replace(only_sgd(trials=2), total_steps=10**6, selection=selection))
    began = clocked.now
    clocked.run(1000.0)
    assert clocked.now - began >= 1000.0
    assert clocked.rows(Purpose.FINAL) == []
    assert all(trial.is_told for trial in clocked.bench.trials)
    assert [sentence for sentence in clocked.bench.said if sentence.startswith("no finals: the rest of the time")]
    # with half as many seeds there is room for them, and the search leaves it
    roomy = Clocked(monkeypatch, replace(clocked.bench.study, selection=replace(selection, seeds=2)))
    roomy.run(1000.0)
    assert len(roomy.bench.trials) < len(clocked.bench.trials)
    assert roomy.rows(Purpose.FINAL)


def test_a_design_that_a_clock_has_stopped_is_finished_by_a_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the trainings that it had; what it says is kept only then."""
    search, selection = SearchSpec(fit_exponent=True), SelectionSpec(finalists=0)
    study = replace(only_sgd(trials=2), total_steps=10**6, search=search, selection=selection)
    clocked = Clocked(monkeypatch, study)
    monkeypatch.setattr("lrsweep.sweep.phases._kept", lambda _: 0.5)
    clocked.run(2100.0)
    stopped = stopped_in(clocked.rows(Purpose.FIT))
    assert stopped
    assert len(clocked.rows(Purpose.FIT)) == 10
    clocked.run(5000.0)
    assert stopped_in(clocked.rows(Purpose.FIT)) == set()
    assert len(clocked.rows(Purpose.FIT)) == 10
    assert FITTED_KEY in clocked.bench.store.sweep(clocked.bench.sweep.sweep_id).settings
