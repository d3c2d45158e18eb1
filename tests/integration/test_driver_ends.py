"""The driver when it ends early, or what it drives dies: what is trained again, and what is left in folders."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrsweep.errors import DeadlinePassed, Interrupted, LeaseLost, TryAgain
from lrsweep.records import Status, SweepStatus, TrainingPlan, TrialState
from lrsweep.scripts.command import Command
from lrsweep.sweep.checkpoints import Checkpoints, tidy_scratch
from lrsweep.sweep.stopping import Stop
from tests.scripted import Bench, Dies, End, ManyAtOnce, ScriptedExecutor, Stays, completed, in_turn, late, only_sgd
from tests.sweeps import a_record, a_study, a_training, a_trial

ID = "a" * 32

# ── processes that die ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("begun", [True, False])
def test_a_training_whose_process_dies_is_executed_again(begun: bool) -> None:
    """Twice by chance, and its result counts once: the third attempt's, or the first's where none had begun."""
    bench = Bench(only_sgd(trials=2))
    bench.drive(in_turn(lambda _: Dies(begun), lambda _: Dies(begun), completed))
    bench.assert_done(2)
    assert {trial.state for trial in bench.trials} == {TrialState.COMPLETE}
    assert max(row.attempt for row in bench.trainings()) == (3 if begun else 1)


@pytest.mark.parametrize("begun", [True, False])
def test_a_training_that_ends_its_process_three_times_is_failed(begun: bool) -> None:
    """And the training that waited behind it each time is not held to account."""
    bench = Bench(only_sgd(trials=2))
    culprit: list[str] = []

    def script(plan: TrainingPlan) -> End:
        if not culprit:
            culprit.append(plan.training_id)
        return Dies(begun) if plan.training_id in culprit else completed(plan)

    executor = bench.drive(script)
    bench.assert_done(2)
    [row] = [row for row in bench.trainings() if row.training_id in culprit]
    assert row.status is Status.FAILED
    assert row.error == "the process died\n(for the 3rd time)"
    assert sum(plan.training_id in culprit for plan in executor.begun) == 3
    assert sorted(trial.state for trial in bench.trials) == [TrialState.COMPLETE, TrialState.FAILED]


def test_what_an_earlier_attempt_still_says_is_not_heard() -> None:
    """Rates of 9, sent by attempt 1 in the middle of attempt 2, do not reach the curve."""
    bench = Bench(only_sgd(trials=1))
    executor = ScriptedExecutor(in_turn(lambda _: Dies(), completed))
    executor.late = lambda plan: [
        a_record(0, [9.0], training_id=plan.training_id, attempt=attempt) for attempt in range(1, plan.attempt)
    ]
    bench.driver(executor).run()
    row = bench.trainings()[0]
    assert (row.attempt, row.status) == (2, Status.COMPLETED)
    curve = bench.store.curve(row.training_id)
    assert curve is not None
    assert curve.steps == 30
    assert curve.rates.max() < 9.0


class Killed(BaseException):
    """The end of a driver that had no time for anything."""


@pytest.mark.parametrize("trainings", range(1, 12, 2))
def test_a_driver_that_is_killed_leaves_nothing_that_the_next_one_cannot_finish(trainings: int) -> None:
    """After any number of trainings: the running one gets another attempt, and the budget comes out exactly."""
    bench = Bench(a_study(trials=6))
    losses = iter(range(99, 0, -1))

    def better(plan: TrainingPlan) -> End:
        """than all before it: every trial has two trainings"""
        return completed(plan, float(next(losses)))

    def then_killed(plan: TrainingPlan) -> End:
        raise Killed

    with pytest.raises(Killed):
        bench.drive(in_turn(*[better] * trainings, then_killed))
    bench.drive(better)
    bench.assert_done(6)
    assert len(bench.trainings()) == 12
    assert {row.attempt for row in bench.trainings()} == {1}


def test_a_training_left_running_is_queued_again_by_the_next_driver() -> None:
    """It began and never ended: its second attempt counts."""
    bench = Bench(only_sgd(trials=1))

    def killed_later(plan: TrainingPlan) -> End:
        bench.mirror.error = RuntimeError("the driver ends here")
        return Stays()

    with pytest.raises(RuntimeError, match="ends here"):
        bench.drive(killed_later)
    assert [row.status for row in bench.trainings()] == [Status.RUNNING]
    bench.mirror.error = None
    bench.drive()
    bench.assert_done(1)
    assert [row.attempt for row in bench.trainings()] == [2, 1]


# ── leaving early ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deadline_that_has_passed_stops_before_anything_is_asked() -> None:
    """Exit code 124, and the same command continues."""
    bench = Bench(a_study(trials=3))
    with pytest.raises(DeadlinePassed, match="same command continues") as e:
        bench.drive(stop=Stop(deadline=time.monotonic() - 1))
    assert e.value.exit_code == 124
    assert bench.trials == []


def test_an_interrupt_queues_the_running_training_again() -> None:
    """SIGINT in the third training: two results stay, and the next driver goes on with a second attempt."""
    bench = Bench(only_sgd(trials=3))
    stop = Stop()

    def interrupted(plan: TrainingPlan) -> End:
        stop.signum = 2
        return Stays()

    executor = ScriptedExecutor(in_turn(completed, completed, interrupted))
    driver = bench.driver(executor, stop=stop)
    with pytest.raises(Interrupted) as e:
        driver.run()
    assert e.value.exit_code == 130
    assert len(executor.drained) == 2  # the one that runs, and the one that waits behind it
    assert executor.is_closed
    assert bench.said == []
    driver.queue_running_again(reason="Interrupted")
    statuses = Counter(row.status for row in bench.trainings())
    assert statuses[Status.COMPLETED] == 2
    assert statuses[Status.RUNNING] == 0
    bench.drive()
    bench.assert_done(3)
    assert Counter(row.attempt for row in bench.trainings())[2] == 1


def test_scripts_are_given_the_time_to_save_and_it_is_said() -> None:
    """As many as are in flight; their own grace. Where the deadline passed they are as well."""
    command = Command("python train.py", stop_grace=90.0)
    bench = Bench(replace(only_sgd(trials=30), workload=command.spec()))
    stop = Stop()

    executor = ManyAtOnce(late(stop))
    with pytest.raises(DeadlinePassed):
        bench.driver(executor, stop=stop).run()
    assert len(executor.drained) == 16
    assert bench.said == ["16 scripts have 90 s to save"]


def test_a_driver_that_lost_its_lease_stops() -> None:
    """Another driver took the study: nothing more is written."""
    bench = Bench(a_study(trials=3))

    def taken_over(plan: TrainingPlan) -> End:
        bench.store.acquire_lease("quick", "another", seconds=60, is_dead=lambda _: True)
        return completed(plan)

    with pytest.raises(LeaseLost, match="has gone to another"):
        bench.drive(in_turn(completed, taken_over))
    assert sum(row.status.is_outcome for row in bench.trainings()) == 1


def test_what_ended_the_mirror_ends_the_sweep() -> None:
    """A store that is gone is the mirror's trouble and the driver's."""
    bench = Bench(a_study(trials=3))
    bench.mirror.error = TryAgain("the database went away")
    with pytest.raises(TryAgain, match="went away"):
        bench.drive()


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trainings_folder_goes_with_its_result_and_no_sooner(tmp_path: Path) -> None:
    """It is there for the second attempt, and gone when the result is committed; nothing else in the home is."""
    bench = Bench(only_sgd(trials=1), checkpoints=Checkpoints(tmp_path / "checkpoints"))
    seen: list[bool] = []

    def writes(plan: TrainingPlan) -> End:
        folder = Path(plan.checkpoint_url or "")
        seen.append(folder.exists())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights").write_text("…")
        return Dies() if seen == [False] else completed(plan)

    bench.drive(writes)
    bench.assert_done(1)
    assert seen == [False, True, False]
    bench.checkpoints.finish(lambda: None)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_what_killed_drivers_left_behind_is_tidied_and_nothing_else(tmp_path: Path) -> None:
    """Folders of trainings that have ended go; those that wait stay, also another study's; a stranger's stay for a
    week, since another database may share the home; and what has no training's name stays for ever."""
    bench = Bench(only_sgd(trials=2))
    stop = Stop()

    def interrupted(plan: TrainingPlan) -> End:
        stop.signum = 15
        return Stays()

    with pytest.raises(Interrupted):
        bench.drive(in_turn(completed, interrupted), stop=stop)
    rows = bench.trainings()
    checkpoints = Checkpoints(tmp_path)
    forgotten, another, mine = "f" * 32, "a" * 32, "my-own"
    for name in (*(row.training_id for row in rows), forgotten, another, mine):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text("…")
    long_ago = time.time() - 8 * 24 * 3600
    for path in (tmp_path / forgotten / "weights", tmp_path / forgotten, tmp_path / mine):
        os.utime(path, (long_ago, long_ago))
    checkpoints.tidy(bench.store)
    checkpoints.finish(lambda: None)
    waiting = {row.training_id for row in rows if not row.status.is_outcome}
    assert 0 < len(waiting) < len(rows)
    assert {path.name for path in tmp_path.iterdir()} == waiting | {another, mine}
    Checkpoints(tmp_path / "not there").tidy(bench.store)


def test_what_a_stopped_sweep_left_waiting_goes_after_a_week(tmp_path: Path) -> None:
    """A link's own age counts, not that of the files that it leads to; and a removal that was cut off is ended."""
    bench = Bench(only_sgd(trials=2))
    stop = Stop()
    stop.signum = 15
    bench.store.add_trial(bench.lease, a_trial(0, sweep_id="sweep-1"), [a_training(sweep_id="sweep-1", training_id=ID)])
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    folder, gone = Path(checkpoints.url(ID)), Path(checkpoints.url("b" * 32 + ".gone"))
    for made in (folder, gone):
        made.mkdir(parents=True)
    (folder / "lrsweep").symlink_to(Path(__file__))
    checkpoints.tidy(bench.store)
    checkpoints.finish(lambda: None)
    assert list((tmp_path / "checkpoints").iterdir()) == [folder]
    long_ago = (time.time() - 8 * 24 * 3600,) * 2
    os.utime(folder / "lrsweep", long_ago, follow_symlinks=False)
    os.utime(folder, long_ago)
    checkpoints.tidy(bench.store)
    assert folder.exists()  # its sweep runs, perhaps in a queue
    bench.store.update_sweep(bench.lease, "sweep-1", status=SweepStatus.STOPPED)
    checkpoints.tidy(bench.store)
    checkpoints.finish(lambda: None)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_large_folder_does_not_hold_up_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is free at once; who ends in order waits for the rest, and keeps the lease meanwhile."""
    goes_on, removed = threading.Event(), shutil.rmtree

    def slow(*args: Any, **options: Any) -> None:
        goes_on.wait(120)
        removed(*args, **options)

    monkeypatch.setattr("lrsweep.sweep.checkpoints.shutil.rmtree", slow)
    checkpoints = Checkpoints(tmp_path)
    Path(checkpoints.url(ID)).mkdir()
    checkpoints.remove(ID)
    assert [path.name for path in tmp_path.iterdir()] == [f"{ID}.gone"]
    checkpoints.finish(goes_on.set)
    assert goes_on.is_set()
    assert list(tmp_path.iterdir()) == []


def test_where_scripts_were_asked_is_tidied_after_a_week(tmp_path: Path) -> None:
    """Another driver may be asking now; what is not ours stays."""
    for name in ("lrsweep-old", "lrsweep-new", "mine"):
        (tmp_path / name).mkdir()
    for name in ("lrsweep-old", "mine"):
        os.utime(tmp_path / name, (0, 0))
    tidy_scratch(tmp_path)
    tidy_scratch(tmp_path / "not there")
    assert {path.name for path in tmp_path.iterdir()} == {"lrsweep-new", "mine"}
