"""Many trainings at once on a GPU: the bits of a CPU where these are whole numbers, and no step that waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lrsweep.engines.device import open_device
from lrsweep.records import EngineSettings, WorkloadSpec
from lrsweep.workloads.base import load
from lrsweep.workloads.draw import draw, epoch_order
from lrsweep.workloads.dropout import Clock, Dropout
from tests.trainings import PLAN, Constant, trained

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SYNTHETIC: dict[str, object] = {"synthetic": True}


@contextmanager
def without_waiting() -> Iterator[None]:
    """Whatever waits for the GPU raises."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_slots_draw_the_same_bits_on_a_gpu() -> None:
    """From whole numbers and from tensors that lie there; and the orders of their epochs."""
    seeds, steps = [7, -1, 2**62], [3, 0, 10**9]
    wanted = draw(seeds, steps, "a", 40_000)
    with without_waiting():
        given = draw(seeds, steps, "a", 40_000, device="cuda")
    assert given.cpu().equal(wanted)
    assert draw(torch.tensor(seeds).cuda(), torch.tensor(steps).cuda(), "a", 40_000).cpu().equal(wanted)
    assert epoch_order(seeds, steps, 5000, device="cuda").cpu().equal(epoch_order(seeds, steps, 5000))


@pytest.mark.parametrize(
    ("name", "settings"),
    [("digits", {"noise": 0.1}), ("mnist", SYNTHETIC), ("cifar10", SYNTHETIC), ("char_lm", SYNTHETIC)],
)
def test_a_feed_has_the_bits_of_each_batch_and_waits_for_nothing(name: str, settings: dict[str, object]) -> None:
    """At the first step, in the middle of an epoch, and where orders are made again."""
    workload = load(WorkloadSpec(name, settings), open_device("cuda"))
    assert workload.facts.examples_per_epoch is not None
    per_epoch = workload.facts.examples_per_epoch // workload.facts.batch_size
    feed = workload.feed()
    for seeds, steps in (
        ([1, 2, 3], [0, 5, per_epoch - 1]),
        ([1, 2, 3], [1, 6, per_epoch]),
        ([1, 9, 3], [2, 0, per_epoch]),
    ):
        with without_waiting():
            given = feed(seeds, steps)
        alone = [workload.batch(seed, step) for seed, step in zip(seeds, steps, strict=True)]
        for stacked, pieces in zip(given, zip(*alone, strict=True), strict=True):
            assert stacked.equal(torch.stack(pieces))


@pytest.mark.parametrize(("name", "settings"), [("digits", {}), ("mnist", SYNTHETIC)])
def test_an_evaluation_of_several_models_is_that_of_each(name: str, settings: dict[str, object]) -> None:
    """Where the outputs are the same ones."""
    workload = load(WorkloadSpec(name, settings), open_device("cuda"))
    models = [workload.model(seed).eval() for seed in (1, 2, 3)]
    with torch.no_grad():
        together = workload.evaluate_many(lambda x: torch.stack([model(x) for model in models]), "search")
    assert together == [workload.evaluate(model, "search") for model in models]


class Counting(Constant):
    """Loss = how much of 64 ones comes through the mask; a rate this small leaves the weight as it is."""

    def __init__(self) -> None:
        self.device = open_device("cuda")

    def model(self, seed: int) -> nn.Module:
        scale = nn.Linear(64, 1, bias=False)
        nn.init.ones_(scale.weight)
        return nn.Sequential(Dropout(0.5), scale).to(self.device)

    def batch(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return torch.ones(1, 64, device=self.device), torch.zeros(1, device=self.device)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sum()


@pytest.mark.parametrize("graphs", [False, True], ids=["eager", "graphs"])
def test_each_update_on_a_gpu_has_the_mask_of_its_own_step(graphs: bool) -> None:
    """Also when a graph is replayed, which holds no step of its own: twice the numbers that a CPU leaves."""
    plan = replace(
        PLAN, workload=WorkloadSpec("counting"), peak_lr=1e-30, horizon=12, engine=EngineSettings(graphs=graphs)
    )
    curve, _ = trained(plan, Counting())
    model = nn.Sequential(Dropout(0.5))
    clock, wanted = Clock(model, plan.seed), []
    for step in range(12):
        clock.set(step)
        wanted.append(float(model(torch.ones(64)).sum()))
    assert curve.train_losses.tolist() == wanted
