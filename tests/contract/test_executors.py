"""What every executor promises, wherever its engines live: plans in, the same records out, in whatever order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.errors import InvalidInput
from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Lost
from lrsweep.records import Curve, Record, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.study import ResolvedStudy, parse_study
from tests.crews import (
    ENDLESS,
    SHORT,
    Messages,
    curve_of,
    ends,
    engines,
    named,
    submit,
    until,
    until_idle,
    until_running,
)
from tests.executors import FACTORIES, Factory
from tests.patience import in_time
from tests.trainings import assert_same_curve, digits, joined, trained

STUDY = '[study]\nname = "tiny"\nworkload = "digits"\nhorizon = 60\n[budget]\ntrials = 24\n'
REST = Rest(steps=1e6, at_once=8)
LENGTHS = {"a": 60, "b": 20, "c": 45, "d": 30, "e": 15, "f": 50}


@dataclass
class Opened:
    executor: OpenedExecutor
    factory: Factory
    study: ResolvedStudy

    def fit(self, engine: str) -> OpenedExecutor:
        self.executor.fit(EngineOption.parsed(engine), self.study, REST)
        return self.executor

    @property
    def pids(self) -> Sequence[int]:
        return self.factory.pids(self.executor)


@pytest.fixture(scope="module", params=FACTORIES)
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """One for all tests, for its processes take seconds to start; each test leaves it with nothing in flight."""
    factory = FACTORIES[request.param]
    executor = factory()
    study = parse_study(STUDY, "tiny.toml")
    try:
        executor.start(study.workload)
        yield Opened(executor, factory, study.resolved(executor.describe(study.workload)))
    finally:
        executor.close()


@cache
def plans() -> tuple[TrainingPlan, ...]:
    """Of several lengths, seeds, shapes and rates, so that they end in another order than they begin."""
    families = ("cosine", "linear", "wsd", "constant", "rex", "step")
    return tuple(
        replace(each, horizon=horizon, schedule=schedule(family), peak_lr=0.05 * (number + 1))
        for number, (each, horizon, family) in enumerate(
            zip(named(SHORT, tuple(LENGTHS)), LENGTHS.values(), families, strict=True)
        )
    )


def alone(plan: TrainingPlan) -> Curve:
    """By the sequential engine, in this process."""
    return trained(plan, digits())[0]


@cache
def side_by_side(slots: int) -> dict[str, Curve]:
    """By the fused engine, in this process."""
    records: dict[str, list[Record]] = {plan.training_id: [] for plan in plans()}
    engine = FusedEngine(digits(), plans()[0].engine, slots, lambda record: records[record.training_id].append(record))
    for plan in plans():
        engine.submit(plan)
    while not engine.is_idle:
        engine.advance()
    return {name: joined(of_it) for name, of_it in records.items()}


def fed(executor: OpenedExecutor, waiting: Sequence[TrainingPlan]) -> Messages:
    """All of them, as fast as there is room; until the last has ended."""
    left = [*waiting]
    messages: Messages = []
    while left:
        while left and executor.free > 0:
            executor.submit(left.pop(0))
        messages = until(executor, lambda _: executor.free > 0, messages)
    return until_idle(executor, messages)


def test_a_workload_is_described_and_what_is_none_is_wrong_input(opened: Opened) -> None:
    """As often as it is asked; the executor is none the worse for a wrong question."""
    with pytest.raises(InvalidInput, match=r"unknown workload 'digit'\. Did you mean 'digits'\?"):
        opened.executor.describe(WorkloadSpec("digit"))
    ticks: list[None] = []
    facts = opened.executor.describe(WorkloadSpec("digits", {"model": "cnn"}), lambda: ticks.append(None))
    assert (facts.name, facts.batch_size, facts.horizon, facts.settings["model"]) == ("digits", 64, 600, "cnn")


def test_devices_are_counted_once_a_workload_is_described(opened: Opened) -> None:
    """A machine's processor is one; two devices have a crew each, and so has a station."""
    several = 2 if opened.factory is FACTORIES["local on two devices"] else 1
    assert (opened.executor.device_count, opened.executor.pace_factor) == (several, several)
    opened.fit("sequential:2")
    assert (opened.executor.device_count, opened.executor.pace_factor) == (several, several)


def test_a_device_is_far_where_trainings_are_of_a_cluster(opened: Opened) -> None:
    """Its stations have a processor here; else it is this machine's."""
    is_far = type(opened.executor).__name__ == "RayExecutor"
    assert opened.executor.far_device == ("cpu" if is_far else None)


@pytest.mark.parametrize("order", [1, -1], ids=["forth", "back"])
def test_one_after_the_other_each_plan_has_its_own_curve_to_the_bit(opened: Opened, order: int) -> None:
    """Whatever runs beside it, wherever, and in whatever order they come."""
    executor = opened.fit("sequential:2")
    messages = fed(executor, plans()[::order])
    assert {name: end.status for name, end in ends(messages).items()} == dict.fromkeys(LENGTHS, Status.COMPLETED)
    assert set(engines(messages).values()) == {"sequential"}
    for plan in plans():
        assert_same_curve(curve_of(plan.training_id, messages), alone(plan))


@pytest.mark.parametrize("order", [1, -1], ids=["forth", "back"])
def test_many_at_once_each_plan_has_its_own_curve_to_the_bit(opened: Opened, order: int) -> None:
    """At the same number of slots, whoever is in the others."""
    executor = opened.fit("fused:2")
    messages = fed(executor, plans()[::order])
    assert set(engines(messages).values()) == {"fused/2"}
    for plan in plans():
        assert_same_curve(curve_of(plan.training_id, messages), side_by_side(2)[plan.training_id])


def test_what_is_in_flight_is_no_longer_free(opened: Opened) -> None:
    """And what has ended is again; a training that is stopped has ended."""
    executor = opened.fit("sequential")
    room = executor.free
    assert room > 1
    assert not executor.in_flight
    assert executor.poll(0.0) == []
    names = [f"t{number}" for number in range(room)]
    for taken, plan in enumerate(named(ENDLESS, names), start=1):
        executor.submit(plan)
        assert (executor.free, len(executor.in_flight)) == (room - taken, taken)
    assert set(executor.in_flight) == set(names)
    executor.stop("nobody")
    for name in names:
        executor.stop(name)
    messages = until_idle(executor, [])
    assert {end.status for end in ends(messages).values()} == {Status.STOPPED}
    assert set(ends(messages)) == set(names)
    assert executor.free == room


@pytest.mark.parametrize("engine", ["sequential", "fused:2"])
def test_a_training_is_stopped_whether_it_runs_or_waits(opened: Opened, engine: str) -> None:
    """It ends as stopped with the steps that it had; its neighbours go on. One that waits is told once who runs before
    it has ended."""
    executor = opened.fit(engine)
    room = executor.free
    names = [f"t{number}" for number in range(room)]
    submit(executor, named(ENDLESS, names))
    messages = until(executor, lambda heard: any(isinstance(each, Record) and each.first_step for each in heard))
    runs = next(each.training_id for each in messages if isinstance(each, Record) and each.first_step)
    waits = executor.in_flight[-1]
    assert runs != waits
    for name in (waits, runs):
        executor.stop(name)
    messages = until(executor, lambda heard: runs in ends(heard), messages)
    neighbours = [name for name in executor.in_flight if name != waits]
    assert len(neighbours) == room - 2
    for name in neighbours:
        executor.stop(name)
    found = ends(until_idle(executor, messages))
    assert set(found) == set(names)
    assert {end.status for end in found.values()} == {Status.STOPPED}
    assert found[runs].steps > 0


def test_a_killed_engine_loses_what_it_had_and_another_gives_the_same_bits(opened: Opened) -> None:
    """Whoever ran is told as one that ran; nothing else was kept anywhere, so it begins anew."""

    def killed(times: float) -> None:
        executor = opened.fit("sequential")
        plan = replace(ENDLESS, horizon=round(4_000 * times), evaluations=100)
        first, second = named(plan, "ab")
        submit(executor, [first, second])
        until_running(executor, "a")
        for pid in opened.pids:
            os.kill(pid, signal.SIGKILL)
        messages = until_idle(executor, [])
        lost = {each.training_id: each for each in messages if isinstance(each, Lost)}
        assert set(lost) == {"a", "b"}
        assert lost["a"].was_running
        again = [replace(first, attempt=2), replace(second, attempt=2)]
        messages = fed(executor, again)
        assert set(ends(messages)) == {"a", "b"}
        assert_same_curve(curve_of("a", messages), alone(first))
        assert_same_curve(curve_of("b", messages), alone(second))

    in_time(killed)  # else one may have ended before it is killed


def test_what_was_drained_goes_on_at_its_step_to_the_same_bits(opened: Opened, tmp_path: Path) -> None:
    """All give way; what had begun has saved what it had, and its curve is the undisturbed one."""

    def drained(times: float) -> None:
        executor = opened.fit("sequential")
        folder = tmp_path / f"{times}"
        plan = replace(ENDLESS, horizon=round(4_000 * times), evaluations=100)
        saving = [replace(each, checkpoint_url=str(folder / each.training_id)) for each in named(plan, "ab")]
        submit(executor, saving)
        before = until_running(executor, "a")
        ticks: list[None] = []
        before += executor.drain(lambda: ticks.append(None))
        assert ticks
        assert not executor.in_flight
        assert not ends(before)
        done = curve_of("a", before).steps
        assert 0 < done < plan.horizon

        messages = fed(executor, [replace(each, attempt=2) for each in saving])
        first = next(each for each in messages if isinstance(each, Record) and each.training_id == "a")
        assert len(first.rates) >= done
        for each in saving:
            undisturbed = alone(replace(each, checkpoint_url=None))
            assert_same_curve(curve_of(each.training_id, messages), undisturbed)

    in_time(drained)  # else one may have ended before it is drained


def test_a_closed_executor_has_no_process_and_nothing_in_flight(opened: Opened) -> None:
    """The next plan starts one again."""
    executor = opened.fit("sequential")
    submit(executor, named(ENDLESS, "ab"))
    until_running(executor, "a")
    pids = opened.pids
    assert pids
    executor.close()
    assert not executor.in_flight
    assert not opened.pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    [plan] = named(SHORT, "c")
    assert_same_curve(curve_of("c", fed(executor, [plan])), alone(plan))
