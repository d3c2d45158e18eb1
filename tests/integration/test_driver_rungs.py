"""What a driver makes of its rungs: one that misleads is dropped, and a pruner that the study names is obeyed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from lrsweep.records import Purpose, TrainingPlan, TrialState
from lrsweep.store.base import Event as Noted
from lrsweep.study import ResolvedStudy, SearchSpec, SelectionSpec
from lrsweep.study.specs import BudgetSpec, Plugin
from lrsweep.sweep.events import Event
from lrsweep.sweep.halting import calibrates
from lrsweep.sweep.progress import Progress
from lrsweep.sweep.trust import DROPPED_KEY
from tests.history import assert_history
from tests.scripted import Bench, End, ScriptedExecutor, completed, only_sgd, value_of


def quick(search: Mapping[str, Any] = MappingProxyType({}), **changes: Any) -> ResolvedStudy:
    """Without finals, and with points that cost nothing to draw."""
    spec = SearchSpec(sampler=Plugin("random"), **search)
    return replace(only_sgd(**changes), search=spec, selection=SelectionSpec(finalists=0))


# ── a rung that misleads ─────────────────────────────────────────────────────────────────────────────────────────────


def misleading(plan: TrainingPlan) -> End:
    """The better at the rung, the worse at the full horizon."""
    return completed(plan, value_of(plan) if plan.horizon == 90 else 10.0 - value_of(plan))


@pytest.fixture
def one_in_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrates: else it takes a hundred trials to learn of a rung."""
    for module in ("handling", "halting", "trust", "recovery", "rungs"):
        monkeypatch.setattr(f"lrsweep.sweep.{module}.calibrates", lambda trial: trial.number % 3 == 0)


def first_horizons(bench: Bench) -> list[int]:
    """Of each trial, the shortest horizon that it was trained at."""
    return [min(row.horizon for row in bench.trainings(trial.number)) for trial in bench.trials]


def notes(bench: Bench) -> list[Noted]:
    return [event for event in bench.store.events("quick") if event.kind == "rung_dropped"]


@pytest.mark.usefixtures("one_in_three")
def test_a_rung_that_misleads_is_dropped_and_everybody_hears_of_it() -> None:
    """From the eighth calibrating trial on new trials begin at the full horizon; once, whoever is told."""
    bench = Bench(quick(trials=40))
    heard: list[Event] = []
    driver = bench.driver(ScriptedExecutor(misleading))
    driver._tell = heard.append
    driver.run()
    bench.assert_done(40)
    [noted] = notes(bench)
    [told] = [event for event in heard if event["event"] == "rung"]
    assert (noted.sweep_id, noted.data["rung"], noted.data["horizon"], noted.data["is_low"]) == ("sweep-1", 0, 30, True)
    assert told == {"event": "rung", "dropped": True, **noted.data}
    assert noted.data["n"] >= 8
    assert bench.store.sweep("sweep-1").settings[DROPPED_KEY] == [0]
    assert sum("It misleads: new trials start at 90 steps" in sentence for sentence in bench.said) == 1
    horizons = first_horizons(bench)
    dropped = horizons.index(90)
    assert set(horizons[:dropped]) == {30}
    assert set(horizons[dropped:]) == {90}
    assert 22 <= dropped <= 30  # the eighth that calibrates is trial 21, and a few are in flight


@pytest.mark.usefixtures("one_in_three")
def test_a_rung_stays_dropped_for_the_next_driver() -> None:
    """Whatever later trials say of it."""
    bench = Bench(quick(trials=40))
    bench.drive(misleading)
    before = len(bench.trials)
    bench.sweep = bench.store.sweep("sweep-1")
    bench.study = quick(trials=45)
    bench.drive()
    assert first_horizons(bench)[before:] == [90] * 5
    assert len(notes(bench)) == 1
    assert_history(bench.store, "quick")


def test_what_was_dropped_stands_in_the_sweeps_settings() -> None:
    """The trials that showed it may be gone: the next driver starts above it all the same."""
    bench = Bench(quick(trials=2))
    bench.sweep = bench.store.update_sweep(bench.lease, "sweep-1", settings={DROPPED_KEY: [0]})
    bench.drive()
    assert first_horizons(bench) == [90, 90]


@pytest.mark.usefixtures("one_in_three")
def test_a_rung_that_orders_well_is_kept() -> None:
    """Of the same forty."""
    bench = Bench(quick(trials=40))
    bench.drive()
    assert set(first_horizons(bench)) == {30}
    assert DROPPED_KEY not in bench.store.sweep("sweep-1").settings


@pytest.mark.usefixtures("one_in_three")
def test_another_sweep_of_the_generation_starts_above_what_was_dropped_and_says_so() -> None:
    """Its first trial too; it has a note, an event and a sentence of its own."""
    bench = Bench(quick(trials=40))
    bench.drive(misleading)
    bench.begin_sweep("sweep-2")
    bench.said.clear()
    bench.drive(misleading)
    assert set(first_horizons(bench)) == {90}
    assert [event.sweep_id for event in notes(bench)] == ["sweep-1", "sweep-2"]
    assert [sentence for sentence in bench.said if "It misleads" in sentence] == [bench.said[0]]
    assert bench.store.sweep("sweep-2").settings[DROPPED_KEY] == [0]


def reversed_at(*horizons: int) -> Callable[[TrainingPlan], End]:
    """Each trial has a value of its own, whatever its rate; there the better is the worse."""
    return lambda plan: completed(plan, (1 - 2 * (plan.horizon in horizons)) * plan.seed / 2**28 + 1.0)


def longest_told_after_the_drop(bench: Bench) -> list[int]:
    """Of each trial that was told after the first note, the longest horizon that it was trained at."""
    events = bench.store.events("quick")
    begin = next(place for place, event in enumerate(events) if event.kind == "rung_dropped")
    told = [event.data["trial"] for event in events[begin:] if event.kind == "trial_told"]
    return [max(row.horizon for row in bench.trainings(number)) for number in told if bench.trainings(number)]


@pytest.mark.usefixtures("one_in_three")
def test_a_middle_rung_that_misleads_is_passed_over() -> None:
    """Of 100, 300 and 900 steps: halving goes on at 100, none is halted at 300, and new trials are not trained there;
    nor by the next driver, whatever the rung's order would be then."""
    bench = Bench(quick(trials=40, horizon=900))
    bench.drive(reversed_at(300))
    bench.assert_done(40)
    assert set(first_horizons(bench)) == {100}
    assert set(longest_told_after_the_drop(bench)) == {100, 900}
    before = len(bench.trainings())
    bench.sweep = bench.store.sweep("sweep-1")
    bench.study = quick(trials=60, horizon=900)
    bench.drive(reversed_at())
    bench.assert_done(60)
    assert {row.horizon for row in bench.trainings()[before:]} == {100, 900}
    [noted] = notes(bench)
    assert (noted.data["rung"], noted.data["horizon"]) == (1, 300)
    assert bench.store.sweep("sweep-1").settings[DROPPED_KEY] == [1]
    [sentence] = [sentence for sentence in bench.said if "It misleads" in sentence]
    assert sentence.startswith("rung of 300 steps: ")
    assert sentence.endswith(". It misleads: from shorter rungs trials go on to 900 steps, and none is halted at it")
    assert_history(bench.store, "quick")


@pytest.mark.usefixtures("one_in_three")
def test_each_of_two_rungs_that_are_dropped_is_told_and_new_trials_start_above_both() -> None:
    """By the same calibrating trial; what is under way at either goes on."""
    bench = Bench(quick(trials=40, horizon=900))
    heard: list[Event] = []
    driver = bench.driver(ScriptedExecutor(reversed_at(100, 300)))
    driver._tell = heard.append
    driver.run()
    assert [event.data["horizon"] for event in notes(bench)] == [100, 300]
    assert [event["horizon"] for event in heard if event["event"] == "rung"] == [100, 300]
    sentences = [sentence for sentence in bench.said if "It misleads" in sentence]
    assert [sentence.partition(":")[0] for sentence in sentences] == ["rung of 100 steps", "rung of 300 steps"]
    assert all(
        sentence.endswith(". It misleads: new trials start at 900 steps, and none is halted at it")
        for sentence in sentences
    )
    assert set(longest_told_after_the_drop(bench)) == {900}
    assert set(first_horizons(bench)) == {100, 900}


# ── a rung that costs too much ───────────────────────────────────────────────────────────────────────────────────────


def timed(
    monkeypatch: pytest.MonkeyPatch, bench: Bench, seconds: Callable[[int], float]
) -> Callable[[TrainingPlan], End]:
    """Trainings that take so long by their horizon, on a clock of the test's own; every rung orders well."""
    clock = [time.monotonic()]
    monkeypatch.setattr("lrsweep.sweep.driver.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(bench.store, "renew_lease", lambda *_, **__: None)

    def script(plan: TrainingPlan) -> End:
        clock[0] += seconds(plan.horizon)
        return replace(completed(plan, plan.seed / 2**28), seconds=seconds(plan.horizon))

    return script


def of_a_clock(**changes: Any) -> ResolvedStudy:
    return replace(quick(trials=8, horizon=900, **changes), budget=BudgetSpec(wall_clock=300.0), total_steps=10**6)


def test_rungs_that_save_nothing_are_left_out_of_a_sweep_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a script that starts for 4 s and trains for at most one: all but the first few trials train once, in full."""
    bench = Bench(of_a_clock())
    heard: list[Event] = []
    driver = bench.driver(ScriptedExecutor(timed(monkeypatch, bench, lambda horizon: 4 + horizon / 900)))
    driver._tell = heard.append
    driver.run()
    horizons = first_horizons(bench)
    assert len(horizons) > 40
    assert horizons[:3] == [100] * 3
    assert set(horizons[8:]) == {900}
    assert [event.data["horizon"] for event in notes(bench)] == [100, 300]
    assert [event["next_seconds"] for event in heard if event["event"] == "rung"] == [4 + 1 / 3, 5.0]
    assert next(sentence for sentence in bench.said if "saves too little" in sentence) == (
        "rung of 100 steps: the quickest of 3 trainings took 4.1 s, and one of 300 steps 4.3 s: most of it is the "
        "start. It saves too little: new trials start at 300 steps, and none is halted at it"
    )
    assert bench.store.sweep("sweep-1").settings[DROPPED_KEY] == [0, 1]
    assert_history(bench.store, "quick")


@pytest.mark.parametrize(("start", "purposes"), [(4.0, {Purpose.SEARCH}), (0.0, {Purpose.SEARCH, Purpose.FIT})])
def test_no_exponent_is_measured_at_a_rung_that_is_left_out(
    monkeypatch: pytest.MonkeyPatch, start: float, purposes: set[Purpose]
) -> None:
    """Nothing is trained there any more whose rate it would correct."""
    study = of_a_clock(search={"fit_exponent": True})
    bench = Bench(replace(study, selection=SelectionSpec(share=0.5, finalists=2, seeds=2)))
    bench.drive(timed(monkeypatch, bench, lambda horizon: start + horizon / 900))
    assert {row.purpose for row in bench.trainings()} - {Purpose.FINAL} == purposes


def test_what_is_left_is_told_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search goes on until it is over, whatever the pace; how many trials that will be nobody knows."""
    bench = Bench(replace(of_a_clock(), total_steps=1000))  # a guess, and a low one
    driver = bench.driver(ScriptedExecutor(timed(monkeypatch, bench, lambda horizon: 0.25 + horizon / 200)))
    seen: list[Progress] = []
    driver._observe = seen.append
    driver.run()
    assert len(seen) > 10
    assert {look.trials_wanted for look in seen} == {None}
    for look in seen:
        assert look.seconds_left == pytest.approx(max(0.0, 300.0 - look.seconds))


def test_rungs_that_save_time_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start of a tenth of the whole."""
    bench = Bench(of_a_clock())
    bench.drive(timed(monkeypatch, bench, lambda horizon: 0.25 + horizon / 200))
    assert set(first_horizons(bench)) == {100}
    assert notes(bench) == []


def test_a_budget_of_steps_pays_for_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """So its rungs save what they always did."""
    bench = Bench(quick(trials=40, horizon=900))
    bench.drive(timed(monkeypatch, bench, lambda horizon: 4 + horizon / 900))
    assert set(first_horizons(bench)) == {100}


def test_the_next_sweep_of_the_generation_begins_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the one before it has measured."""
    bench = Bench(of_a_clock())
    bench.drive(timed(monkeypatch, bench, lambda horizon: 4 + horizon / 900))
    bench.begin_sweep("sweep-2")
    bench.drive(timed(monkeypatch, bench, lambda horizon: 4 + horizon / 900))
    assert set(first_horizons(bench)) == {900}
    assert [event.data["horizon"] for event in notes(bench)] == [100, 300] * 2


# ── a pruner of Optuna's ─────────────────────────────────────────────────────────────────────────────────────────────


def by_turns() -> Callable[[TrainingPlan], End]:
    """Every second trial comes to 0.6 and more, the others to 0.1 and more, and each to more than those before it."""
    seen: dict[int, float] = {}
    return lambda plan: completed(plan, seen.setdefault(plan.seed, (0.1, 0.6)[len(seen) % 2] + 0.01 * len(seen)))


def test_the_driver_obeys_the_pruner_that_the_study_names() -> None:
    """What is above its threshold is halted, and all else goes on, where our own halving would halt nearly all. One
    that calibrates goes on in either case."""
    bench = Bench(quick(trials=20, search={"pruner": Plugin("threshold", {"upper": 0.5})}))
    bench.drive(by_turns())
    bench.assert_done(20)
    assert_halted_above_half(bench)


def test_the_next_driver_obeys_it_too() -> None:
    """Among trials that it did not see begin."""
    bench = Bench(quick(trials=10, search={"pruner": Plugin("threshold", {"upper": 0.5})}))
    script = by_turns()
    bench.drive(script)
    bench.study = replace(bench.study, trials=20)
    bench.drive(script)
    bench.assert_done(20)
    assert_halted_above_half(bench)


def test_a_study_that_names_none_halts_nobody() -> None:
    """Every trial is trained to the end."""
    bench = Bench(quick(trials=12, search={"pruner": Plugin("none")}))
    bench.drive(by_turns())
    assert {trial.state for trial in bench.trials} == {TrialState.COMPLETE}


def assert_halted_above_half(bench: Bench) -> None:
    for trial in bench.trials:
        [first, *others] = [row for row in bench.trainings(trial.number) if row.purpose is Purpose.SEARCH]
        goes_on = first.metrics["val_loss"] < 0.5 or calibrates(trial)
        assert bool(others) is goes_on, trial
        assert trial.state is (TrialState.COMPLETE if goes_on else TrialState.PRUNED)
