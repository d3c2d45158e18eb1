"""Stations on the nodes of a real Ray cluster: nodes join and leave, stations are killed, and nothing is lost by it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.messages import Lost
from lrsweep.executors.place import Place
from lrsweep.executors.ray.executor import RayExecutor
from lrsweep.executors.ray.losses import FORGIVEN
from lrsweep.executors.ray.roster import SILENT_SECONDS
from lrsweep.records import Record, Status, WorkloadSpec
from lrsweep.study import parse_study
from lrsweep.workloads.fetching import alone
from tests.clusters import Cluster
from tests.crews import ENDLESS, SHORT, curve_of, ends, named, submit, until, until_idle, until_running
from tests.patience import in_time
from tests.trainings import assert_same_curve, digits, trained

STUDY = '[study]\nname = "tiny"\nworkload = "digits"\nhorizon = 60\n[budget]\ntrials = 24\n'


IN_A_WORKER = 'import sys\nif any("default_worker" in each for each in sys.orig_argv):\n'
"""A ``sitecustomize`` of a node, for what its stations run in."""
NO_STATION = f"""{IN_A_WORKER}
    class Hides:
        def find_spec(self, name, path, target=None):
            if name == "lrsweep.executors.ray.station":
                raise ModuleNotFoundError("an older release, on purpose")
    sys.meta_path.insert(0, Hides())
"""
BREAKS = f"""{IN_A_WORKER}
    class Breaks:
        def find_spec(self, name, path, target=None):
            if name == "lrsweep.executors.ray.station":
                sys.meta_path.remove(self)
                import os, time
                from lrsweep.errors import InvalidInput
                from lrsweep.executors.local import LocalExecutor
                def describe(*given):
                    raise InvalidInput("no data, on purpose")
                LocalExecutor.%s
    sys.meta_path.insert(0, Breaks())
"""
NO_DATA = BREAKS % "describe = describe"
DIES = BREAKS % "start = lambda *given: os._exit(1)"
HANGS = BREAKS % "start = lambda *given: time.sleep(3600)"
HANGS_SECONDS = 20.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that trains nothing, to which the driver is connected, and one node."""
    with Cluster() as one:
        one.add_node()
        yield one


@contextmanager
def opened(cluster: Cluster, *, stations: int = 2, silent_seconds: float = SILENT_SECONDS) -> Iterator[RayExecutor]:
    option = ExecutorOption.parsed(f"ray:{cluster.address},cpus=1,stations={stations}")
    executor = RayExecutor(Place("cpu", option), silent_seconds=silent_seconds)
    try:
        executor.start(WorkloadSpec("digits"))
        executor.describe(WorkloadSpec("digits"))
        yield executor
    finally:
        executor.close()


def stopped(executor: RayExecutor) -> None:
    for training_id in executor.in_flight:
        executor.stop(training_id)
    until_idle(executor, [])


def test_a_node_that_joins_is_used_and_one_that_leaves_costs_no_training(cluster: Cluster) -> None:
    """What ran on the node that left is told as lost by no fault of its own, and goes on elsewhere with the same
    bits."""
    with opened(cluster) as executor:
        assert len(executor.stations) == 1
        before = executor.free
        joined = cluster.add_node()
        until(executor, lambda _: len(executor.stations) == 2)
        assert executor.free == 2 * before
        assert len({station.node_id for station in executor.stations}) == 2

        plans = named(replace(ENDLESS, horizon=30_000), "abcd")
        submit(executor, plans)
        messages = until_running(executor, "ab")
        cluster.kill(joined)
        messages = until(executor, lambda heard: any(isinstance(each, Lost) for each in heard), messages)
        lost = [each for each in messages if isinstance(each, Lost)]
        assert len(lost) == 2
        assert not any(each.was_running for each in lost)
        assert len(executor.stations) == 1
        assert executor.free == 0
        stopped(executor)

        [name, _] = (each.training_id for each in lost)
        [again] = [replace(plan, horizon=60, attempt=2) for plan in plans if plan.training_id == name]
        executor.submit(again)
        assert_same_curve(curve_of(name, until_idle(executor, [])), trained(again, digits())[0])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (NO_STATION, "an older release, on purpose"),
        (NO_DATA, "no data, on purpose"),
        (DIES, "3 stations in a row ended before one took a plan. The last: its process ended while it began"),
        (HANGS, f"its station has begun, and has not answered for {HANGS_SECONDS:.0f} s"),
    ],
    ids=["no station", "no data", "its stations die", "its stations hang"],
)
def test_a_node_that_cannot_be_used_is_told_and_takes_no_place_of_one_that_can(
    wrong: str, why: str, cluster: Cluster, tmp_path: Path
) -> None:
    """It stays there, and is not tried again and again; a good node that joins is used."""
    (tmp_path / "sitecustomize.py").write_text(wrong)
    said: list[str] = []
    option = ExecutorOption.parsed(f"ray:{cluster.address},cpus=1,stations=4")
    executor = RayExecutor(Place("cpu", option), said.append, silent_seconds=HANGS_SECONDS)
    joined = []
    try:
        study = parse_study(STUDY, "tiny.toml")
        resolved = study.resolved(executor.describe(study.workload))
        executor.fit(EngineOption.parsed("sequential"), resolved, Rest(steps=1e6, at_once=24))
        joined.append(cluster.add_node(environ={"PYTHONPATH": str(tmp_path)}))
        until(executor, lambda _: any("cannot be used: " in text and why in text for text in said))
        joined.append(cluster.add_node())
        until(executor, lambda _: len(executor.stations) == 2)
        assert joined[1].node_id in {station.node_id for station in executor.stations}
        assert [text for text in said if "cannot be used" in text] == said[-1:]
    finally:
        executor.close()
        for node in joined:
            cluster.kill(node)


def test_a_killed_station_is_started_again_and_its_trainings_are_not_to_blame(cluster: Cluster) -> None:
    """The engines of one that was killed end with it; the next one begins with nothing in flight."""
    with opened(cluster, stations=1) as executor:
        submit(executor, named(ENDLESS, "ab"))
        until_running(executor, "a")
        [station], engines = executor.stations, executor.pids
        os.kill(station.pid, signal.SIGKILL)
        messages = until(executor, lambda _: not executor.in_flight)
        lost = {each.training_id: each for each in messages if isinstance(each, Lost)}
        assert set(lost) == {"a", "b"}
        assert not lost["a"].was_running
        assert "its station ended" in lost["a"].reason
        until(executor, lambda _: bool(executor.stations))
        assert executor.stations[0].pid != station.pid
        [plan] = named(SHORT, "a")
        executor.submit(replace(plan, attempt=2))
        assert_same_curve(curve_of("a", until_idle(executor, [])), trained(plan, digits())[0])
        until(executor, lambda _: not any(Path(f"/proc/{pid}").exists() for pid in engines))


def test_what_ends_every_station_is_held_to_account(cluster: Cluster) -> None:
    """The first losses are forgiven as long as no step is made in between; after that it counts as a death."""
    with opened(cluster, stations=1) as executor:
        blamed: list[bool] = []
        while not any(blamed):
            assert len(blamed) < 15
            [plan] = named(ENDLESS, "a")
            until(executor, lambda _: bool(executor.stations))
            executor.submit(replace(plan, attempt=len(blamed) + 1, checkpoint_url=None))
            os.kill(executor.stations[0].pid, signal.SIGKILL)
            messages = until_idle(executor, [])
            blamed += [each.was_running for each in messages if isinstance(each, Lost)]
        assert len(blamed) > FORGIVEN  # by those losses more that came before the station was told of it


def test_a_station_that_answers_nothing_is_ended_and_replaced(cluster: Cluster) -> None:
    """As one whose process was stopped, or whose node is out of reach."""

    def silent(times: float) -> None:
        with opened(cluster, stations=1, silent_seconds=3.0 * times) as executor:
            submit(executor, named(ENDLESS, "a"))
            until_running(executor, "a")
            [station] = executor.stations
            os.kill(station.pid, signal.SIGSTOP)
            messages = until_idle(executor, [])
            [lost] = [each for each in messages if isinstance(each, Lost)]
            assert lost.reason == f"its station said nothing for {3.0 * times:.0f} s and was ended"
            until(executor, lambda _: bool(executor.stations))
            [plan] = named(SHORT, "a")
            executor.submit(replace(plan, attempt=2))
            assert ends(until_idle(executor, []))["a"].status is Status.COMPLETED

    in_time(silent)


def test_a_driver_that_does_not_listen_makes_the_engines_wait(cluster: Cluster) -> None:
    """Nothing piles up on the way: the engine stands still until it is heard again, and no record is lost."""
    with opened(cluster, stations=1) as executor:
        [plan] = named(replace(ENDLESS, horizon=1_000_000, evaluations=100_000), "a")
        executor.submit(plan)
        messages = until_running(executor, "a")
        [engine] = executor.pids
        used = -1.0
        while used != (used := seconds_of(engine)):
            time.sleep(2.0)
        heard = curve_of("a", messages).steps
        messages += executor.poll(5.0)
        assert heard < curve_of("a", messages).steps < plan.horizon
        executor.stop("a")
        messages = until_idle(executor, messages)
        records = [each for each in messages if isinstance(each, Record)]
        assert [each.first_step for each in records[1:]] == [each.first_step + len(each.rates) for each in records[:-1]]


def test_each_node_measures_for_itself_and_its_stations_do_so_once(cluster: Cluster) -> None:
    """Two nodes with homes of their own, one of them with two stations: two measurements, and one that is read."""
    joined = cluster.add_node(cpus=2)
    try:
        said: list[str] = []
        option = ExecutorOption.parsed(f"ray:{cluster.address},cpus=1,stations=3")
        executor = RayExecutor(Place("cpu", option), said.append)
        try:
            study = parse_study(STUDY, "tiny.toml")
            resolved = study.resolved(executor.describe(study.workload))
            until(executor, lambda _: len(executor.stations) == 3)
            [lock] = (
                path / "engines.json.lock" for path in cluster.homes.glob(f"{joined.home}/.cache/lrsweep/nodes/*")
            )
            with alone(lock):  # as if a third station measured there
                executor.fit(EngineOption.parsed("fused"), resolved, Rest(steps=1e6, at_once=24))
                looked = time.monotonic() + 15.0
                until(executor, lambda _: time.monotonic() > looked)
                assert len(executor.stations) == 1
            until(executor, lambda _: len(executor.stations) == 3)
        finally:
            executor.close()
        found = [
            json.loads(file.read_text())["entries"] for file in cluster.homes.glob("*/.cache/lrsweep/nodes/*/*.json")
        ]
        assert [len(entries) for entries in found] == [1, 1]
        assert any(text.startswith("engine: fused") and "as measured on" in text for text in said), said
    finally:
        cluster.kill(joined)


def seconds_of(pid: int) -> float:
    """Of a core that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
