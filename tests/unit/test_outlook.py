"""What ``lrsweep plan`` says of the next run: the same that ``lrsweep run`` decides, and what is done and left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from lrsweep.cli.plan import Asked, Pace, show_plan
from lrsweep.errors import Interrupted, SweepFailed
from lrsweep.records import Purpose, Status, SweepRow, SweepStatus, TrainingPlan
from lrsweep.study import BudgetSpec, ResolvedStudy, SelectionSpec
from lrsweep.study.planning import plan
from lrsweep.sweep.beginning import Course, used_up
from lrsweep.sweep.failures import STOPPED_KEY
from lrsweep.sweep.finals import fresh_seeds
from lrsweep.sweep.outlook import Left, Outlook, outlook
from lrsweep.sweep.stopping import Stop
from tests.scripted import Bench, End, ScriptedExecutor, Stays, completed, failed, in_turn, only_sgd

STUDY = replace(
    only_sgd(trials=12), budget=BudgetSpec(trials=12), selection=SelectionSpec(finalists=0), total_steps=1080
)


def seen(bench: Bench, study: ResolvedStudy | None = None, *, pace: float | None = None) -> Outlook:
    study = study or bench.study
    return outlook(bench.store, study, plan(study, steps_per_second=pace))


def shown(found: Outlook, study: ResolvedStudy = STUDY) -> list[str]:
    """The lines below the plan."""
    console = Console(file=StringIO(), width=200, no_color=True)
    show_plan(console, Asked(study, plan(study), None, found), datetime(2026, 11, 21, tzinfo=UTC))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    return lines[next(place for place, line in enumerate(lines) if line.startswith("the next run")) :]


def interrupted() -> Bench:
    """After four trainings of 30 and 90 updates; two wait."""
    bench, stop = Bench(STUDY), Stop()

    def interrupts(_: TrainingPlan) -> End:
        stop.signum = 15
        return Stays()

    driver = bench.driver(ScriptedExecutor(in_turn(*[completed] * 4, interrupts)), stop=stop)
    with pytest.raises(Interrupted):
        driver.run()
    driver.queue_running_again(reason="Interrupted")
    bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, add_seconds=90.0)
    bench.store.release_lease(bench.lease)
    return bench


def test_a_study_without_results_gets_its_first_sweep() -> None:
    """Neither where nothing is stored, nor where another study is."""
    assert outlook(None, STUDY, plan(STUDY)) == Outlook(Course.FIRST)
    assert seen(Bench(replace(STUDY, name="other")), STUDY).course is Course.FIRST
    assert shown(Outlook(Course.FIRST)) == ["the next run: a new sweep, the first of this study"]


def test_a_sweep_that_was_left_says_what_is_done_and_left() -> None:
    """Done is what the rows say; left is the rest of the whole, in time by the pace."""
    bench = interrupted()
    rows, told = bench.trainings(), sum(trial.is_told for trial in bench.trials)
    ended = [row for row in rows if row.status.is_outcome]
    found = seen(bench, pace=10.0)
    assert (found.course, found.driver, found.tried_again) == (Course.CONTINUE, None, 0)
    assert found.done is not None
    steps = sum(row.steps for row in ended)
    assert (found.done.trials, found.done.trainings, found.done.steps) == (told, len(ended), steps)
    whole = plan(STUDY)
    assert whole is not None
    assert found.left == Left(
        trials=12 - told,
        trainings=round(whole.search_trainings) - len(ended),
        steps=whole.total_steps - steps,
        seconds=(whole.total_steps - steps) / 10.0,
    )
    first, done, left = shown(found)
    assert first == "the next run: goes on with sweep sweep-1"
    assert done == f"done: {told} trials, {len(ended)} trainings, {steps} steps in 90 s"
    assert left.startswith(f"left: {12 - told} trials, about {found.left.trainings} trainings and ")
    assert left.endswith("at that pace, until 2026-11-21 00:00 if it went on now")


def test_what_is_tried_again_is_left_and_not_done() -> None:
    """Two trainings end well, then five fail and stop the sweep."""
    bench = Bench(STUDY)
    with pytest.raises(SweepFailed):
        bench.drive(in_turn(completed, completed, failed))
    settings = {STOPPED_KEY: True}
    bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.STOPPED, settings=settings)
    found = seen(bench)
    well = [row for row in bench.trainings() if row.status is Status.COMPLETED]
    assert found.done is not None
    assert found.left is not None
    assert (found.course, found.tried_again, found.done.trainings) == (Course.CONTINUE, 5, len(well))
    assert found.done.trials + (found.left.trials or 0) == 12
    assert "and tries again 5 failed trials" in shown(found)[0]


def test_a_driver_that_is_at_work_is_named() -> None:
    """The next run would leave at once."""
    found = seen(Bench(STUDY))
    assert found.driver == "a test"
    assert shown(found)[1] == "now: a test drives the study; until it has left, another run leaves at once"


def test_of_a_finished_sweep_there_is_nothing_to_do_until_the_budget_grows() -> None:
    """With a larger one the same sweep goes on."""
    bench = Bench(STUDY)
    bench.drive()
    bench.store.update_sweep(
        bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED, settings=used_up(bench.study)
    )
    found = seen(bench)
    assert (found.course, found.left) == (Course.NOTHING, None)
    assert found.to_json()["run"] == "nothing"
    assert "nothing to do, sweep sweep-1 is finished" in shown(found)[0]
    larger = seen(bench, replace(STUDY, trials=20, budget=BudgetSpec(trials=20)))
    assert larger.course is Course.CONTINUE
    assert larger.left is not None
    assert larger.left.trials == 8


def test_another_meaning_and_a_cancelled_sweep_begin_anew() -> None:
    """Each with its reason; the old sweep's figures are not shown as done."""
    bench = Bench(STUDY)
    bench.drive()
    changed = seen(bench, replace(STUDY, horizon=180))
    assert (changed.course, changed.done) == (Course.CHANGED, None)
    assert "for the study's meaning or space has changed since its last sweep (generation" in shown(changed)[0]
    assert (changed.to_json()["run"], changed.to_json()["why_new"]) == ("new", "changed")
    bench.store.ask_to_cancel(bench.sweep.sweep_id)
    cancelled = seen(bench)
    assert cancelled.course is Course.CANCELLED
    assert "the last one was cancelled" in shown(cancelled)[0]


def test_of_a_budget_in_time_it_is_the_time_that_is_left() -> None:
    """The sweep's own seconds are used; how many trials that is the clock decides."""
    bench = interrupted()
    timed = replace(STUDY, budget=BudgetSpec(wall_clock=600.0))
    assert seen(bench, timed).left == Left(None, None, None, 510.0)
    found = seen(bench, timed, pace=10.0)
    assert found.left == Left(None, None, 5100, 510.0)
    until = "until 2026-11-21 00:08 if it went on now"
    assert shown(found)[-1] == f"left: 8 min of the budget, about 5,100 steps at that pace, {until}"


def test_where_nothing_is_left_no_time_is_told() -> None:
    """All trainings of the budget have ended, and the pace is known: the next run trains nothing."""
    bench = Bench(STUDY)
    bench.drive()
    found = seen(bench, pace=10.0)
    assert found.left is not None
    assert (found.left.trainings, found.left.steps, found.left.seconds) == (0, 0, 0.0)
    assert shown(found)[-1] == "left: nothing to train: the search and the finals have used the budget"
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert Asked(STUDY, plan(STUDY), None, found).to_json(now)["ends_at"] is None


WITH_FINALS = replace(
    STUDY,
    trials=40,
    budget=BudgetSpec(trainings=16),
    selection=SelectionSpec(finalists=2, seeds=2),
    total_steps=16 * 90,
)


def interrupted_in_the_finals(study: ResolvedStudy) -> Bench:
    """After one of their trainings; the search ended with another number of trials than was expected of its share."""
    bench, stop = Bench(study), Stop()
    fresh = set(fresh_seeds(study, 20))
    ended = 0

    def script(plan: TrainingPlan) -> End:
        nonlocal ended
        if plan.seed not in fresh:
            return completed(plan)
        ended += 1
        if ended == 1:
            return completed(plan)
        stop.signum = 2
        return Stays()

    driver = bench.driver(ScriptedExecutor(script), stop=stop)
    with pytest.raises(Interrupted):
        driver.run()
    driver.queue_running_again(reason="Interrupted")
    bench.store.release_lease(bench.lease)
    return bench


@pytest.mark.parametrize("racing", [False, True])
def test_an_interrupt_in_the_finals_leaves_finals_and_no_trials(racing: bool) -> None:
    """What the search did not come to is not left: its share is used. A race may take all that the budget has."""
    study = replace(WITH_FINALS, selection=replace(WITH_FINALS.selection, racing=racing))
    bench = interrupted_in_the_finals(study)
    finals = [row for row in bench.trainings() if row.purpose is Purpose.FINAL]
    waiting = [row for row in finals if not row.status.is_outcome]
    told = sum(trial.is_told for trial in bench.trials)
    assert (len(finals) - len(waiting), told < study.trials) == (1, True)
    found = seen(bench)
    assert found.left is not None
    assert found.done is not None
    affordable = (study.total_steps - found.done.steps) // 90
    trainings = affordable if racing else len(waiting)
    assert (found.left.trials, found.left.trainings, found.left.steps) == (0, trainings, trainings * 90)
    count = f"{trainings} training{'s' if trainings > 1 else ''}"
    assert shown(found, study)[-1] == (
        f"left: the finals, for the search has ended: at most {count} and {trainings * 90} steps"
    )
    assert found.to_json()["left"]["is_search_over"] is True
    # what it says holds: the next driver trains no more than that
    trained = len([row for row in bench.trainings() if row.status.is_outcome])
    bench.lease = bench.store.acquire_lease(study.name, "a test", seconds=600)
    bench.drive()
    assert 0 < len([row for row in bench.trainings() if row.status.is_outcome]) - trained <= trainings


def test_a_pace_says_which_sweep_it_is_of() -> None:
    """Another study that trains the same is named; a sweep of the study itself by its id."""
    sweep = SweepRow("6bf8d279f4dcc279", "other", "g")
    assert Pace(10.0, 1.0, sweep).of("quick") == "the pace of sweep 6bf8d279 of study other, which trains the same"
    assert Pace(10.0, 1.0, sweep).of("other") == "the pace of sweep 6bf8d279"
    assert Pace(10.0, 0.5, sweep).of("other") == "the pace of sweep 6bf8d279, taken 0.5 times for the devices"
