"""``s.torch`` with a rate that is a tensor on a GPU, inside and outside of a captured CUDA graph."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

import lrsweep

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

LINEAR = lrsweep.schedule("linear")


def optimizer_on_gpu(capturable: bool) -> tuple[torch.nn.Parameter, torch.optim.Adam]:
    """Adam with one parameter, whose gradient stays 1, and a tensor for its rate."""
    weight = torch.nn.Parameter(torch.zeros(3, device="cuda"))
    weight.grad = torch.ones(3, device="cuda")
    return weight, torch.optim.Adam([weight], lr=torch.tensor(1.0, device="cuda"), capturable=capturable)


def test_a_rate_on_the_gpu_stays_where_it_is_for_a_thousand_steps() -> None:
    """The same address, and the schedule's rate at each step."""
    _, optimizer = optimizer_on_gpu(capturable=False)
    rate = optimizer.param_groups[0]["lr"]
    address = rate.data_ptr()
    scheduler = LINEAR.torch(optimizer, 1000)
    expected = torch.tensor(LINEAR.rates(1000).tolist())
    got = []
    for _ in range(1000):
        got.append(rate.clone())
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.data_ptr() == address
    assert torch.stack(got).cpu().equal(expected)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature")
def test_a_step_of_the_schedule_does_not_wait_for_the_gpu() -> None:
    """Writing the rate and telling it are no reason to."""
    _, optimizer = optimizer_on_gpu(capturable=False)
    scheduler = LINEAR.torch(optimizer, 10)
    torch.cuda.set_sync_debug_mode("error")
    try:
        scheduler.step()
        assert scheduler.get_last_lr() == [0.9]
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_captured_update_uses_the_rate_of_its_step() -> None:
    """Adam moves by the rate when all gradients are 1: the replays move by 0.9, 0.8, 0.7… of the peak."""
    weight, optimizer = optimizer_on_gpu(capturable=True)
    scheduler = LINEAR.torch(optimizer, 10)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        optimizer.step()  # makes the optimizer's state, which a capture cannot
        scheduler.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    places = [weight.detach().cpu().double()[0].item()]
    for _ in range(5):
        graph.replay()
        scheduler.step()
        places.append(weight.detach().cpu().double()[0].item())
    moved = [before - after for before, after in pairwise(places)]
    assert moved == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5], abs=1e-5)
