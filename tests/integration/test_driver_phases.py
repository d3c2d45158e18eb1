"""What surrounds the search: the baseline before it, a design and the finals after it, budgets that a clock ends."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from lrsweep.errors import Interrupted
from lrsweep.records import Origin, Outcome, Purpose, Status, TrainingPlan, TrialState
from lrsweep.schedules import schedule
from lrsweep.selection import by_family
from lrsweep.study import Baseline, BudgetSpec, Objective, ResolvedStudy, SearchSpec, SelectionSpec
from lrsweep.sweep.events import Event
from lrsweep.sweep.exponents import FITTED_KEY
from lrsweep.sweep.phases import Phase
from lrsweep.sweep.stopping import Stop
from lrsweep.sweep.tally import Tally
from tests.scripted import Bench, End, ScriptedExecutor, Stays, completed, only_sgd, value_of
from tests.sweeps import a_record, a_study

BASELINE = Baseline(schedule("exponential"), 0.2, "sgd", settings={"momentum": 0.0, "weight_decay": 0.0})


def with_finals(study: ResolvedStudy, **changes: Any) -> ResolvedStudy:
    """Of two trials, with two fresh seeds each; the search is expected to take its four trials through both rungs."""
    return replace(study, total_steps=4 * (30 + 90) + 4 * 90, selection=SelectionSpec(finalists=2, seeds=2), **changes)


def finals_of(bench: Bench) -> list[Any]:
    return [row for row in bench.trainings() if row.purpose is Purpose.FINAL]


def test_finals_follow_the_search_and_the_search_does_not_hear_of_them() -> None:
    """The best of each of two families, at the full horizon and its own rate, with seeds that both share."""
    study = with_finals(a_study(families=("cosine", "linear"), optimizers=("sgd",), trials=12))
    bench = Bench(replace(study, budget=BudgetSpec(trials=12), total_steps=12 * 90))
    bench.drive()
    bench.assert_done(12)
    finals = finals_of(bench)
    by_trial = Counter(row.trial for row in finals)
    assert len(by_trial) == 2
    assert min(by_trial.values()) >= 2
    assert {(row.horizon, row.rate_scale, row.status) for row in finals} == {(90, 1.0, Status.COMPLETED)}
    seeds = {trial: {row.seed for row in finals if row.trial == trial} for trial in by_trial}
    assert len(set(map(frozenset, seeds.values()))) == 1
    assert not {row.seed for row in finals} & {row.seed for row in bench.trainings() if row not in finals}
    families = {bench.trials[number].params["family"] for number in by_trial}
    assert families == {"cosine", "linear"}
    assert any("finalists are trained" in sentence for sentence in bench.said)


@pytest.mark.parametrize("ended", range(1, 5))
def test_finals_that_were_left_are_finished_by_the_next_driver(ended: int) -> None:
    """Interrupted after so many of their four trainings: each is trained once, and none is added."""
    bench = Bench(with_finals(only_sgd(trials=4)))
    stop = Stop()
    done = 0

    def script(plan: TrainingPlan) -> End:
        nonlocal done
        if any(row.training_id == plan.training_id for row in finals_of(bench)):
            done += 1
            if done == ended:
                stop.signum = 15
                return Stays()
        return completed(plan)

    driver = bench.driver(ScriptedExecutor(script), stop=stop)
    with pytest.raises(Interrupted):
        driver.run()
    driver.queue_running_again(reason="Interrupted")
    planned = {row.training_id for row in finals_of(bench)}
    executor = bench.drive()
    assert {row.training_id for row in finals_of(bench)} == planned
    assert all(row.status is Status.COMPLETED for row in finals_of(bench))
    assert len(executor.begun) == len(planned) - ended + 1
    bench.assert_done(4)


def test_those_who_watch_see_the_finals() -> None:
    """Their phase, how many are left, and at the end who leads."""
    bench = Bench(with_finals(only_sgd(trials=4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
        bench.drive()
    phases = [seen.phase for seen in bench.seen]
    assert phases == sorted(phases, key=[Phase.SEARCH, Phase.FIT, Phase.FINALS].index)
    last = bench.seen[-1]
    assert last.phase is Phase.FINALS
    assert [each.left for each in last.finals] == [0, 0]
    assert last.finals[0].mean is not None
    assert last.finals[1].mean is not None
    assert last.finals[0].mean <= last.finals[1].mean


def test_a_design_is_trained_and_kept_for_the_next_sweep() -> None:
    """Five rates of the leader at two horizons; its best rate at the rung is the one that the script makes it."""

    def script(plan: TrainingPlan) -> End:
        best = 0.1 * (90 / plan.horizon) ** 0.5
        return completed(plan, float((plan.peak_lr / best - 1) ** 2))

    study = replace(only_sgd(trials=9), search=SearchSpec(fit_exponent=True), selection=SelectionSpec(finalists=0))
    bench = Bench(study)
    bench.drive(script)
    rows = [row for row in bench.trainings() if row.purpose is Purpose.FIT]
    assert Counter(row.horizon for row in rows) == {30: 5, 90: 5}
    assert {row.status for row in rows} == {Status.COMPLETED}
    fitted = bench.store.sweep(bench.sweep.sweep_id).settings[FITTED_KEY]
    assert fitted["sgd"]["exponent"] is not None or fitted["sgd"]["refused"]
    executor = bench.drive(script)
    assert executor.begun == []


def test_what_the_user_runs_today_is_trial_0_and_is_trained_to_the_end() -> None:
    """Beside the space the search is not told of it; it is paid from the budget, and goes on whatever its value."""
    bench = Bench(replace(only_sgd(trials=5), baseline=BASELINE))
    bench.drive(lambda plan: completed(plan, 9.0 if plan.schedule.family == "exponential" else None))
    bench.assert_done(5)
    first = bench.trials[0]
    assert (first.number, first.origin, first.state, first.value) == (0, Origin.BASELINE, TrialState.COMPLETE, 9.0)
    assert [trial.origin for trial in bench.trials[1:]] == [Origin.SEARCH] * 4
    assert [row.horizon for row in bench.trainings(0)] == [30, 90]
    bench.study = replace(bench.study, trials=6)
    bench.drive()
    assert [trial.origin for trial in bench.trials].count(Origin.BASELINE) == 1


def test_the_best_of_a_curve_is_its_value() -> None:
    """Halting, telling and the leader go by it; the metric after the last update stays beside it."""
    bench = Bench(replace(only_sgd(trials=2), objective=Objective("best")))
    executor = ScriptedExecutor(lambda plan: completed(plan, 0.75))
    executor.late = lambda plan: [
        a_record(
            *(plan.horizon, [], {plan.horizon: {"val_loss": 0.25}}), training_id=plan.training_id, attempt=plan.attempt
        )
    ]
    bench.driver(executor).run()
    assert {trial.value for trial in bench.trials} == {0.25}
    assert {(row.metrics["best_val_loss"], row.metrics["val_loss"]) for row in bench.trainings()} == {(0.25, 0.75)}


# ── budgets that are no number of trials ─────────────────────────────────────────────────────────────────────────────


def test_a_budget_in_steps_ends_the_search_where_its_share_is_spent() -> None:
    """Every trial is better than those before it and runs both rungs: fewer are asked than were expected."""
    study = replace(
        only_sgd(trials=40), budget=BudgetSpec(steps=2400), total_steps=2400, selection=SelectionSpec(share=0.5)
    )
    bench = Bench(replace(study, selection=SelectionSpec(share=0.5, finalists=2, seeds=2)))
    values = iter(range(1000, 0, -1))
    bench.drive(lambda plan: completed(plan, float(next(values))))
    asked = len(bench.trials)
    assert 10 <= asked <= 14
    spent = sum(row.steps for row in bench.trainings())
    assert 2400 - 2 * 90 <= spent <= 2400 + 2 * 90


def test_a_clock_ends_the_search_and_then_the_finals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its share is used up trials are asked, more than were guessed; what is left of the finals is stopped."""
    study = replace(
        only_sgd(trials=2),
        budget=BudgetSpec(wall_clock=1000.0),
        total_steps=10**6,
        selection=SelectionSpec(share=0.5, finalists=2, seeds=2),
    )
    bench = Bench(study)
    now = time.monotonic()
    clock = [now]
    monkeypatch.setattr("lrsweep.sweep.driver.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(bench.store, "renew_lease", lambda *_, **__: None)

    def script(plan: TrainingPlan) -> End:
        clock[0] += 150.0 if any(row.training_id == plan.training_id for row in finals_of(bench)) else 50.0
        return completed(plan)

    class Stops(ScriptedExecutor):
        def stop(self, training_id: str) -> None:
            plan = next(plan for plan in self._waiting if plan.training_id == training_id)
            self._script = lambda one: Outcome(Status.STOPPED, 10, 0.1, {}) if one is plan else completed(one)

    bench.driver(Stops(script)).run()
    assert all(trial.is_told for trial in bench.trials)
    assert 4 < len(bench.trials) < 20
    statuses = Counter(row.status for row in finals_of(bench))
    assert statuses[Status.COMPLETED] > 0
    assert statuses[Status.STOPPED] > 0
    assert set(statuses) == {Status.COMPLETED, Status.STOPPED}


# ── what is told, and counted ────────────────────────────────────────────────────────────────────────────────────────


def test_programs_hear_of_every_trial_and_training_once() -> None:
    """In the order of the commits, after the word that the sweep has begun."""
    bench = Bench(a_study(families=("cosine", "linear"), optimizers=("sgd",), trials=8))
    heard: list[Event] = []
    driver = bench.driver(ScriptedExecutor(completed))
    driver._tell = heard.append
    driver.run()
    kinds = Counter(event["event"] for event in heard)
    assert heard[0]["event"] == "started"
    assert (kinds["trial"], kinds["training"]) == (8, len(bench.trainings()))
    assert {event["trial"]: event["value"] for event in heard if event["event"] == "trial"} == {
        trial.number: trial.value for trial in bench.trials
    }
    bests = {event["family"]: event["value"] for event in heard if event["event"] == "family"}
    assert bests == {row.family: row.best.value for row in by_family(bench.trials) if row.best}


def test_counts_that_run_agree_with_those_made_at_once() -> None:
    """Over all kinds of ends, in the order in which they came."""
    ends = {0: None, 1: Outcome(Status.DIVERGED, 10, 0.1, {}), 2: Outcome(Status.FAILED, 10, 0.1, {}, "no")}
    number = iter(range(10_000))

    def script(plan: TrainingPlan) -> End:
        end = ends.get(next(number) % 9)
        return end or completed(plan, value_of(plan))

    bench = Bench(a_study(trials=60))
    bench.drive(script)
    tally = Tally("minimize")
    for trial in bench.trials:
        tally.put_trial(replace(trial, state=TrialState.RUNNING, value=None))
    for trial in reversed(bench.trials):
        tally.put_trial(trial)
        tally.put_trial(trial)
    for row in bench.trainings():
        tally.put_training(replace(row, status=Status.RUNNING, steps=0))
        tally.put_training(row)
    assert tally.families == by_family(bench.trials)
    assert (tally.asked, tally.told, tally.ended) == (60, 60, len(bench.trainings()))
    assert tally.steps == tally.search_steps == sum(row.steps for row in bench.trainings())
