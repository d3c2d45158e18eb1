"""Two devices that are both the CPU, by two of its names: real processes, of which those of one device may be bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.executors.devices import Device
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.executors.placing import DEATHS_THAT_FAIL
from lrsweep.records import Record, Status, TrainingPlan, WorkloadSpec
from tests.crews import SHORT, Messages, named, until

GOOD, BAD = Device("cpu"), Device("cpu:0")
WORKLOAD = """
import os, signal, time
from lrsweep.workloads.digits import Digits

class Own(Digits):
    def __init__(self, settings, device, data):
        super().__init__({{"model": "mlp", "noise": 0.0}}, device, data)

    def batch(self, seed, step):
        {happens}
        return super().batch(seed, step)
"""
LOST_GPU = 'raise RuntimeError("CUDA error: an illegal memory access was encountered")'
DIES = "os.kill(os.getpid(), signal.SIGKILL)"
ON_THE_BAD_ONE = """if str(self.device) == "cpu:0":
            {what}
        while not os.path.exists({flag!r}):
            time.sleep(0.01)"""
"""The good one waits meanwhile, or it would train all before the bad one has loaded three times."""
KILLS = "if seed == 1: os.kill(os.getpid(), signal.SIGKILL)"


def plans(folder: Path, happens: str, names: str) -> list[TrainingPlan]:
    file = folder / "own.py"
    file.write_text(WORKLOAD.format(happens=happens))
    return named(replace(SHORT, workload=WorkloadSpec(f"{file}:Own")), names)


@contextmanager
def opened(devices: Sequence[Device], flag: Path | None = None) -> Iterator[tuple[LocalExecutor, list[str]]]:
    """``flag``: a file that is made when something is said."""
    said: list[str] = []

    def say(sentence: str) -> None:
        said.append(sentence)
        if flag is not None:
            flag.touch()

    with closing(LocalExecutor(devices=devices, say=say)) as executor:
        yield executor, said


def driven(executor: LocalExecutor, waiting: Sequence[TrainingPlan]) -> tuple[dict[str, Record], Messages]:
    """As a driver does: what was lost, or failed by the machine, is trained again; what has died too often is not."""
    by_id = {plan.training_id: plan for plan in waiting}
    left, ended, deaths = [*waiting], dict[str, Record](), Counter[str]()
    everything: Messages = []
    while left or executor.in_flight:
        assert executor.devices
        while left and executor.free > 0:
            executor.submit(left.pop(0))
        messages = until(executor, lambda heard: bool(heard) or not executor.in_flight)
        everything += messages
        for each in messages:
            name = each.training_id
            if isinstance(each, Lost):
                deaths[name] += each.was_running
                if deaths[name] < DEATHS_THAT_FAIL:
                    left.append(by_id[name])
            elif each.outcome is not None and each.outcome.status is Status.FAILED:
                left.append(by_id[name])
            elif each.outcome is not None:
                ended[name] = each
    return ended, everything


@pytest.mark.parametrize("what", [LOST_GPU, DIES], ids=["its GPU is lost", "its process dies"])
def test_a_device_that_fails_again_and_again_is_given_up(what: str, tmp_path: Path) -> None:
    """Nobody has died of it, each training ends on the other device, and it is said once."""
    flag = tmp_path / "said"
    happens = ON_THE_BAD_ONE.format(what=what, flag=str(flag))
    with opened([GOOD, BAD], flag) as (executor, said):
        assert (executor.free, executor.devices) == (4, ["cpu", "cpu:0"])
        ended, messages = driven(executor, plans(tmp_path, happens, "abcdefgh"))
        assert set(ended) == set("abcdefgh")
        assert {each.device for each in ended.values()} == {"cpu"}
        assert not any(isinstance(each, Lost) and each.was_running for each in messages)
        [sentence] = said
        assert sentence.startswith("cpu:0 is given up: 3 times in a row its process has ended before a training did")
        assert sentence.endswith("Trainings go on on cpu.")
        assert (executor.free, executor.devices, len(executor.pids)) == (2, ["cpu"], 1)


def test_a_training_that_kills_its_process_anywhere_is_no_fault_of_a_device(tmp_path: Path) -> None:
    """It dies on both, and then of itself; all others end, and both devices go on."""
    with opened([GOOD, BAD]) as (executor, said):
        ended, messages = driven(executor, plans(tmp_path, KILLS, "abcdef"))
        assert set(ended) == set("acdef")
        assert sum(each.was_running for each in messages if isinstance(each, Lost)) == DEATHS_THAT_FAIL
        assert executor.devices == ["cpu", "cpu:0"]
        assert said == []


def test_the_last_device_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all are bad, trainings die of it as they do where there is one."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with opened([GOOD, GOOD]) as (executor, said):
        ended, messages = driven(executor, named(SHORT, "abcd"))
        assert ended == {}
        died = Counter(each.training_id for each in messages if isinstance(each, Lost) and each.was_running)
        assert died == dict.fromkeys("abcd", DEATHS_THAT_FAIL)
        assert len(said) == len(executor.devices) == 1
