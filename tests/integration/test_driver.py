"""Whole sweeps in milliseconds: the real driver, search and store; an executor whose trainings end by a script."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrsweep.errors import DeadlinePassed, Interrupted, SweepFailed
from lrsweep.executors.messages import Lost
from lrsweep.records import Curve, EngineSettings, Outcome, Record, Status, TrainingPlan, TrialState
from lrsweep.scripts.command import TOO_LATE
from lrsweep.study.extra import Choices
from lrsweep.sweep.progress import Progress
from lrsweep.sweep.stopping import Stop
from tests.scripted import (
    Bench,
    Dies,
    End,
    ManyAtOnce,
    ScriptedExecutor,
    Stays,
    completed,
    diverged,
    failed,
    in_turn,
    late,
    only_sgd,
)
from tests.sweeps import a_record, a_study

# ── the budget and the rungs ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_sweep_uses_its_budget_and_no_more() -> None:
    """Sixty trials, numbered from 0; each training was executed once; the executor is closed."""
    bench = Bench(a_study(trials=60))
    executor = bench.drive()
    bench.assert_done(60)
    assert [trial.number for trial in bench.trials] == list(range(60))
    assert {row.attempt for row in bench.trainings()} == {1}
    assert len(executor.begun) == len(bench.trainings())
    assert sorted(number for number in bench.mirror.told if number is not None) == list(range(60))
    assert executor.is_closed


def test_every_complete_trial_has_trained_both_rungs() -> None:
    """30 steps at a raised rate, then 90 at its own; the value is the one of the full horizon."""
    bench = Bench(a_study(trials=20))
    bench.drive()
    complete = [trial for trial in bench.trials if trial.state is TrialState.COMPLETE]
    assert len(complete) >= 8
    for trial in complete:
        first, full = bench.trainings(trial.number)
        assert (first.rung, first.horizon, full.rung, full.horizon) == (0, 30, 1, 90)
        assert first.rate_scale > 1.0 == full.rate_scale
        assert first.seed == full.seed
        assert trial.value == full.metrics["val_loss"]


def test_trials_that_fall_behind_are_halted_at_their_rung() -> None:
    """Each is worse than all before it: but for the first, one of ten goes on to calibrate."""
    bench = Bench(only_sgd(trials=40))
    losses = iter(np.arange(1, 200) / 8)
    bench.drive(lambda plan: completed(plan, float(next(losses))))
    states = [trial.state for trial in bench.trials]
    assert states[0] is TrialState.COMPLETE
    assert [states[turn : turn + 10].count(TrialState.COMPLETE) for turn in (10, 20, 30)] == [1, 1, 1]
    for trial in bench.trials:
        rows = bench.trainings(trial.number)
        assert len(rows) == (2 if trial.state is TrialState.COMPLETE else 1)
        assert trial.value == rows[-1].metrics["val_loss"]


def test_the_whole_curve_is_committed_with_the_result() -> None:
    """The rates in the store are the ones of the plan, at the scale of the rung."""
    bench = Bench(only_sgd(trials=1))
    executor = bench.drive()
    rung, full = bench.trainings()
    plan = executor.begun[0]
    curve = bench.store.curve(rung.training_id)
    assert curve is not None
    np.testing.assert_array_equal(curve.rates, plan.schedule.rates(30, plan.peak_lr))
    peak = bench.trials[0].params["cosine.sgd.peak_lr"]
    assert plan.peak_lr == pytest.approx(3**0.5 * peak)
    assert executor.begun[1].peak_lr == peak
    assert full.steps == 90


def test_the_best_trial_of_a_reactive_family_comes_with_what_it_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who watch can replay its rates; its curve is read when it takes the lead, not at every look."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", 0.0)
    bench = Bench(a_study(families=("plateau", "cosine"), optimizers=("sgd",), trials=12))
    read: list[str] = []
    curve_of = bench.store.curve

    def counted(training_id: str) -> Curve | None:
        read.append(training_id)
        return curve_of(training_id)

    monkeypatch.setattr(bench.store, "curve", counted)
    # the third trial, a plateau, leads from its end on; before it the first one does, a plateau as well
    losses = {0: 0.5, 1: 0.75, 2: 0.25}
    bench.drive(lambda plan: completed(plan, losses.get(number_of(plan, bench), 1.0)))
    leaders = [seen.best for seen in bench.seen if seen.best is not None]
    assert {(best.trial, best.family, tuple(best.heard.items())) for best in leaders} == {
        (0, "plateau", ((90, 0.5),)),
        (2, "plateau", ((90, 0.25),)),
    }
    assert len(leaders) > 4
    assert len(read) == 2


def test_what_a_script_reported_is_heard_by_the_updates_done() -> None:
    """Not before the first update, and not where it reported other metrics alone; no NaN in what programs read."""
    bench = Bench(a_study(families=("plateau",), optimizers=("sgd",), trials=1))
    executor = ScriptedExecutor(lambda plan: completed(plan, 0.5))
    reported = {0: {"val_loss": 9.0}, 1: {"val_loss": 2.0}, 2: {"val_loss": 1.0}, 40: {"val_loss": float("nan")}}
    executor.late = lambda plan: [
        a_record(0, [0.1] * plan.horizon, reported, training_id=plan.training_id, attempt=plan.attempt)
    ]
    driver = bench.driver(executor)
    driver.run()
    driver.show()
    best = bench.seen[-1].best
    assert best is not None
    assert best.heard == {1: 2.0, 2: 1.0, 90: 0.5}
    written = json.loads(json.dumps(best.to_json(), allow_nan=False))
    assert written["heard"] == {"1": 2.0, "2": 1.0, "90": 0.5}


def test_the_best_trial_of_a_time_driven_family_needs_no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rates are known from its settings; nothing is read for them."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", 0.0)
    bench = Bench(only_sgd(trials=3))
    monkeypatch.setattr(bench.store, "curve", None)
    bench.drive()
    assert bench.seen[-1].best is not None
    assert bench.seen[-1].best.heard == {}


def number_of(plan: TrainingPlan, bench: Bench) -> int:
    return next(row.trial for row in bench.trainings() if row.training_id == plan.training_id)


def test_a_larger_budget_continues_the_sweep() -> None:
    """Six trials, then nine: three more, and nothing is trained twice."""
    bench = Bench(a_study(trials=6))
    first = bench.drive()
    bench.study = a_study(trials=9)
    second = bench.drive()
    bench.assert_done(9)
    trained = [plan.training_id for plan in first.begun + second.begun]
    assert sorted(trained) == sorted(row.training_id for row in bench.trainings())
    assert bench.drive().begun == []


def test_earlier_sweeps_of_the_generation_are_history_outside_the_budget() -> None:
    """A second sweep of ten trials asks for ten, and numbers them on: theirs are its rivals."""
    bench = Bench(only_sgd(trials=10))
    bench.drive(lambda plan: completed(plan, 0.25))
    bench.begin_sweep("sweep-2")
    bench.drive(lambda plan: completed(plan, 0.5))
    bench.assert_done(10)
    assert [trial.number for trial in bench.trials] == list(range(10, 20))
    assert sum(trial.state is TrialState.PRUNED for trial in bench.trials) >= 6


# ── divergence ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_divergence_at_the_raised_rate_is_repeated_at_the_trials_own() -> None:
    """√3 times the peak was too much: the same rung at the peak itself, then the full horizon."""
    bench = Bench(only_sgd(trials=1))
    executor = bench.drive(in_turn(diverged, completed))
    raised, own, full = executor.begun
    peak = bench.trials[0].params["cosine.sgd.peak_lr"]
    assert raised.peak_lr == pytest.approx(3**0.5 * peak)
    assert own.peak_lr == full.peak_lr == peak
    assert (raised.horizon, own.horizon, full.horizon) == (30, 30, 90)
    statuses = [row.status for row in bench.trainings()]
    assert statuses == [Status.DIVERGED, Status.COMPLETED, Status.COMPLETED]
    assert bench.trials[0].state is TrialState.COMPLETE


def test_a_divergence_at_its_own_rate_prunes_the_trial() -> None:
    """Two trainings of one rung, no value; the sweep goes on with the rest of its budget."""
    bench = Bench(only_sgd(trials=3))
    bench.drive(in_turn(diverged, diverged, diverged, diverged, completed))
    bench.assert_done(3)
    assert [(trial.state, trial.value) for trial in bench.trials[:2]] == [(TrialState.PRUNED, None)] * 2
    assert [row.rate_scale for row in bench.trainings(0)] == [3**0.5, 1.0]
    assert bench.trials[2].state is TrialState.COMPLETE


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_five_failures_in_a_row_stop_the_sweep() -> None:
    """Exit code 70; the text has the last error and says what to do; the budget that is left can be used later."""
    bench = Bench(a_study(trials=12))
    with pytest.raises(SweepFailed, match=r"(?s)5 trainings in a row failed.*RuntimeError: no data.*same command") as e:
        bench.drive(in_turn(completed, *[failed] * 9))
    assert e.value.exit_code == 70
    assert sum(row.status is Status.FAILED for row in bench.trainings()) == 5
    bench.drive()
    bench.assert_done(12)


def too_late(plan: TrainingPlan) -> End:
    if not plan.schedule.needs_metric:
        return completed(plan)
    return Outcome(
        Status.FAILED, plan.horizon, 0.5, {}, f"it reacts, {TOO_LATE}. Report it several times\nThe script wrote: …"
    )


def test_a_script_that_reports_too_late_is_asked_for_other_families() -> None:
    """Two reactive trials are in flight when the first is refused, and no more are drawn; it is said once. A next
    driver asks again, since the script may have been mended."""
    bench = Bench(a_study(families=("plateau", "greedy", "slope", "cosine", "linear"), optimizers=("sgd",), trials=40))
    bench.drive(too_late)
    bench.assert_done(40)
    assert [trial.number for trial in bench.trials if trial.state is TrialState.FAILED] == [0, 1]
    [said] = bench.said
    assert said.startswith("the script reports val_loss too late for schedules that react to it: from here on ")
    bench.study = replace(bench.study, trials=80)
    bench.drive()
    assert any(trial.params["family"] in ("plateau", "greedy", "slope") for trial in bench.trials[40:])


def test_trainings_that_fail_by_a_late_report_are_no_failures_in_a_row() -> None:
    """Sixteen at a time are in flight, and the first eight are reactive: no reason to stop."""
    families = ("plateau", "greedy", "slope", "threshold", "cosine")
    bench = Bench(a_study(families=families, optimizers=("sgd",), trials=96))
    bench.driver(ManyAtOnce(too_late)).run()
    bench.assert_done(96)
    assert sum(trial.state is TrialState.FAILED for trial in bench.trials) > 5
    assert len(bench.said) == 1


def test_where_all_families_react_a_late_report_stops_the_sweep() -> None:
    """There is nothing else to draw; the reason is the error."""
    bench = Bench(a_study(families=("plateau", "greedy"), optimizers=("sgd",), trials=12))
    with pytest.raises(SweepFailed, match=TOO_LATE):
        bench.drive(too_late)
    assert len(bench.trials) < 12


def test_four_failures_in_a_row_do_not_stop_it() -> None:
    """A training that ends otherwise, even by diverging, begins the count anew."""
    bench = Bench(only_sgd(trials=12))
    bench.drive(in_turn(*[failed] * 4, completed, *[failed] * 4, diverged, diverged, completed))
    bench.assert_done(12)
    assert sum(trial.state is TrialState.FAILED for trial in bench.trials) == 8


def test_a_sweep_in_which_every_training_failed_has_failed() -> None:
    """Four trials are too few for five failures in a row; exit code 70 all the same."""
    bench = Bench(a_study(trials=4))
    with pytest.raises(SweepFailed, match=r"(?s)every training failed \(4 of 4\).*no data") as e:
        bench.drive(failed)
    assert e.value.exit_code == 70
    with pytest.raises(SweepFailed, match=r"earlier, and the budget is used up: nothing was trained now \(4 of 4\)"):
        bench.drive(completed)


# ── while it runs ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_long_curve_is_committed_before_its_training_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten of 30 steps are there while it runs, and the mirror is woken for them."""
    monkeypatch.setattr("lrsweep.sweep.driver.COMMIT_CURVES_EVERY", -1.0)
    bench = Bench(only_sgd(trials=1))
    stop = Stop()
    with pytest.raises(DeadlinePassed):
        bench.drive(late(stop), stop=stop)
    [row] = bench.trainings()
    curve = bench.store.curve(row.training_id)
    assert curve is not None
    assert (row.status, curve.steps) == (Status.RUNNING, 10)
    assert None in bench.mirror.told


def test_those_who_watch_are_shown_how_things_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told trials grow to the budget; the best is the smallest value at the full horizon, ready to be used."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    bench = Bench(a_study(trials=20))
    bench.mirror.behind, bench.mirror.outage = 4, "no answer"
    bench.drive()
    told = [progress.trials_told for progress in bench.seen]
    assert told == sorted(told)
    assert told[-1] == 20
    last = bench.seen[-1]
    assert (last.trials_wanted, last.behind, last.outage) == (20, 4, "no answer")
    assert last.trainings_ended == len(bench.trainings())
    assert last.steps_done == sum(row.steps for row in bench.trainings())
    assert sum(family.trials for family in last.families) == 20
    complete = [trial for trial in bench.trials if trial.state is TrialState.COMPLETE]
    assert last.best is not None
    assert last.best.value == min(trial.value for trial in complete)
    assert last.best.horizon == 90
    assert last.best.metrics == {"val_loss": last.best.value, "decide_loss": last.best.value + 1}
    first = bench.seen[0]
    [now] = first.running
    assert now.training.trial == now.trial.number


def test_time_left_is_told_by_what_is_left_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first trial 90 updates are left, at the pace so far; after the last, none. Before the first there is no
    pace, though a training has ended: it may have taken mostly the engine's start."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    bench = Bench(replace(only_sgd(trials=2), total_steps=2 * (30 + 90)))
    bench.drive()
    first = bench.seen[0]
    assert (first.steps_done, first.seconds_left) == (30, None)
    told = next(look for look in bench.seen if look.trials_told == 1)
    assert told.steps_done == 30 + 30 + 90
    assert told.seconds_left == pytest.approx(told.seconds * 90 / 150, rel=0.5)
    assert bench.seen[-1].seconds_left == 0.0


def test_what_trainings_that_run_have_done_counts_for_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dozens that run side by side end together: ten updates of 240 are done there, and 150 before."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    bench = Bench(replace(only_sgd(trials=2), total_steps=2 * (30 + 90)))
    stop = Stop()

    def observe(look: Progress) -> None:
        bench.seen.append(look)
        if look.trials_told == 1 and look.seconds > 0.2:
            stop.signum = 15

    driver = bench.driver(ScriptedExecutor(in_turn(completed, completed, completed, lambda _: Stays())), stop=stop)
    driver._observe = observe
    with pytest.raises(Interrupted):
        driver.run()
    last = bench.seen[-1]
    assert last.steps_done == 150
    assert last.seconds_left == pytest.approx(last.seconds * 80 / 160, rel=0.05)


# ── what a plan says ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_has_the_scripts_parameters_the_engines_settings_and_a_folder() -> None:
    """The folder is named by the training, so that every attempt finds what the one before it left."""
    engine = EngineSettings(clip_norm=1.0)
    study = replace(only_sgd(trials=2, extra={"width": Choices((8, 16)), "depth": 4}), engine=engine)
    bench = Bench(study)
    executor = bench.drive(in_turn(lambda _: Dies(), completed))
    for plan in executor.begun:
        trial = bench.trials[number_of(plan, bench)]
        assert plan.extra == {"width": trial.params["extra.width"], "depth": 4}
        assert (plan.engine, plan.workload, plan.direction) == (engine, study.workload, "minimize")
        assert plan.checkpoint_url == str(Path("no-such-folder") / plan.training_id)
    assert executor.begun[0].training_id in [plan.training_id for plan in executor.begun[1:]]


def test_a_maximised_metric_turns_the_whole_sweep_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best is the largest; a trial behind its rivals is the one with less; reactive plans wait for more."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    bench = Bench(a_study(families=("plateau", "cosine"), optimizers=("sgd",), trials=24, direction="maximize"))
    values = iter(np.arange(1, 200) / 8)
    executor = bench.drive(lambda plan: completed(plan, float(next(values))))
    best = bench.seen[-1].best
    complete = [trial for trial in bench.trials if trial.state is TrialState.COMPLETE]
    assert best is not None
    assert (best.value, best.direction) == (max(trial.value for trial in complete), "maximize")
    assert len(complete) == 24  # each is better than all before it
    modes = {plan.schedule.settings_dict()["mode"] for plan in executor.begun if plan.schedule.family == "plateau"}
    assert modes == {"max"}
    assert {plan.direction for plan in executor.begun} == {"maximize"}


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_executor_that_takes_sixteen_is_kept_full_and_never_overfull(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who watch see all that run; at the end every trial was told once."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    bench = Bench(only_sgd(trials=96))
    executor = ManyAtOnce(completed)
    bench.driver(executor).run()
    bench.assert_done(96)
    assert executor.most == 16
    # the first that saw them all: on a machine that stalls a view may come between two asks
    now = next(seen.running for seen in bench.seen if len(seen.running) >= 15)
    assert len(now) == 15
    assert all(each.training.trial == each.trial.number for each in now)


def test_a_preempted_training_goes_to_the_queues_end_and_is_not_counted() -> None:
    """Ten times is no failure; the other trials' trainings come first, and the last attempt's result counts."""
    bench = Bench(only_sgd(trials=3))
    preempted: list[str] = []

    class Preempts(ScriptedExecutor):
        def poll(self, seconds: float) -> list[Record | Lost]:
            plan = self._waiting[0]
            if preempted.count(plan.training_id) == 10 or (preempted and plan.training_id != preempted[0]):
                return super().poll(seconds)
            preempted.append(plan.training_id)
            self._waiting.pop(0)
            begin = a_record(training_id=plan.training_id, attempt=plan.attempt)
            return [begin, Lost(plan.training_id, "preempted: exit code 75", was_running=False)]

    bench.driver(Preempts(completed)).run()
    bench.assert_done(3)
    [row] = [row for row in bench.trainings() if row.training_id == preempted[0]]
    assert (row.status, row.attempt) == (Status.COMPLETED, 11)
    events = [event for event in bench.store.events("quick") if event.kind == "training_queued_again"]
    assert {event.data["reason"] for event in events} == {"preempted: exit code 75"}


def test_why_a_training_diverged_is_kept_and_told() -> None:
    """In its row and in the event of its end."""
    bench = Bench(only_sgd(trials=1))
    why = "the training loss was nan at step 10"
    bench.drive(in_turn(lambda _: Outcome(Status.DIVERGED, 10, 0.1, {}, reason=why), completed))
    assert [row.reason for row in bench.trainings()] == [why, None, None]
    ended = [event.data for event in bench.store.events("quick") if event.kind == "training_ended"]
    assert [data.get("reason") for data in ended] == [why, None, None]
