"""The finals as a race, with a driver whose trainings end by a script: who gets more seeds, and when it ends."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lrsweep.errors import Interrupted
from lrsweep.records import Outcome, Purpose, Status, TrainingPlan
from lrsweep.selection.racing import planned_alpha
from lrsweep.study import BudgetSpec, ResolvedStudy, SelectionSpec
from lrsweep.sweep.finals import standings
from lrsweep.sweep.phases import Phase
from lrsweep.sweep.race import RACE_KEY
from lrsweep.sweep.stopping import Stop
from tests.scripted import Bench, End, Script, ScriptedExecutor, completed, diverged, value_of
from tests.sweeps import a_study

FAMILIES = ("cosine", "linear", "rex")


def a_race(*, trainings: int = 40, **selection: Any) -> ResolvedStudy:
    """Three families and the leader's second; four of ten trainings at the full horizon are for finals."""
    return replace(
        a_study(families=FAMILIES, optimizers=("sgd",), trials=24),
        budget=BudgetSpec(trainings=trainings),
        total_steps=trainings * 90,
        selection=SelectionSpec(**selection),
    )


def finals_of(bench: Bench) -> list[Any]:
    return [row for row in bench.trainings() if row.purpose is Purpose.FINAL]


def with_gaps(bench: Bench, **gaps: float | None) -> Script:
    """Finals that are worse by so much for their family, in deviations of a seed; None: they diverge."""

    def script(plan: TrainingPlan) -> End:
        if not any(row.training_id == plan.training_id for row in finals_of(bench)):
            return completed(plan)
        gap = gaps.get(plan.schedule.family, 0.0)
        if gap is None:
            return diverged(plan)
        noise = np.random.default_rng([plan.seed, round(1e6 * plan.peak_lr)]).normal()
        return completed(plan, float(gap + noise))

    return script


def families_of(bench: Bench) -> dict[str, int]:
    """Finals by family."""
    by_number = {trial.number: str(trial.params["family"]) for trial in bench.trials}
    return dict(Counter(by_number[row.trial] for row in finals_of(bench)))


def race_of(bench: Bench) -> Any:
    return bench.store.sweep(bench.sweep.sweep_id).settings[RACE_KEY]


def test_each_sweep_of_a_study_has_fresh_seeds_of_its_own() -> None:
    """A later one may begin with what an earlier one's finals had put first, and would decide by the same luck again.
    All looks of a race are meant: of equals, it goes on to the last."""
    bench = Bench(a_race())
    seeds = []
    for sweep_id in ("sweep-1", "sweep-2"):
        if sweep_id != "sweep-1":
            bench.begin_sweep(sweep_id)
        bench.drive(with_gaps(bench))
        seeds.append({row.seed for row in finals_of(bench)})
    assert [len(each) > 3 for each in seeds] == [True, True]
    assert not seeds[0] & seeds[1]


def test_a_clear_winner_ends_the_sweep_early_and_it_says_so() -> None:
    """Cosine is a hundred deviations better: four finalists with three seeds each, and the rest is not trained."""
    bench = Bench(a_race())
    bench.drive(with_gaps(bench, linear=100.0, rex=100.0))
    by_trial = Counter(row.trial for row in finals_of(bench))
    assert set(by_trial.values()) == {3}
    assert race_of(bench)["ended"] == "winner"
    [said] = [sentence for sentence in bench.said if sentence.startswith("the finals end")]
    assert said.startswith("the finals end: a winner is shown, after 3 seeds each; ")
    assert said.endswith("trainings were not needed")
    assert bench.drive().begun == []


def test_equal_finalists_use_the_budget() -> None:
    """All looks that it pays for: within one round of the whole, and never more."""
    bench = Bench(a_race())
    bench.drive(with_gaps(bench))
    assert race_of(bench)["ended"] == "budget"
    assert set(Counter(row.trial for row in finals_of(bench)).values()) == {5}
    spent = sum(row.steps for row in bench.trainings())
    assert (40 - 4) * 90 < spent <= 40 * 90


def test_one_that_is_far_behind_gets_no_more_seeds() -> None:
    """It stays in the standings with those that it had; the others share seeds, of which it has the first."""
    bench = Bench(a_race(trainings=60))
    bench.drive(with_gaps(bench, rex=100.0))
    counts = families_of(bench)
    assert counts["rex"] < min(counts["cosine"], counts["linear"])
    seeds: dict[int, list[int]] = {}
    for row in finals_of(bench):
        seeds.setdefault(row.trial, []).append(row.seed)
    order = race_of(bench)["seeds"]
    assert all(set(own) == set(order[: len(own)]) for own in seeds.values())
    found = standings(bench.study, bench.trials, finals_of(bench))
    assert found[-1].family == "rex"
    assert any("(rex)" in sentence and "shown to be worse" in sentence for sentence in bench.said)


def test_a_finalist_that_diverges_is_no_reason_to_go_on_without_end() -> None:
    """Every seed of rex does; the sweep ends inside its budget, and rex is last."""
    bench = Bench(a_race(trainings=60))
    bench.drive(with_gaps(bench, rex=None))
    assert {row.status for row in finals_of(bench)} == {Status.COMPLETED, Status.DIVERGED}
    assert standings(bench.study, bench.trials, finals_of(bench))[-1].family == "rex"
    assert sum(row.steps for row in bench.trainings()) <= 60 * 90


def test_the_time_that_is_left_does_not_rise_at_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the pace so far it is what the race may still order, too: the whole of the budget for equal finalists, whose
    looks change nothing of it; where some are sent home it falls."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    for gaps in ({}, {"rex": 100.0}):
        bench = Bench(a_race(trainings=60))
        driver = bench.driver(ScriptedExecutor(with_gaps(bench, **gaps)))
        driver.run()
        driver.show()
        looks = [look for look in bench.seen if look.phase is Phase.FINALS and look.seconds_left is not None]
        to_come = [(look.seconds_left or 0.0) * look.steps_done / look.seconds / 90 for look in looks]
        spent = sum(row.steps for row in bench.trainings() if row.purpose is not Purpose.FINAL) / 90
        assert to_come[0] == pytest.approx(60 - spent, abs=1.5)
        assert all(after < before + 0.5 for before, after in pairwise(to_come))
        assert looks[-1].seconds_left == 0.0


def test_a_driver_that_starts_in_the_middle_of_a_race_knows_what_is_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """From what is kept of it: a training has ended since, and the rest of forty is left."""
    monkeypatch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
    bench = Bench(a_race())
    stop = Stop()
    script = with_gaps(bench)

    def stopped(plan: TrainingPlan) -> End:
        if sum(row.status.is_outcome for row in finals_of(bench)) == 5:
            stop.signum = signal.SIGTERM
        return script(plan)

    with pytest.raises(Interrupted):
        bench.drive(stopped, stop=stop)
    steps = sum(row.steps for row in bench.trainings())
    bench.seen.clear()
    bench.drive(script)
    look = next(each for each in bench.seen if each.seconds_left is not None and each.steps_done)
    to_come = (look.seconds_left or 0.0) * look.steps_done / look.seconds
    assert to_come == pytest.approx(40 * 90 - steps - look.steps_done, abs=2 * 90)


def test_finals_that_all_fail_are_not_trained_again_and_again() -> None:
    """One round; a failure says nothing of a schedule."""
    bench = Bench(replace(a_race(), run=replace(a_race().run, failures_that_stop=1000)))

    def script(plan: TrainingPlan) -> End:
        if any(row.training_id == plan.training_id for row in finals_of(bench)):
            return Outcome(Status.FAILED, 10, 0.1, {}, "RuntimeError: no data")
        return completed(plan, value_of(plan))

    bench.drive(script)
    assert set(Counter(row.trial for row in finals_of(bench)).values()) == {3}
    assert race_of(bench)["ended"] == "nobody"


def test_without_racing_all_finalists_get_the_same_seeds_at_once() -> None:
    """``selection.racing = false``: whatever they show, and no race is kept."""
    bench = Bench(a_race(racing=False))
    bench.drive(with_gaps(bench, linear=100.0, rex=100.0))
    counts = set(Counter(row.trial for row in finals_of(bench)).values())
    assert len(counts) == 1
    assert min(counts) > 3
    assert RACE_KEY not in bench.store.sweep(bench.sweep.sweep_id).settings


def test_finals_that_began_without_a_race_go_on_without_one() -> None:
    """Those of an earlier release: no look was planned for them."""
    bench = Bench(a_race(racing=False))
    bench.drive(with_gaps(bench))
    before = len(finals_of(bench))
    bench.study = a_race(trainings=60)
    bench.drive(with_gaps(bench))
    assert len(finals_of(bench)) > before
    assert RACE_KEY not in bench.store.sweep(bench.sweep.sweep_id).settings


def test_a_race_that_is_not_wanted_any_more_ends_with_a_look_of_its_own() -> None:
    """Interrupted in the middle of the finals, and ``selection.racing = false`` by then: all get as many seeds, and
    what is kept of the race says that it has ended, and what its last look may claim. The same again does nothing."""
    bench = Bench(a_race(trainings=60))
    stop = Stop()
    goes_on = with_gaps(bench)

    def interrupted(plan: TrainingPlan) -> End:
        if finals_of(bench) and race_of(bench)["taken"] == 1:
            stop.signum = signal.SIGINT
        return goes_on(plan)

    driver = bench.driver(ScriptedExecutor(interrupted), stop=stop)
    with pytest.raises(Interrupted):
        driver.run()
    driver.queue_running_again(reason="Interrupted")
    middle = race_of(bench)
    assert (middle["ended"], middle["taken"]) == (None, 1)
    bench.study = a_race(trainings=60, racing=False)
    bench.drive(with_gaps(bench))
    assert len(set(Counter(row.trial for row in finals_of(bench)).values())) == 1
    after = race_of(bench)
    assert (after["ended"], after["looks"], after["taken"]) == ("looks", 1, 1)
    assert after["spent"] == pytest.approx(planned_alpha() / middle["looks"])
    assert after["alpha"] == pytest.approx(planned_alpha(after["spent"]))
    assert [row.status for row in finals_of(bench)] == [Status.COMPLETED] * len(finals_of(bench))
    assert sum(row.steps for row in bench.trainings()) <= 60 * 90
    assert bench.drive().begun == []
    assert race_of(bench) == after


def test_a_larger_budget_goes_on_with_a_race() -> None:
    """Its search asks more, its finals get more, and nothing that is there is trained again."""
    bench = Bench(a_race())
    bench.drive(with_gaps(bench))
    before = {row.training_id: row for row in finals_of(bench)}
    bench.study = replace(a_race(trainings=120), trials=24)
    executor = bench.drive(with_gaps(bench))
    assert not {plan.training_id for plan in executor.begun} & set(before)
    assert sum(row.steps for row in bench.trainings()) <= 120 * 90
    assert len(finals_of(bench)) > len(before)
    assert race_of(bench)["spent"] > 0


def test_those_who_watch_see_how_many_were_ordered_so_far() -> None:
    """It grows with each round, what has ended never exceeds it, and at the end nothing is left."""
    bench = Bench(a_race())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrsweep.sweep.driver.SHOW_EVERY", -1.0)
        bench.drive(with_gaps(bench))
    seen = [look for look in bench.seen if look.finals]
    done = [sum(each.n + each.diverged + each.failed for each in look.finals) for look in seen]
    whole = [count + sum(each.left for each in look.finals) for count, look in zip(done, seen, strict=True)]
    assert done == sorted(done)
    assert whole == sorted(whole)
    assert sorted(set(whole)) == [12, 20]
    assert whole[-1] == done[-1] == len(finals_of(bench))
