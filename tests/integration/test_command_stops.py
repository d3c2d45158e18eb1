"""Trainings by scripts that are to end as stopped: each script is asked, may save, and is not started again."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Outcome, Record, Status
from lrsweep.schedules import schedule
from lrsweep.scripts.command import Command
from tests.scripted_commands import PATIENCE, Bench, a_plan, inline, python, wait_until

QUADRATIC = Command(python("quadratic.py"))
SLEEPS = 'print("{{\\"step\\": 10, \\"val_loss\\": 0.5}}", flush=True); import time; time.sleep(3600)'


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    one = LocalExecutor("cpu")
    yield one
    one.close()


def ends_of(executor: LocalExecutor) -> dict[str, Outcome]:
    """All that is in flight comes to an outcome, and none is lost."""
    give_up = time.monotonic() + PATIENCE
    ends: dict[str, Outcome] = {}
    while executor.in_flight:
        assert time.monotonic() < give_up, ends
        for message in executor.poll(0.05):
            assert isinstance(message, Record), message
            if message.outcome is not None:
                ends[message.training_id] = message.outcome
    return ends


def test_a_script_that_is_stopped_saves_and_ends_as_stopped(tmp_path: Path, executor: LocalExecutor) -> None:
    """With what it reported so far; the other one goes on to its end, and the place is free for a later attempt."""
    command = Command(QUADRATIC.command, steps=40, concurrency=2, stop_grace=PATIENCE)
    executor.describe(command.spec())
    executor.submit(a_plan(command, tmp_path / "a", training_id="a", extra={"pause": 0.1}, horizon=400))
    executor.submit(a_plan(command, tmp_path / "b", training_id="b", extra={"pause": 0.02}))
    reports = tmp_path / "a" / "reports.jsonl"
    wait_until(lambda: reports.exists() and '"step": 10' in reports.read_text(), "no report came")
    executor.stop("a")
    executor.stop("nobody")
    ended = ends_of(executor)
    assert {name: end.status for name, end in ended.items()} == {"a": Status.STOPPED, "b": Status.COMPLETED}
    assert 10 <= ended["a"].steps < 400
    assert ended["a"].metrics["val_loss"] < 0.5
    assert (tmp_path / "a" / "checkpoint" / "saved.json").exists()
    executor.submit(a_plan(command, tmp_path / "a", training_id="a", attempt=2, horizon=400))
    assert ends_of(executor)["a"].status is Status.COMPLETED
    assert executor.free == 2


def test_a_script_that_does_not_hear_a_stop_is_ended_after_its_grace(tmp_path: Path) -> None:
    """It sleeps for an hour after its report: ended as stopped, with what it had reported, and not tried again."""
    command = Command(inline(SLEEPS) + " {lr_table}", stop_grace=0.1)
    bench = Bench()
    bench.engine.submit(a_plan(command, tmp_path / "t"))
    while not (isinstance(heard := bench.said.get(timeout=PATIENCE), Record) and len(heard.rates)):
        pass
    bench.engine.stop("t")
    while not (isinstance(heard := bench.said.get(timeout=PATIENCE), Record) and heard.outcome is not None):
        assert not isinstance(heard, tuple)
    assert (heard.outcome.status, heard.outcome.steps) == (Status.STOPPED, 10)
    assert heard.outcome.metrics == {"val_loss": 0.5}


def test_what_was_stopped_says_nothing_of_what_a_script_can_hear(tmp_path: Path) -> None:
    """Its schedule reacts from update 200 on, and it is stopped after the report at 10: the next one is started."""
    bench = Bench()
    late = {"extra": {"pause": 0.1}, "schedule": schedule("plateau", warmup=0.5), "horizon": 400}
    for name in ("first", "next"):
        bench.engine.submit(a_plan(QUADRATIC, tmp_path / name, training_id=name, **late))
        while not (isinstance(heard := bench.said.get(timeout=PATIENCE), Record) and len(heard.rates)):
            assert not (isinstance(heard, Record) and heard.outcome)
        bench.engine.stop(name)
        while not (isinstance(heard := bench.said.get(timeout=PATIENCE), Record) and heard.outcome is not None):
            pass
        assert heard.outcome.status is Status.STOPPED


def test_a_script_that_waits_for_its_device_is_stopped_with_the_curve_of_its_earlier_attempts(tmp_path: Path) -> None:
    """Somebody holds the lock of its folder; 20 updates were reported before."""
    bench = Bench()
    plan = a_plan(QUADRATIC, tmp_path / "t", extra={"leaves_at": 25, "leaves_with": 75})
    assert bench.run(plan).curve.steps == 20
    with (tmp_path / "t" / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        bench.engine.submit(a_plan(QUADRATIC, tmp_path / "t", extra=plan.extra, attempt=2))
        bench.engine.stop("t")
        heard = bench.said.get(timeout=PATIENCE)
    assert isinstance(heard, Record)
    assert heard.outcome is not None
    assert (heard.outcome.status, heard.outcome.steps, heard.attempt) == (Status.STOPPED, 20, 2)
    assert (heard.first_step, len(heard.rates), heard.evaluation_steps.tolist()) == (0, 20, [10, 20])
