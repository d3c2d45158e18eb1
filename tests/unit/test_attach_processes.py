"""Which process of a script reports, and when several of them leave."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.scripts import stopping
from lrsweep.scripts.plan_file import PlanFile, write_plan_file
from lrsweep.scripts.processes import OTHER_RANKS, RANK, SIZES, is_first, trains_with_others
from lrsweep.scripts.stopping import TOGETHER_UPDATES, StopSign
from tests.plans import plan_in


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher's variables, and no PyTorch that knows better."""
    for name in (RANK, *OTHER_RANKS, *SIZES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)


@pytest.mark.parametrize(
    ("environ", "first", "together"),
    [
        ({}, True, False),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}, True, True),
        ({"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, False, True),
        ({"RANK": "0", "SLURM_PROCID": "1", "WORLD_SIZE": "16"}, True, True),  # torchrun on Slurm orders nodes itself
        ({"RANK": "8", "SLURM_PROCID": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "16"}, False, True),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, False, True),  # Lightning's second process
        ({"NODE_RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, False, True),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}, False, True),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, False, True),
        ({"RANK": "0", "WORLD_SIZE": "1"}, True, False),
        ({"RANK": "", "WORLD_SIZE": "auto"}, True, False),
    ],
)
def test_the_launchers_variables_say_who_is_first(
    monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str], first: bool, together: bool
) -> None:
    """torchrun, srun, mpirun, Lightning; without any of them a process is alone."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (is_first(), trains_with_others()) == (first, together)


class Clock:
    """Time that passes by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(stopping, "time", made)
    return made


def last_updates(
    plan: PlanFile, monkeypatch: pytest.MonkeyPatch, clock: Clock, *, seconds: float, stop_after: int
) -> list[int]:
    """Two processes in step, an update in so many seconds; after which update each leaves. The second is asked late:
    the first is an update ahead by then."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    signs, left = [StopSign(plan), StopSign(plan)], [0, 0]
    for update in range(1, 200):
        clock.now += seconds
        if update == stop_after:
            plan.stop.touch()
        for rank, asked in ((0, update), (1, update - 1)):
            monkeypatch.setenv("RANK", str(rank))
            if not left[rank] and asked and signs[rank].is_up(asked):
                left[rank] = asked
    return left


@pytest.mark.parametrize("seconds", [0.0001, 0.004, 0.06, 0.9])
@pytest.mark.parametrize("stop_after", [1, 15, 16, 17, 31, 100])
def test_together_they_leave_after_the_same_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, seconds: float, stop_after: int
) -> None:
    """Within 16 updates until the first looks, and 18 more for the others to have looked."""
    left = last_updates(plan_in(tmp_path), monkeypatch, clock, seconds=seconds, stop_after=stop_after)
    assert left[0] == left[1]
    assert stop_after < left[0] <= stop_after + 2 * TOGETHER_UPDATES + 2


def test_slow_updates_are_not_waited_for_by_the_dozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Of updates that take five seconds, two more."""
    left = last_updates(plan_in(tmp_path), monkeypatch, clock, seconds=5.0, stop_after=10)
    assert left == [12, 12]


def test_alone_it_looks_once_in_a_second(tmp_path: Path, clock: Clock) -> None:
    """A look costs a call to the file system, and updates may be fast."""
    plan = plan_in(tmp_path)
    sign = StopSign(plan)
    assert not sign.is_up(1)
    plan.stop.touch()
    clock.now += 0.9
    assert not sign.is_up(50_000)
    clock.now += 0.2
    assert sign.is_up(50_001)


def test_a_folder_with_a_fault_is_looked_at_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process does not leave alone where it cannot tell the others; nor does anything raise."""
    plan = plan_in(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    plan.stop.touch()
    plan.stop_at.mkdir()
    sign = StopSign(plan)
    assert not sign.is_up(1)
    plan.stop_at.rmdir()
    clock.now += 1
    assert not sign.is_up(2)
    assert plan.stop_at.read_text() == "20"
    assert sign.is_up(20)


def test_a_process_whose_plan_has_gone_on_without_it_stops(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, and together after the same update; those of the next attempt do not take that for theirs."""
    plan = plan_in(tmp_path)
    write_plan_file(plan)  # written again, it is still this attempt's
    alone, together = StopSign(plan), StopSign(plan)
    assert not alone.is_up(1)
    write_plan_file(replace(plan, attempt=2))
    clock.now += 2
    assert alone.is_up(2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not together.is_up(2)
    assert together.is_up(20)
    monkeypatch.setenv("RANK", "1")
    assert StopSign(plan).is_up(20)
    assert not StopSign(replace(plan, attempt=2)).is_up(20)
