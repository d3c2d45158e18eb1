"""Engines in a real child process: what it trains, how it is lost, and that it never outlives its driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from lrsweep.errors import Interrupted, InvalidInput, SweepFailed, TryAgain
from lrsweep.executors.local import STALL_SECONDS, LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.records import Curve, Record, Status, TrainingPlan, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command
from lrsweep.study import OPTIMIZERS
from tests.patience import in_time

PATIENCE = 300.0
"""A child imports torch first, which takes a minute where others use the machine too."""

PLAN = TrainingPlan(
    training_id="first",
    attempt=1,
    workload=WorkloadSpec("digits"),
    schedule=schedule("cosine"),
    peak_lr=0.1,
    optimizer=OPTIMIZERS["sgd"],
    horizon=30,
    seed=3,
)
SECOND = replace(PLAN, training_id="second", seed=4)
ENDLESS = replace(PLAN, training_id="endless", horizon=100_000, evaluations=1_000)


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    """One for most tests, for its child takes seconds to start; each test leaves it with nothing in flight."""
    one = LocalExecutor("cpu")
    yield one
    one.close()


def until(executor: LocalExecutor, is_enough: Callable[[Sequence[Record | Lost]], bool]) -> list[Record | Lost]:
    """All messages up to the one that is enough."""
    give_up = time.monotonic() + PATIENCE
    messages: list[Record | Lost] = []
    while not is_enough(messages):
        assert time.monotonic() < give_up, messages
        messages += executor.poll(0.05)
    return messages


def idle(executor: LocalExecutor) -> Callable[[Sequence[Record | Lost]], bool]:
    return lambda _: not executor.in_flight


def running(executor: LocalExecutor) -> int:
    """Submits an endless training and a second one; the process that trains the first."""
    executor.submit(ENDLESS)
    executor.submit(SECOND)
    assert executor.free == 0
    until(executor, lambda messages: any(isinstance(each, Record) and each.first_step > 0 for each in messages))
    assert executor.pid is not None
    return executor.pid


def lives(pid: int) -> bool:
    """A zombie does not: nobody may be there to wait for the child of a driver that was killed."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone this very moment, or a system without /proc
        return not Path("/proc/self").exists()


def test_a_workload_says_what_it_is(executor: LocalExecutor) -> None:
    """Every setting, the defaults too, and the batch size and horizon that a study builds on."""
    facts = executor.describe(WorkloadSpec("digits", {"model": "cnn"}))
    assert (facts.name, facts.batch_size, facts.horizon) == ("digits", 64, 600)
    assert facts.settings == {"model": "cnn", "noise": 0.0}


def test_an_unknown_workload_says_why_and_the_process_lives_on(executor: LocalExecutor) -> None:
    """With a guess; the next question is answered by the same process."""
    executor.start()
    before = executor.pid
    with pytest.raises(InvalidInput, match=r"unknown workload 'digit'\. Did you mean 'digits'\?"):
        executor.describe(WorkloadSpec("digit"))
    assert executor.describe(WorkloadSpec("digits")).name == "digits"
    assert executor.pid == before


def test_a_script_and_a_workload_share_an_executor(executor: LocalExecutor) -> None:
    """The places are those of what was asked about last: all scripts run, and one of two workloads waits."""
    scripts = Command("train --table {lr_table}", steps=5, concurrency=16)
    assert executor.describe(scripts.spec()).horizon == 5
    assert executor.free == 16
    assert executor.describe(WorkloadSpec("digits")).name == "digits"
    assert executor.free == 2


def test_two_trainings_run_in_order_each_with_its_whole_curve(executor: LocalExecutor) -> None:
    """The first has ended before the second begins; a curve is the plan's own rates."""
    executor.submit(PLAN)
    executor.submit(SECOND)
    assert (executor.in_flight, executor.free) == (("first", "second"), 0)
    messages = until(executor, idle(executor))
    records = [each for each in messages if isinstance(each, Record)]
    assert len(records) == len(messages)
    names = [record.training_id for record in records]
    assert names == sorted(names)
    for plan in (PLAN, SECOND):
        curve = Curve.empty()
        for record in records:
            if record.training_id == plan.training_id:
                curve = curve.extended(record)
        np.testing.assert_array_equal(curve.rates, plan.schedule.rates(30, 0.1))
        assert curve.evaluation_steps[-1] == 30
    ends = {record.training_id: record.outcome.status for record in records if record.outcome}
    assert ends == {"first": Status.COMPLETED, "second": Status.COMPLETED}
    assert executor.free == 2


def test_a_killed_process_loses_its_trainings_and_the_next_plan_gets_a_fresh_one(executor: LocalExecutor) -> None:
    """One was running and one was not; nothing that came before is lost."""
    pid = running(executor)
    os.kill(pid, signal.SIGKILL)
    lost = [each for each in until(executor, idle(executor)) if isinstance(each, Lost)]
    assert [(each.training_id, each.was_running) for each in lost] == [("endless", True), ("second", False)]
    assert all(each.reason == "the engine's process was killed by SIGKILL" for each in lost)
    assert executor.poll(0.0) == []

    executor.submit(replace(SECOND, attempt=2))
    last = until(executor, idle(executor))[-1]
    assert isinstance(last, Record)
    assert last.outcome is not None
    assert (last.training_id, last.attempt, last.outcome.status) == ("second", 2, Status.COMPLETED)
    assert executor.pid not in (None, pid)


def test_a_process_that_makes_no_step_is_killed(executor: LocalExecutor) -> None:
    """Stopped, it says nothing; after the time set its trainings are lost and it is gone."""
    pid = running(executor)
    try:
        os.kill(pid, signal.SIGSTOP)
        executor.stall_seconds = 0.3
        lost = [each for each in until(executor, idle(executor)) if isinstance(each, Lost)]
    finally:
        executor.stall_seconds = STALL_SECONDS
    assert [(each.training_id, each.was_running) for each in lost] == [("endless", True), ("second", False)]
    assert lost[0].reason == "the engine made no step for 0 s and was killed"
    assert not lives(pid)


DRIVER = """
import sys
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import WorkloadSpec

executor = LocalExecutor("cpu")
executor.describe(WorkloadSpec("digits"))
print(executor.pid, sys.stdin.readline(), sep=",", end="", flush=True)
executor.poll(600)
"""


def test_a_child_ends_with_its_driver_and_leaves_its_terminal_alone(tmp_path: Path) -> None:
    """The driver's own line of input and output pass by the child; killed, the driver takes it along.

    It waits for work at that time, so that no broken pipe could tell it. A file of the working folder that has a
    standard module's name is not taken for it.
    """
    script, folder = tmp_path / "scripts" / "driver.py", tmp_path / "work"
    script.parent.mkdir()
    script.write_text(DRIVER)
    folder.mkdir()
    (folder / "queue.py").write_text("raise SystemExit('the wrong queue')")
    driver = subprocess.Popen(
        [sys.executable, script],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdin is not None
    assert driver.stdout is not None
    with driver.stdin, driver.stdout:
        driver.stdin.write("a line for the driver\n")
        driver.stdin.flush()
        pid, _, line = driver.stdout.readline().partition(",")
        assert line == "a line for the driver\n"
        assert lives(int(pid))
        driver.kill()
        driver.wait()
        give_up = time.monotonic() + PATIENCE
        while lives(int(pid)):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert driver.stdout.read() == ""


def a_child_that(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    """An executor whose process runs ``code``, which finds the pipe as ``fd``: for endings that torch seldom shows."""
    program = folder / "python"
    begin = f"#!{sys.executable}\nimport os, sys, time\nfd = int(sys.argv[4])\n"
    program.write_text(begin + dedent(code))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return LocalExecutor("cpu")


def test_a_process_that_ended_before_it_was_asked_is_told_as_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts while the driver connects to MLflow, so it may be gone when the question comes."""
    executor = a_child_that("sys.exit('no torch here')", tmp_path, monkeypatch)
    executor.start()
    assert executor.pid is not None
    os.waitid(os.P_PID, executor.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(SweepFailed, match=r"'digits' could not be loaded: .* exit code 1; it wrote:\nno torch here"):
        executor.describe(WorkloadSpec("digits"))


def test_the_folder_of_data_sets_reaches_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an argument; empty where nobody named one."""
    a_child_that("sys.exit(f'data: {sys.argv[6]!r}')", tmp_path, monkeypatch)
    with pytest.raises(SweepFailed, match="data: '/data sets'"):
        LocalExecutor("cpu", data=Path("/data sets")).describe(WorkloadSpec("digits"))
    with pytest.raises(SweepFailed, match="data: ''"):
        LocalExecutor("cpu").describe(WorkloadSpec("digits"))


def test_while_a_workload_loads_a_signal_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``tick`` raises leaves ``describe`` at once, although the process would load for another minute."""
    executor = a_child_that("time.sleep(60)", tmp_path, monkeypatch)

    def tick() -> None:
        raise Interrupted(15, "stopped")

    with pytest.raises(Interrupted):
        executor.describe(WorkloadSpec("digits"), tick)
    executor.close()


def test_a_process_that_ends_in_the_middle_of_a_record_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes say that 256 follow, and four follow: no record, and the reason says what it wrote."""
    code = r"""
        os.write(fd, b"\0\0\1\0half")
        sys.exit("out of memory")
    """
    executor = a_child_that(code, tmp_path, monkeypatch)
    executor.submit(PLAN)
    [lost] = until(executor, idle(executor))
    assert lost == Lost("first", "the engine's process ended with exit code 1; it wrote:\nout of memory", True)


def test_a_process_that_says_it_lives_is_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script is silent for twice the time after which an engine that says nothing is taken for dead."""

    def lives_on(times: float) -> None:
        code = f"""
            from multiprocessing.connection import Connection
            from lrsweep.executors.messages import Alive, Lost

            connection = Connection(fd)
            connection.recv()
            connection.send(Lost("second", "preempted", was_running=False))
            for _ in range({round(30 * times)}):
                connection.send(Alive())
                time.sleep(0.1)
            connection.send(Lost("first", "killed", was_running=True))
            time.sleep(600)
        """
        with monkeypatch.context() as patch, closing(a_child_that(code, tmp_path, patch)) as executor:
            executor.submit(PLAN)
            executor.submit(SECOND)
            first = until(executor, lambda messages: len(messages) > 0)
            assert executor.in_flight == ("first",)
            executor.stall_seconds = 1.5 * times
            assert [*first, *until(executor, idle(executor))] == [
                Lost("second", "preempted", was_running=False),
                Lost("first", "killed", was_running=True),
            ]

    in_time(lives_on)


def test_a_torn_checkpoint_is_told_to_whoever_drives(tmp_path: Path) -> None:
    """Once, although two trainings meet the same file; both complete, from their first step."""
    torn = tmp_path / f"step-5-{64 * '0'}.ckpt"
    torn.write_bytes(b"half of it")
    said: list[str] = []
    executor = LocalExecutor("cpu", say=said.append)
    executor.submit(replace(PLAN, checkpoint_url=str(tmp_path)))
    executor.submit(replace(SECOND, checkpoint_url=str(tmp_path)))
    messages = until(executor, idle(executor))
    executor.close()
    ends = [each.outcome for each in messages if isinstance(each, Record) and each.outcome]
    assert [(end.status, end.steps) for end in ends] == [(Status.COMPLETED, 30)] * 2
    assert said == [
        f"The checkpoint {torn} is not used: its content does not have the checksum in its name: it is torn, or was "
        "changed. The one before it is tried."
    ]


SLOW = """
import time, warnings
from lrsweep.workloads.digits import Digits

class Slow(Digits):
    def __init__(self, settings, device, data):
        super().__init__({{"model": "mlp", "noise": 0.0}}, device, data)
        warnings.warn("many files")

    def batch(self, seed, step):
        warnings.warn("slow data")
        if (seed, step) == (4, 20):
            time.sleep(3600)
        return super().batch(seed, step)

    def evaluate(self, model, half):
        time.sleep({seconds} if half == "search" else 0.0)
        return super().evaluate(model, half)
"""


def test_a_long_evaluation_is_not_taken_for_a_hang_and_a_step_that_hangs_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation takes twice the time after which a silent engine is killed, and its training completes; a batch of
    the next one never comes. What the workload warns of is told, each once, from its loading on."""
    code = """
        from lrsweep.executors import child, heartbeat

        heartbeat.ALIVE_EVERY = 0.1
        child.main(fd, "cpu", None, None)
    """
    a_child_that(code, tmp_path, monkeypatch)
    warned = ["UserWarning: many files", "UserWarning: slow data"]

    def evaluated(times: float) -> None:
        said: list[str] = []
        (tmp_path / "slow.py").write_text(SLOW.format(seconds=4.0 * times))
        slow = WorkloadSpec(f"{tmp_path / 'slow.py'}:Slow")
        with closing(LocalExecutor("cpu", say=said.append)) as executor:
            executor.describe(slow)
            assert [sentence.partition(": ")[2] for sentence in said] == warned
            executor.stall_seconds = 2.0 * times
            executor.submit(replace(PLAN, workload=slow, evaluations=1))
            executor.submit(replace(SECOND, workload=slow, evaluations=1))
            *_, end, begun, lost = until(executor, idle(executor))
        assert isinstance(end, Record)
        assert isinstance(begun, Record)
        assert end.outcome is not None
        assert (end.training_id, end.outcome.status, begun.training_id) == ("first", Status.COMPLETED, "second")
        assert lost == Lost("second", f"the engine made no step for {2 * times:.0f} s and was killed", True)
        assert len(said) == 2

    in_time(evaluated)


def test_a_process_that_hangs_while_it_ends_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe is closed and the process stays: the driver does not wait for it for ever."""
    monkeypatch.setattr("lrsweep.executors.process.ENDING_SECONDS", 0.1)
    executor = a_child_that("os.close(fd)\ntime.sleep(600)", tmp_path, monkeypatch)
    executor.submit(PLAN)
    [lost] = until(executor, idle(executor))
    assert lost == Lost("first", "the engine's process was killed by SIGKILL", True)


def test_a_process_that_starts_slowly_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It imports for longer than a step may take, warns meanwhile and says once that it lives; from its first record on
    it is held to the shorter time."""
    code = """
        from multiprocessing.connection import Connection
        from lrsweep.executors.messages import Alive, Lost, Said

        connection = Connection(fd)
        connection.recv()
        for sign in (Said("a warning"), Alive()):
            time.sleep(0.6)
            connection.send(sign)
        time.sleep(0.6)
        connection.send(Lost("first", "preempted", was_running=False))
        time.sleep(600)
    """
    executor = a_child_that(code, tmp_path, monkeypatch)
    executor.stall_seconds = 0.3
    executor.submit(PLAN)
    executor.submit(SECOND)
    assert until(executor, idle(executor)) == [
        Lost("first", "preempted", was_running=False),
        Lost("second", "the engine made no step for 0 s and was killed", was_running=True),
    ]


def test_a_workload_that_never_loads_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command may work the next time, and nothing is left behind."""
    monkeypatch.setattr("lrsweep.executors.process.STARTUP_SECONDS", 0.1)
    executor = a_child_that("time.sleep(600)", tmp_path, monkeypatch)
    executor.stall_seconds = 0.1
    with pytest.raises(TryAgain, match="'digits' said nothing for 0 s as it loaded"):
        executor.describe(WorkloadSpec("digits"))
    assert executor.pid is None
