"""A drain of real processes: within the time of a step all has given way, and another process goes on from there."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.records import Crew, Status, TrainingPlan, WorkloadSpec
from tests.crews import ENDLESS, SHORT, Messages, curve_of, ends, named, submit, until_idle, until_running
from tests.patience import in_time
from tests.trainings import assert_same_curve, digits, trained


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    one = LocalExecutor("cpu")
    yield one
    one.close()


def in_folders(plans: list[TrainingPlan], folder: Path) -> list[TrainingPlan]:
    return [replace(plan, checkpoint_url=str(folder / plan.training_id)) for plan in plans]


def drained(executor: LocalExecutor, plans: list[TrainingPlan], running: str) -> tuple[Messages, list[None]]:
    submit(executor, plans)
    messages = until_running(executor, running)
    ticks: list[None] = []
    messages += executor.drain(lambda: ticks.append(None))
    assert (executor.in_flight, executor.pids) == ((), [])
    assert not any(isinstance(each, Lost) or each.outcome for each in messages)
    return messages, ticks


def test_a_drained_training_is_continued_by_another_process_at_its_step(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    """Not at the last minute's checkpoint, for there is none; the whole curve is the undisturbed one to the bit. What
    waited behind it was never begun."""

    def continued(times: float) -> None:
        folder = tmp_path / f"{times}"
        plan = replace(ENDLESS, horizon=round(8_000 * times), evaluations=100)
        plans = in_folders(named(plan, "ab"), folder)
        before, ticks = drained(executor, plans, "a")
        done = curve_of("a", before).steps
        assert 0 < done < plan.horizon
        assert ticks
        assert [path.name.split("-")[1] for path in (folder / "a").iterdir()] == [str(done)]
        assert not (folder / "b").exists()

        submit(executor, [replace(plans[0], attempt=2)])
        messages = until_idle(executor, [])

        first = next(each for each in messages if not isinstance(each, Lost))
        assert len(first.rates) == done
        assert set(ends(messages)) == {"a"}
        assert_same_curve(curve_of("a", messages), trained(replace(plans[0], checkpoint_url=None), digits())[0])

    in_time(continued)  # else it may have ended before it is drained


def test_every_slot_is_continued_at_its_step(executor: LocalExecutor, tmp_path: Path) -> None:
    """Of two in slots and one that waits; by a process that trains one after the other."""
    executor.use(Crew(1, 2))
    plans = in_folders(named(ENDLESS, "abc"), tmp_path)
    before, _ = drained(executor, plans, "ab")
    done = {name: curve_of(name, before).steps for name in "ab"}
    assert {name: [path.name.split("-")[1] for path in (tmp_path / name).iterdir()] for name in "ab"} == {
        name: [str(steps)] for name, steps in done.items()
    }
    executor.use(Crew())
    submit(executor, [replace(plans[0], attempt=2)])
    messages = until_running(executor, "a")
    first = next(each for each in messages if not isinstance(each, Lost))
    assert len(first.rates) == done["a"] > 0
    executor.close()


def test_a_step_that_does_not_end_is_not_waited_for(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is ended then; what it had said before is kept."""
    monkeypatch.setattr("lrsweep.executors.local.DRAIN_SECONDS", 0.5)
    executor.use(Crew())
    submit(executor, in_folders(named(ENDLESS, "a"), tmp_path))
    messages = until_running(executor, "a")
    engine = executor.pid
    assert engine is not None
    os.kill(engine, signal.SIGSTOP)
    messages += executor.drain(lambda: None)
    assert curve_of("a", messages).steps > 0
    assert executor.pids == []
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)


def test_where_nothing_runs_a_drain_is_over_at_once(executor: LocalExecutor) -> None:
    """Nobody is asked."""
    assert executor.drain(pytest.fail) == []


LOSES_THE_GPU = """
from lrsweep.workloads.digits import Digits

class Loses(Digits):
    def __init__(self, settings, device, data):
        super().__init__({"model": "mlp", "noise": 0.0}, device, data)

    def batch(self, seed, step):
        if (seed, step) == (0, 3):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().batch(seed, step)
"""


def test_a_process_that_lost_its_gpu_makes_place_and_nobody_has_died(executor: LocalExecutor, tmp_path: Path) -> None:
    """As a workload that tells of it on a CPU: the next training gets a fresh process."""
    file = tmp_path / "loses.py"
    file.write_text(LOSES_THE_GPU)
    executor.use(Crew())
    plans = named(replace(SHORT, workload=WorkloadSpec(f"{file}:Loses")), "ab")
    submit(executor, plans)
    messages = until_idle(executor, [])
    failed = next(each for each in messages if not isinstance(each, Lost) and each.outcome)
    assert (failed.training_id, failed.outcome and failed.outcome.status) == ("a", Status.FAILED)
    lost = [each for each in messages if isinstance(each, Lost)]
    assert [(each.training_id, each.was_running) for each in lost] == [("b", False)]
    submit(executor, [replace(plans[1], attempt=2)])
    assert ends(until_idle(executor, []))["b"].status is Status.COMPLETED
