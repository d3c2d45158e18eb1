"""Several processes, and many trainings at once in one: who trains what, how it is stopped, measured, and lost; and
what is measured for `--engine auto`.

A process takes seconds to start, and seconds more to the first step of trainings that are fused: all tests share two.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrsweep.cli.new import write_workload
from lrsweep.engines.machine import available_cores
from lrsweep.errors import Interrupted
from lrsweep.executors import choosing
from lrsweep.executors.choosing import Rest
from lrsweep.executors.chosen import crew_for, measuring_plans
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.records import Crew, Record, Status, WorkloadSpec
from lrsweep.scripts.command import Command
from lrsweep.study import ResolvedStudy, parse_study
from tests.crews import (
    ENDLESS,
    PATIENCE,
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
from tests.patience import in_time


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def executor(said: list[str]) -> Iterator[LocalExecutor]:
    """One for all, for its children take seconds to start; each test takes the crew that it wants, the larger first."""
    one = LocalExecutor("cpu", say=said.append, crew=Crew(2))
    one.start()
    yield one
    one.close()


# ── measured ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("crew", [Crew(2), Crew(2, 2)], ids=str)
def test_a_crew_is_measured(executor: LocalExecutor, crew: Crew) -> None:
    """All of its processes, in the time that was given; trainings are trained afterwards as ever."""
    executor.use(Crew(2))
    ticks: list[int] = []
    plans = named(replace(SHORT, horizon=2), "ab")
    plans.append(replace(SHORT, training_id="c", peak_lr=1e6))  # it diverges

    def measured(times: float) -> None:
        answers = executor.measure(crew, plans, 0.5 * times, lambda: ticks.append(1))
        assert len(answers) == crew.processes
        assert ticks
        for answer in answers:
            assert answer.reason is None
            assert answer.updates > 2 + 2  # what has ended is replaced
            assert answer.seconds >= 0.5 * times
            assert answer.device == "cpu"
            assert answer.peak_bytes > 10**7
            assert answer.free_bytes > 0

    in_time(measured)
    executor.submit(SHORT)
    assert ends(until_idle(executor, []))["t"].status is Status.COMPLETED


@pytest.mark.parametrize("slots", [None, 2])
def test_what_cannot_be_trained_is_measured_as_its_reason(executor: LocalExecutor, slots: int | None) -> None:
    """In a line; the process lives on, and the next measurement is none the worse."""
    executor.use(Crew(2))
    [answer] = executor.measure(Crew(1, slots), [replace(SHORT, metric="val_none")], 0.1)
    assert answer.updates == 0
    assert answer.reason is not None
    assert "the metric is 'val_none'" in answer.reason
    assert "\n" not in answer.reason
    [answer] = executor.measure(Crew(1, slots), [SHORT], 0.1)
    assert answer.reason is None


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_processes_train_beside_each_other_and_die_alone(executor: LocalExecutor) -> None:
    """Idle processes come first; the death of one loses its own two trainings and no others."""
    executor.use(Crew(2))
    assert executor.free == 4
    submit(executor, named(ENDLESS, "abcd"))
    assert (executor.in_flight, executor.free) == (("a", "c", "b", "d"), 0)
    until_running(executor, "ab")
    first, second = executor.pids
    assert first == executor.pid
    os.kill(second, signal.SIGKILL)
    messages = until(executor, lambda heard: any(isinstance(each, Lost) for each in heard))
    lost = [each for each in messages if isinstance(each, Lost)]
    assert [(each.training_id, each.was_running) for each in lost] == [("b", True), ("d", False)]
    assert executor.in_flight == ("a", "c")
    for name in "ac":
        executor.stop(name)
    assert {name: end.status for name, end in ends(until_idle(executor, [])).items()} == {
        "a": Status.STOPPED,
        "c": Status.STOPPED,
    }
    assert executor.pids == [first]


def test_a_stopped_training_ends_as_stopped_whether_it_runs_or_waits(executor: LocalExecutor) -> None:
    """One after the other: the one that runs has made steps, the one that waits none, and the next one is trained."""
    executor.use(Crew())
    submit(executor, named(ENDLESS, "ab"))
    until_running(executor, "a")
    for name in ("b", "a", "nobody"):
        executor.stop(name)
    executor.submit(replace(SHORT, training_id="c"))
    found = ends(until_idle(executor, []))
    assert {name: end.status for name, end in found.items()} == {
        "a": Status.STOPPED,
        "b": Status.STOPPED,
        "c": Status.COMPLETED,
    }
    assert found["a"].steps > 0
    assert found["b"].steps == 0


def test_a_crew_that_shrinks_lets_go_of_its_processes(executor: LocalExecutor) -> None:
    """And one that grows starts its own early, where the first had been started so."""
    executor.use(Crew())
    executor.start(WorkloadSpec("digits"))
    executor.use(Crew(2))
    assert len(executor.pids) == 2
    assert executor.free == 4
    first, _ = executor.pids
    executor.use(Crew())
    assert executor.pids == [first]


def test_scripts_have_one_process_whatever_the_crew() -> None:
    """They run beside each other in it, as many as their study says."""
    executor = LocalExecutor("cpu", crew=Crew(2, 8))
    command = Command("train --table {lr_table}", steps=5, concurrency=3)
    executor.start(command.spec())
    assert executor.describe(command.spec()).horizon == 5
    assert executor.free == 3
    assert len(executor.pids) == 1
    maps = Path(f"/proc/{executor.pid}/maps").read_text()
    assert "torch" not in maps
    executor.close()


# ── `--engine auto` ───────────────────────────────────────────────────────────────────────────────────────────────────

STUDY = '[study]\nname = "tiny"\nworkload = "digits"\nhorizon = 60\n[budget]\ntrials = 24\n'
LONG = Rest(steps=1e9, at_once=4)


@pytest.fixture(scope="module")
def study(executor: LocalExecutor) -> ResolvedStudy:
    study = parse_study(STUDY, "tiny.toml")
    return study.resolved(executor.describe(study.workload))


def test_every_engine_is_measured_and_the_chosen_one_trains(
    executor: LocalExecutor, study: ResolvedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each arrangement of digits has a speed and holds memory; the next sweep reads what was chosen."""
    monkeypatch.setattr(choosing, "LONGEST_BURST", 0.05)  # which one is chosen does not matter here
    said: list[str] = []
    file = tmp_path / "engines.json"
    crew = crew_for(EngineOption(), study, LONG, executor, file, say=said.append)
    [entry] = json.loads(file.read_text())["entries"].values()
    bursts = entry["choice"]["bursts"]
    tried = [Crew(**burst["crew"]) for burst in bursts]
    assert {Crew(), Crew(1, 2), crew} <= set(tried)
    assert (Crew(2) in tried) == (available_cores() > 1)
    assert max(each.at_once for each in tried) <= 4
    assert [burst["reason"] for burst in bursts] == [None] * len(bursts)
    assert all(burst["speed"] > 0 and burst["held_bytes"] > 0 for burst in bursts)
    assert said[1].startswith("engines measured in")

    executor.use(crew)
    for plan in measuring_plans(study, 4):
        executor.submit(plan)
    assert [each.status for each in ends(until_idle(executor, [])).values()] == [Status.COMPLETED] * 4

    again: list[str] = []
    assert crew_for(EngineOption(), study, LONG, executor, file, say=again.append) == crew
    assert len(again) == 1
    assert "as measured on" in again[0]


def test_a_model_that_cannot_be_fused_says_why(executor: LocalExecutor, tmp_path: Path) -> None:
    """One with dropout of PyTorch's own; it is trained one after the other, and that is no error."""
    write_workload(tmp_path / "own.py")
    own = (tmp_path / "own.py").read_text()
    (tmp_path / "own.py").write_text(own.replace("nn.Tanh(),", "nn.Tanh(), nn.Dropout(0.1),"))
    text = STUDY.replace("digits", f"{tmp_path / 'own.py'}:MyWorkload")
    asked = parse_study(f'{text}[space]\noptimizers = ["sgd"]\n', "own.toml")
    resolved = asked.resolved(executor.describe(asked.workload))
    said: list[str] = []
    crew = crew_for(EngineOption.parsed("fused"), resolved, LONG, executor, tmp_path / "engines.json", say=said.append)
    assert crew == Crew()
    assert any(line.startswith("  fused with 2 slots in 1 process: ") and "ropout" in line for line in said)


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_trainings_run_at_once_and_two_wait_in_the_process(executor: LocalExecutor) -> None:
    """Each has its whole curve, with its own rates; another workload waits. How full the slots were is told."""
    executor.use(Crew(1, 4))
    assert executor.busy is None
    assert executor.free == 6
    plans = named(replace(SHORT, horizon=400), "abcdef")  # so long that none ends while the others are submitted
    plans[2] = replace(plans[2], peak_lr=0.05, horizon=1200)
    plans[5] = replace(plans[5], horizon=20, workload=WorkloadSpec("digits", {"model": "cnn"}))
    submit(executor, plans)
    messages = until_idle(executor, [])
    found = ends(messages)
    assert [found[name].status for name in "abcdef"] == [Status.COMPLETED] * 6
    assert set(engines(messages).values()) == {"fused/4"}
    for plan in plans:
        curve = curve_of(plan.training_id, messages)
        np.testing.assert_array_equal(curve.rates, plan.schedule.rates(plan.horizon, plan.peak_lr))
    names = [each.training_id for each in messages if isinstance(each, Record)]
    assert max(names.index(name) for name in "abcd") < min(_ended_at(name, messages) for name in "abcd")
    assert names.index("f") > max(_ended_at(name, messages) for name in "abcde")
    busy = executor.busy
    assert busy is not None
    assert busy.slots == 4
    assert busy.slot_steps == 4 * 400 + 1200 + 20
    assert 0.4 < busy.slot_steps / (busy.slots * busy.steps) <= 1.0


def _ended_at(name: str, messages: Messages) -> int:
    [place] = [
        place
        for place, each in enumerate(messages)
        if isinstance(each, Record) and each.outcome and each.training_id == name
    ]
    return place


def test_a_training_in_a_slot_is_stopped_and_its_neighbours_go_on(executor: LocalExecutor) -> None:
    """Also one that waits for a slot."""
    executor.use(Crew(1, 2))
    submit(executor, named(ENDLESS, "abcd"))
    until_running(executor, "ab")
    for name in ("a", "d", "nobody"):
        executor.stop(name)
    messages = until_running(executor, "bc")
    assert {name: end.status for name, end in ends(messages).items()} == {"a": Status.STOPPED, "d": Status.STOPPED}
    assert executor.in_flight == ("b", "c")
    for name in "bc":
        executor.stop(name)
    assert set(ends(until_idle(executor, []))) == {"b", "c"}


DROPS = """
from torch import nn
from lrsweep.workloads.base import draw_weights
from lrsweep.workloads.digits import Digits

class Drops(Digits):
    def __init__(self, settings, device, data):
        super().__init__({"model": "mlp", "noise": 0.0}, device, data)

    def model(self, seed):
        return draw_weights(nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, 10)), seed)
"""


def test_what_cannot_be_fused_is_trained_one_after_the_other_and_says_why(
    executor: LocalExecutor, said: list[str], tmp_path: Path
) -> None:
    """Once; from then on the process takes what a sequential one takes. A measurement gives the same reason."""
    (tmp_path / "drops.py").write_text(DROPS)
    plan = replace(SHORT, workload=WorkloadSpec(f"{tmp_path / 'drops.py'}:Drops"))
    [answer] = executor.measure(Crew(1, 2), [plan], 0.1)
    assert answer.updates == 0
    assert answer.reason is not None
    executor.use(Crew(1, 4))
    said.clear()
    submit(executor, named(plan, "abcd"))
    messages = until_idle(executor, [])
    assert {end.status for end in ends(messages).values()} == {Status.COMPLETED}
    assert set(engines(messages).values()) == {"sequential"}
    assert said == [f"trained one after the other: {answer.reason}"]
    assert executor.free == 2
    assert executor.busy is None


# ── deaths ───────────────────────────────────────────────────────────────────────────────────────────────────────────

KILLS = """
import os, signal
from lrsweep.workloads.base import Workload
from lrsweep.workloads.digits import Digits

class Kills(Digits):
    feed = Workload.feed

    def __init__(self, settings, device, data):
        super().__init__({"model": "mlp", "noise": 0.0}, device, data)

    def batch(self, seed, step):
        if (seed, step) == (102, 7):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(seed, step)
"""


def test_one_that_kills_its_process_is_found_and_its_neighbours_die_once(
    executor: LocalExecutor, said: list[str], tmp_path: Path
) -> None:
    """Of six, four ran beside each other: alone and in turn three of them complete, and the one dies again. The other
    two wait, and are then trained side by side, in half of the slots."""
    (tmp_path / "kills.py").write_text(KILLS)
    plan = replace(SHORT, workload=WorkloadSpec(f"{tmp_path / 'kills.py'}:Kills"))
    executor.use(Crew(1, 4))
    said.clear()
    plans = {name: replace(plan, training_id=name, seed=100 + seed) for seed, name in enumerate("abcdef")}
    queue, deaths, messages = list(plans), Counter[str](), list[Record | Lost]()
    give_up = time.monotonic() + PATIENCE
    while queue or executor.in_flight:  # as the driver does it
        assert time.monotonic() < give_up, messages
        while queue and executor.free > 0:
            executor.submit(plans[queue.pop(0)])
        for message in executor.poll(0.05):
            messages.append(message)
            if isinstance(message, Lost):
                deaths[message.training_id] += message.was_running
                if deaths[message.training_id] < 2:
                    queue.append(message.training_id)
    assert deaths == {"a": 1, "b": 1, "c": 2, "d": 1, "e": 0, "f": 0}
    records = [each for each in messages if isinstance(each, Record)]
    assert {name: end.status for name, end in ends([*records]).items()} == dict.fromkeys("abdef", Status.COMPLETED)
    assert engines([*records]) == {**dict.fromkeys("abcd", "sequential"), **dict.fromkeys("ef", "fused/2")}
    alone = [each.training_id for each in records if each.engine == "sequential"]
    stretches = [name for place, name in enumerate(alone) if alone[place - 1 : place] != [name]]
    assert stretches == ["a", "b", "c", "d"]
    assert [text for text in said if "trained 4 at once" in text] == said
    assert len(said) == 1


def test_a_process_that_dies_while_it_is_measured_is_a_reason(executor: LocalExecutor, tmp_path: Path) -> None:
    (tmp_path / "kills.py").write_text(KILLS)
    plan = replace(SHORT, workload=WorkloadSpec(f"{tmp_path / 'kills.py'}:Kills"), seed=102)
    executor.use(Crew())
    [answer] = executor.measure(Crew(), [plan], 1.0)
    assert answer.reason == "the engine's process was killed by SIGKILL"
    assert not answer.is_lasting
    assert executor.pids == []


def test_a_measurement_obeys_signals(executor: LocalExecutor) -> None:
    """What ``tick`` raises ends it, and its processes, so that no late answer is taken for another's."""
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) > 2:
            raise Interrupted(15, "stopped")

    executor.use(Crew())
    with pytest.raises(Interrupted):
        executor.measure(Crew(), [SHORT], 60.0, tick)
    assert executor.pids == []
