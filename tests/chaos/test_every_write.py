"""A driver that dies right after any of its writes, each in turn: the next one ends the sweep, and nothing is lost.

Here nothing is a process: the store is in memory, trainings end by a script, and death is an exception that nobody
catches. So every write of a whole sweep can be its driver's last, from the sweep's own row to its last final.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from lrsweep.errors import Interrupted, SweepFailed
from lrsweep.records import Origin, Purpose, Status, StudyRow, SweepRow, SweepStatus, TrainingPlan
from lrsweep.schedules import schedule
from lrsweep.store import Lease, MemoryStore
from lrsweep.study import Baseline, ResolvedStudy, RunSpec, SelectionSpec
from lrsweep.sweep.beginning import continued_or_new, newest_sweep
from lrsweep.sweep.checkpoints import Checkpoints
from lrsweep.sweep.driver import Driver
from lrsweep.sweep.failures import STOPPED_KEY, to_try_again, try_again
from lrsweep.sweep.faults import Faults
from lrsweep.sweep.mirror import Mirror
from lrsweep.sweep.stopping import Cancelled, Stop
from lrsweep.sweep.warm_start import points_of
from tests.history import assert_history
from tests.scripted import Dies, End, NoMirror, ScriptedExecutor, Stays, completed, diverged, failed, in_turn, only_sgd

BASELINE = Baseline(schedule("exponential"), 0.2, "sgd", settings={"momentum": 0.0, "weight_decay": 0.0})
STUDY = replace(only_sgd(trials=6), total_steps=600, selection=SelectionSpec(finalists=2, seeds=2), baseline=BASELINE)


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the driver's catches it."""


class Mortal(MemoryStore):
    """A store whose driver dies right after its n-th write is committed."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None
        self.writes = 0

    @contextmanager
    def _writing(self, lease: Lease) -> Iterator[Any]:
        with super()._writing(lease) as transaction:
            yield transaction
        self.writes += 1
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise Killed


@dataclass
class World:
    """A store, and one driver after the other on it, each as ``run_sweep`` leads it."""

    study: ResolvedStudy = STUDY
    store: Mortal = field(default_factory=Mortal)
    script: Callable[[TrainingPlan], End] = completed
    begun: int = 0

    def drive(self, *, dies_after: int | None = None, interrupted_at: int | None = None, cancelled_at: int = 0) -> None:
        """One driver from its start; it is interrupted, or its sweep is cancelled, at so many trainings."""
        self.store.left = dies_after
        try:
            self._drive(interrupted_at, cancelled_at)
        finally:
            self.store.left = None

    def _drive(self, interrupted_at: int | None, cancelled_at: int) -> None:
        study, store, stop = self.study, self.store, Stop()
        lease = store.acquire_lease(study.name, "a driver", seconds=600, is_dead=lambda _: True)
        store.register_study(lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
        sweep = continued_or_new(store, lease, study, newest_sweep(store, study), "never", lambda _: None)
        sweep = store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.RUNNING)
        sweep = try_again(store, lease, sweep, to_try_again(store, sweep))
        begun = 0

        def script(plan: TrainingPlan) -> End:
            nonlocal begun
            begun += 1
            self.begun += 1
            if begun == interrupted_at:
                stop.signum = 15
                return Stays()
            if begun == cancelled_at:
                store.ask_to_cancel(sweep.sweep_id)
                stop.is_cancelled = True
                return Stays()
            return self.script(plan)

        driver = self._driver(lease, sweep, stop, script)
        try:
            driver.run()
        except Interrupted:
            driver.queue_running_again(reason="Interrupted")
            raise
        except Cancelled:
            driver.queue_running_again(reason="the sweep was cancelled")
            store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.CANCELLED)
            return
        except SweepFailed:
            store.update_sweep(lease, sweep.sweep_id, settings={STOPPED_KEY: True})
            driver.queue_running_again(reason="the sweep was stopped")
            store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.STOPPED)
            raise
        store.update_sweep(lease, sweep.sweep_id, status=SweepStatus.FINISHED)

    def _driver(self, lease: Lease, sweep: SweepRow, stop: Stop, script: Callable[[TrainingPlan], End]) -> Driver:
        return Driver(
            study=self.study,
            sweep=sweep,
            store=self.store,
            lease=lease,
            executor=ScriptedExecutor(script),
            checkpoints=Checkpoints(Path("no-such-folder")),
            mirror=cast(Mirror, NoMirror()),
            stop=stop,
            faults=Faults(),
            observe=lambda _: None,
            say=lambda _: None,
            points=points_of(sweep),
        )

    def sweeps(self) -> list[SweepRow]:
        return list(self.store.sweeps(self.study.name))

    def assert_done(self, *, trials: int = 6, finals: int) -> None:
        """The newest sweep of the study's is finished: its budget is used to the trial, and all finals are there."""
        name, store = self.study.name, self.store
        [*_, sweep] = self.sweeps()
        assert sweep.status is SweepStatus.FINISHED
        own = [row for row in store.trials(name, sweep_id=sweep.sweep_id) if row.origin.counts]
        rows = store.trainings(name, sweep_id=sweep.sweep_id)
        assert len(own) == trials
        assert [row.origin for row in own].count(Origin.BASELINE) == (self.study.baseline is not None)
        assert sum(row.purpose is Purpose.FINAL for row in rows) == finals
        assert all(row.status.is_outcome for row in rows)
        assert_history(store, name)


def writes_of(world: World, **asked: Any) -> int:
    """How many an undisturbed driver makes."""
    before = world.store.writes
    with suppress(Interrupted):
        world.drive(**asked)
    return world.store.writes - before


def mixed(plan: TrainingPlan) -> End:
    """By the trial's own seed: one in five dies once, one in five diverges, one in five fails, on the first rung."""
    fate = plan.seed % 5
    if plan.horizon == STUDY.horizon:
        return completed(plan)
    if fate == 0 and plan.attempt == 1:
        return Dies()
    return (completed, diverged, failed)[fate - 1 if fate in (2, 3) else 0](plan)


WRITES = writes_of(World(script=mixed))


@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_whichever_write_is_the_last_the_next_driver_ends_the_sweep(write: int) -> None:
    """Baseline, rungs, deaths, divergence, failures, finals: the budget to the trial, one result per training, and at
    most what was in flight is trained again."""
    undisturbed = World(script=mixed)
    undisturbed.drive()
    world = World(script=mixed)
    with pytest.raises(Killed):
        world.drive(dies_after=write)
    world.drive()
    world.assert_done(finals=len(_finals(undisturbed)))
    rows = world.store.trainings(STUDY.name)
    assert {row.status for row in rows} >= {Status.COMPLETED, Status.FAILED}
    lost = world.begun - len(rows) - sum(row.seed % 5 == 0 and row.rung == 0 for row in rows)
    assert lost <= 2


def _finals(world: World) -> list[str]:
    return [row.training_id for row in world.store.trainings(STUDY.name) if row.purpose is Purpose.FINAL]


@pytest.mark.parametrize("every", [5, 7, 11])
def test_a_sweep_whose_drivers_all_die_still_ends(every: int) -> None:
    """Each gets a few writes further; the last of them ends it."""
    world = World(script=mixed)
    for _ in range(200):
        try:
            world.drive(dies_after=every)
        except Killed:
            continue
        break
    world.assert_done(finals=len(_finals(world)))
    assert len(world.sweeps()) == 1


@pytest.mark.parametrize("begun", [1, 4, 12])
def test_a_driver_that_dies_as_it_drains_leaves_what_the_next_one_needs(begun: int) -> None:
    """Interrupted at its first training, in the search and in the finals, and dead after each write that follows."""
    undisturbed = World()
    undisturbed.drive()
    writes = writes_of(World(), interrupted_at=begun)
    for write in range(max(1, writes - 4), writes):
        world = World()
        with pytest.raises((Killed, Interrupted)):
            world.drive(interrupted_at=begun, dies_after=write)
        world.drive()
        world.assert_done(finals=len(_finals(undisturbed)))


def test_a_sweep_that_is_cancelled_stays_so_whenever_its_driver_dies() -> None:
    """The same command starts another; what the cancelled one found keeps its numbers and its results."""
    writes = writes_of(World(), cancelled_at=4)
    asked = 0
    for write in range(2, writes + 1):
        world = World()
        with pytest.raises(Killed):
            world.drive(cancelled_at=4, dies_after=write)
        [first] = world.sweeps()
        asked += first.is_cancelled
        world.drive()
        world.assert_done(finals=len(_finals_of_last(world)))
        assert len(world.sweeps()) == (2 if first.is_cancelled else 1)
        assert not first.is_cancelled or world.sweeps()[0].status is SweepStatus.CANCELLED
    assert asked > 2


def test_what_failures_have_stopped_is_tried_again_whenever_the_next_driver_dies() -> None:
    """With the cause mended no trial is a failure in the end, wherever the driver that tries them again is killed."""

    def stopped() -> World:
        world = World(study=replace(STUDY, run=RunSpec(failures_that_stop=3)), script=failed)
        with pytest.raises(SweepFailed):
            world.drive()
        world.script = completed
        return world

    writes = writes_of(stopped())
    for write in range(1, writes + 1):
        world = stopped()
        with pytest.raises(Killed):
            world.drive(dies_after=write)
        world.drive()
        world.assert_done(finals=len(_finals_of_last(world)))
        assert {row.status for row in world.store.trainings(STUDY.name)} == {Status.COMPLETED}


def test_failures_that_stop_a_sweep_are_tried_again_whenever_its_driver_dies() -> None:
    """It dies at each of its own writes: the last failure, the note of it, the end of the sweep. Once the cause is
    mended, whatever had failed in a row so often as to stop it is trained."""
    study = replace(STUDY, baseline=None, run=RunSpec(failures_that_stop=3))

    def stopped(dies_after: int | None) -> World:
        world = World(study=study, script=in_turn(completed, failed))
        with pytest.raises((Killed, SweepFailed)):
            world.drive(dies_after=dies_after)
        world.script = completed
        return world

    enough = 0
    for write in range(1, stopped(None).store.writes + 1):
        world = stopped(write)
        failures = [row.training_id for row in world.store.trainings(STUDY.name) if row.status is Status.FAILED]
        world.drive()
        world.assert_done(finals=len(_finals_of_last(world)))
        if len(failures) == 3:
            enough += 1
            assert {world.store.training(each).status for each in failures} == {Status.COMPLETED}, f"write {write}"
    assert enough > 2


@pytest.mark.parametrize("change", ["space", "meaning"])
def test_a_warm_start_is_whole_whenever_its_driver_dies(change: str) -> None:
    """Copies of the same meaning, and the best points of another: as many as without a death, and none twice."""

    def second(dies_after: int | None) -> World:
        world = World(study=replace(STUDY, baseline=None))
        world.drive()
        if change == "space":
            wider = {name: (low / 2, 2 * high) for name, (low, high) in STUDY.space.peak_lr.items()}
            world.study = replace(world.study, space=replace(STUDY.space, peak_lr=wider))
        else:
            world.study = replace(world.study, horizon=180)
        if dies_after is not None:
            with pytest.raises(Killed):
                world.drive(dies_after=dies_after)
        world.drive()
        return world

    def taken(world: World) -> tuple[int, int]:
        sweep = world.sweeps()[-1]
        rows = world.store.trials(STUDY.name, sweep_id=sweep.sweep_id)
        return sum(row.origin is Origin.COPIED for row in rows), len(points_of(sweep))

    undisturbed = second(None)
    assert sum(taken(undisturbed)) > 0
    for write in range(1, 12):
        world = second(write)
        world.assert_done(finals=len(_finals_of_last(undisturbed)))
        assert taken(world) == taken(undisturbed), f"died after write {write}"


def _finals_of_last(world: World) -> list[str]:
    sweep = world.sweeps()[-1]
    rows = world.store.trainings(STUDY.name, sweep_id=sweep.sweep_id)
    return [row.training_id for row in rows if row.purpose is Purpose.FINAL]
