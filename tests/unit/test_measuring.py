"""How fast an engine trains: stretches of trainings one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines.measuring import Benches, CannotMeasure, OutOfMemory
from lrsweep.records import OptimizerSpec
from lrsweep.workloads.base import Half
from tests.trainings import PLAN, Line

LONG = replace(PLAN, horizon=100_000, evaluations=2_000)
"""An evaluation after each fifty updates, and no end."""


class Watched(Line):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.models = self.evaluations = 0
        self.threads: set[int] = set()

    def model(self, seed: int) -> nn.Module:
        self.models += 1
        return super().model(seed)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        self.threads.add(torch.get_num_threads())
        return super().batch(seed, step)

    def evaluate(self, model: nn.Module, half: Half) -> dict[str, float]:
        self.evaluations += 1
        return super().evaluate(model, half)


@pytest.fixture
def benches() -> Iterator[Benches]:
    before = set(threading.enumerate())
    made = Benches()
    yield made
    made.close()
    assert set(threading.enumerate()) <= before


def test_a_training_goes_on_from_one_stretch_to_the_next(benches: Benches) -> None:
    """However short they are, they have its evaluations."""
    workload = Watched()
    stretches = 0
    while stretches < 30 or (workload.evaluations <= 2 and stretches < 1_000):  # in a busy one there is one update
        updates, seconds = benches.run(workload, [LONG], None, 0.01)
        assert updates > 0
        assert seconds >= 0.01
        stretches += 1
    assert workload.evaluations > 2
    assert workload.models == 1


def test_all_that_is_measured_has_as_many_threads(benches: Benches) -> None:
    """One core, in an engine's process; what PyTorch gives a new thread is what was set."""
    before = torch.get_num_threads()
    workload = Watched()
    try:
        torch.set_num_threads(3)
        benches.run(workload, [LONG], None, 0.01)
    finally:
        torch.set_num_threads(before)
    assert workload.threads == {3}


def test_what_fails_is_told_each_time(benches: Benches) -> None:
    """Also when it has failed before, and nothing waits for a thread that has ended."""
    wrong = replace(LONG, optimizer=OptimizerSpec("sdg", {}))
    for _ in range(2):
        with pytest.raises(CannotMeasure, match="no engine knows the optimizer 'sdg'"):
            benches.run(Line(), [wrong], None, 0.01)


def test_stretches_end_in_time_and_trainings_follow_each_other(benches: Benches) -> None:
    """Short ones, of three updates each."""
    workload = Watched()
    updates, seconds = benches.run(workload, [replace(PLAN, horizon=3, evaluations=1)], None, 0.1)
    assert seconds >= 0.1
    assert workload.models >= updates // 3


class Leaving(Line):
    """It wants to end the process, once it has trained."""

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        if step == 3:
            raise SystemExit("enough")
        return super().batch(seed, step)


def test_what_ends_the_thread_is_raised_where_it_is_waited_for(benches: Benches) -> None:
    """Each time, and nobody waits for ever."""
    workload = Leaving()
    for _ in range(2):
        with pytest.raises(SystemExit, match="enough"):
            benches.run(workload, [LONG], None, 10.0)


class Short(Line):
    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        raise MemoryError("Unable to allocate 7 GiB")


def test_memory_that_is_short_for_one_is_told_as_that(benches: Benches) -> None:
    """Another time there may be more."""
    with pytest.raises(OutOfMemory, match=r"^out of memory on the CPU"):
        benches.run(Short(), [LONG], None, 0.01)
