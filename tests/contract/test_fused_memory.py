"""When memory runs out K halves, every training goes back to its checkpoint, and nobody hears of it but the log.

Most of it is raised by the tests themselves, with the words of PyTorch's allocator, so that it comes at every place
where numbers are made; in one test a process has no more memory to get.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import resource
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines.fused.bank import Bank
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.records import EngineSettings, Record, Status, TrainingPlan
from tests.fused import (
    PLAN,
    Ended,
    Heard,
    checkpoints_in_memory,
    curves_apart,
    ended,
    fresh_engine,
    fused,
    kept,
    sequentially,
)
from tests.fused_workloads import CLASSES, Mlp, Small, Together

SLOTS = 8
BOUND = 1e-9
SHORTAGE = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes."
PLANS = [replace(PLAN, training_id=f"seed {seed}", seed=seed, horizon=16, evaluations=4) for seed in range(10)]


class Tiny(Mlp, Together):
    pass


@pytest.fixture
def plans() -> Iterator[list[TrainingPlan]]:
    """With checkpoints after every update."""
    with checkpoints_in_memory():
        yield [kept(plan) for plan in PLANS]


def short_of(kind: object, method: str, at_call: int, patch: pytest.MonkeyPatch) -> None:
    """That call, counted from 1, finds no memory."""
    calls = 0
    called = getattr(kind, method)

    def short(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at_call:
            raise RuntimeError(SHORTAGE)
        return called(*given, **named)

    patch.setattr(kind, method, short)


def run(engine: FusedEngine) -> None:
    while not engine.is_idle:
        engine.advance()


def assert_all_completed(heard: Heard) -> None:
    """Each with one outcome and the curve of the sequential engine."""
    assert sorted(heard.records) == sorted(plan.training_id for plan in PLANS)
    for plan in PLANS:
        one = ended(heard.records[plan.training_id])
        assert one.outcome.status is Status.COMPLETED, one.outcome.error
        assert curves_apart(one, alone()[plan.training_id]) < BOUND


@lru_cache
def alone() -> dict[str, Ended]:
    workload = Tiny()
    return {plan.training_id: sequentially(plan, workload) for plan in PLANS}


@pytest.mark.parametrize(
    ("kind", "method", "at_call"),
    [
        (Bank, "step", 1),
        (Bank, "step", 10),
        (Bank, "put", 5),
        (Bank, "evaluate", 1),
        (Bank, "evaluate", 4),
        (Bank, "evaluate", 5),
        (Bank, "optimizer_of", 13),
        (Tiny, "model", 5),
        (Tiny, "batch", 30),
    ],
)
def test_half_as_many_go_on_and_all_of_them_end_well(
    kind: object,
    method: str,
    at_call: int,
    plans: list[TrainingPlan],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever it runs out: ten trainings, of which eight were running; the log says it once."""
    workload = Tiny()
    engine, heard = fresh_engine(workload, SLOTS, EngineSettings())
    short_of(workload if kind is Tiny else kind, method, at_call, monkeypatch)
    for plan in plans:
        engine.submit(plan)
    with caplog.at_level(logging.WARNING, "lrsweep"):
        run(engine)
    assert engine.slots == SLOTS // 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "out of memory with 8 trainings at once: 4 go on" in caplog.text
    assert_all_completed(heard)


def test_they_go_on_in_the_order_in_which_they_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """By which a process that dies is known to have run the first of those it was given: the third training came into
    the first slot, and is not among the one that goes on."""
    records: list[Record] = []
    engine = FusedEngine(Tiny(), EngineSettings(), 2, records.append)
    for plan in (replace(PLANS[0], horizon=4), *PLANS[1:3]):
        engine.submit(plan)
    short_of(Bank, "step", 8, monkeypatch)
    run(engine)
    assert engine.slots == 1
    assert [record.training_id for record in records if record.outcome] == ["seed 0", "seed 1", "seed 2"]


def test_they_go_on_from_their_checkpoints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Memory runs out in the tenth step, nine updates are on the disk: every one of the eight goes on after them."""
    monkeypatch.setattr("lrsweep.engines.checkpoints.CHECKPOINT_SECONDS", 0.0)
    plans = [replace(plan, checkpoint_url=str(tmp_path / plan.training_id)) for plan in PLANS]
    engine, heard = fresh_engine(Tiny(), SLOTS, EngineSettings())
    short_of(Bank, "step", 10, monkeypatch)
    for plan in plans:
        engine.submit(plan)
    run(engine)
    begins = {
        name: [len(record.rates) for record in records if record.first_step == 0 and not record.outcome][-1]
        for name, records in heard.records.items()
    }
    assert list(begins.values())[:SLOTS] == [9] * SLOTS
    assert engine.slot_steps == 16 * len(plans)
    engines = [[record.engine for record in records if record.outcome] for records in heard.records.values()]
    assert engines == [["fused/4"]] * len(plans)


def test_a_checkpoint_at_an_evaluation_that_finds_no_memory_is_used_once(
    plans: list[TrainingPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sequential engine's is evaluated as it comes into a slot: the training must not be there twice."""
    calls = 0

    def breaks() -> bool:
        nonlocal calls
        calls += 1
        return calls == 7

    sequentially(plans[0], Tiny(), stopped=breaks)
    engine, heard = fresh_engine(Tiny(), SLOTS, EngineSettings())
    short_of(Bank, "evaluate", 1, monkeypatch)
    for plan in plans:
        engine.submit(plan)
    run(engine)
    assert engine.slots == SLOTS // 2
    assert_all_completed(heard)


@pytest.mark.parametrize(("kind", "method"), [(Bank, "step"), (Tiny, "model"), (Bank, "evaluate"), (Tiny, "batch")])
def test_what_does_not_fit_alone_has_failed(kind: object, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One slot: it ends with the numbers and what to do; the next training has its turn."""
    workload = Tiny()
    engine, heard = fresh_engine(workload, 1, EngineSettings())
    short_of(workload if kind is Tiny else kind, method, 1, monkeypatch)
    for plan in PLANS[:2]:
        engine.submit(plan)
    run(engine)
    first, second = (ended(heard.records[plan.training_id]).outcome for plan in PLANS[:2])
    assert first.status is Status.FAILED
    assert (first.error or "").startswith("out of memory on the CPU: 4.00 KiB were asked for; this process has ")
    assert second.status is Status.COMPLETED


class ShortAtFirst(Tiny):
    """When its loss is first computed, in the step in which the engine traces it, it asks for four exbibytes."""

    losses = 0

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.losses += 1
        too_large = torch.empty(1 << 60).sum() if self.losses == 1 else 0.0
        return super().loss(outputs, targets) + too_large


def test_nothing_of_the_bank_that_was_too_large_is_kept() -> None:
    """The smaller one needs its memory. Where tracing fails PyTorch keeps for ever what it was tracing with."""
    engine, _ = fresh_engine(ShortAtFirst(), SLOTS, EngineSettings())
    for plan in PLANS:
        engine.submit(plan)
    assert banks_of(SLOTS) == 1
    run(engine)
    assert engine.slots == SLOTS // 2
    assert banks_of(SLOTS) == 0


def banks_of(slots: int) -> int:
    """How many tensors hold the parameters of so many of the models."""
    gc.collect()
    shape = slots, sum(each.numel() for each in Tiny().make().parameters())
    return sum(type(each) is Tensor and each.shape == shape for each in gc.get_objects())


def test_a_bank_that_does_not_fit_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 8 and at 4 there is no memory for it: the engine begins with 2."""
    short_of(torch, "zeros", 1, monkeypatch)
    engine, _ = fresh_engine(Tiny(), SLOTS, EngineSettings())
    assert engine.slots == SLOTS // 2


# ── a process that has no more memory to get ─────────────────────────────────────────────────────────────────────────


class Wide(Small):
    """4 MiB for what the hidden layer of one model gives: for 8 slots, several of them are more than there is."""

    def make(self) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 1 << 16), nn.ReLU(), nn.Linear(1 << 16, CLASSES))


WIDE = [replace(plan, horizon=2, evaluations=1, peak_lr=1e-4) for plan in PLANS[:SLOTS]]
ROOM = 75 << 20
M_MMAP_THRESHOLD = -3


def test_a_process_that_runs_out_of_memory_ends_its_trainings_well() -> None:
    """With less than eight need fewer run at once, and all have the curves of the sequential engine."""
    slots, found = within(ROOM)
    assert 1 <= slots < SLOTS
    workload = Wide()
    for plan in WIDE:
        one = ended(found[plan.training_id])
        assert one.outcome.status is Status.COMPLETED, one.outcome.error
        assert curves_apart(one, sequentially(plan, workload)) < BOUND


def within(room: int) -> tuple[int, dict[str, list[Any]]]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.trainings_warmed_up"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_train_wide, args=(theirs, room))
    process.start()
    theirs.close()
    answer: tuple[int, dict[str, list[Any]]] = ours.recv()
    process.join()
    return answer


def _train_wide(connection: Connection[Any, Any], room: int) -> None:
    fused(PLANS[:1], Tiny(), 1)  # what PyTorch imports and starts at its first step is not to fail
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(M_MMAP_THRESHOLD, 1 << 20)  # else the C library keeps ever larger pieces that were freed
    engine, heard = fresh_engine(Wide(), SLOTS, EngineSettings())
    for plan in WIDE:
        engine.submit(plan)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)
    run(engine)
    connection.send((engine.slots, heard.records))
