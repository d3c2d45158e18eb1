"""Everything random comes from one hash; these are the properties that trainings rest on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx

from lrsweep.workloads.draw import draw, epoch_order, normal, uniform

GOLDEN = [4118962970099834036, 5967086116435233899, 369464098504040354]


def test_the_bits_are_the_ones_they_have_always_been() -> None:
    """Another hash would silently make every stored curve irreproducible."""
    assert draw(7, 3, "order", 3).tolist() == GOLDEN


def test_the_bits_are_the_ones_they_have_always_been_for_slots_too() -> None:
    """As whole numbers, which are hashed in Python and numpy, and as tensors, which stay on their device."""
    assert draw([1, 7], [0, 3], "order", 3)[1].tolist() == GOLDEN
    assert draw(torch.tensor([1, 7]), torch.tensor([0, 3]), "order", 3)[1].tolist() == GOLDEN
    assert draw(torch.tensor(7), torch.tensor(3), "order", 3).tolist() == GOLDEN


@pytest.mark.parametrize("kind", [list, torch.tensor], ids=["list", "tensor"])
def test_slots_draw_what_they_would_draw_alone(kind: Callable[[list[int]], list[int] | Tensor]) -> None:
    """Row k of a draw for K slots is the draw of slot k's own seed and step; a seed or a step may be one for all."""
    seeds, steps = [0, 7, -1, 2**62, -(2**63)], [0, 3, 10**9, 5, 2**40]
    together = draw(kind(seeds), kind(steps), "noise", 17)
    assert together.shape == (5, 17)
    for k in range(5):
        assert together[k].equal(draw(seeds[k], steps[k], "noise", 17))
        assert draw(seeds[k], kind(steps), "noise", 17)[k].equal(together[k])
        assert draw(kind(seeds), steps[k], "noise", 17)[k].equal(together[k])
    assert draw(kind(seeds[:1]), kind(steps[:1]), "noise", 17).shape == (1, 17)


def test_a_model_may_draw_when_it_is_traced_for_several_slots() -> None:
    """Seeds and steps that vmap and make_fx hand through; the traced operators give other seeds' numbers, too."""

    def numbers(seeds: Tensor, steps: Tensor) -> Tensor:
        return vmap(lambda seed, step: draw(seed, step, "mask", 9))(seeds, steps)

    traced = make_fx(numbers)(torch.tensor([1, 2]), torch.tensor([3, 4]))
    assert traced(torch.tensor([7, 8]), torch.tensor([5, 6])).equal(draw([7, 8], [5, 6], "mask", 9))


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    """The i-th number does not depend on how many are wanted, nor on how many are hashed at once."""
    assert draw(1, 2, "a", 100)[:10].equal(draw(1, 2, "a", 10))
    assert draw(1, 2, "a", 40_000).equal(draw(torch.tensor(1), 2, "a", 40_000))
    assert draw([1, 3], 2, "a", 40_000)[0].equal(draw(1, 2, "a", 40_000))


@pytest.mark.parametrize(("seed", "step", "stream"), [(2, 1, "a"), (1, 2, "a"), (1, 1, "b")])
def test_another_seed_step_or_stream_draws_other_numbers(seed: int, step: int, stream: str) -> None:
    """No two of 1,000 numbers are shared, not even at shifted places."""
    assert not set(draw(1, 1, "a", 1000).tolist()) & set(draw(seed, step, stream, 1000).tolist())


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    """Mean 1/2, and each tenth of [0, 1) holds a tenth of 100,000 numbers within 5 standard deviations (475)."""
    numbers = uniform(draw(3, 0, "u", 100_000)).numpy()
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    assert np.abs(np.histogram(numbers, bins=10, range=(0, 1))[0] - 10_000).max() < 475


def test_first_numbers_of_neighbouring_steps_are_not_correlated() -> None:
    """A weak mix of step and counter would show here: 10,000 pairs correlate by less than 5 standard errors."""
    first = uniform(draw(torch.zeros(10_001, dtype=torch.int64), torch.arange(10_001), "s", 1)).flatten().numpy()
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05


def test_normal_numbers_have_mean_0_and_deviation_1() -> None:
    """100,000 of them: both within 5 standard errors; an odd count works too."""
    numbers = normal(5, 0, "n", 100_001)
    assert len(numbers) == 100_001
    assert abs(float(numbers.mean())) < 5 / 316
    assert abs(float(numbers.std()) - 1) < 5 / 447
    assert bool(torch.isfinite(numbers).all())


@pytest.mark.parametrize("n", [1, 7, 386, 4096])
def test_normal_numbers_and_orders_of_slots_are_those_of_each_alone(n: int) -> None:
    """Bit for bit, also where the rows do not begin at whole vectors of the processor."""
    seeds, steps = [3, 4, 3], [9, 0, 10]
    together, orders = normal(seeds, steps, "n", n), epoch_order(seeds, steps, n)
    for k in range(3):
        assert together[k].equal(normal(seeds[k], steps[k], "n", n))
        assert orders[k].equal(epoch_order(seeds[k], steps[k], n))


def test_an_epoch_order_is_a_permutation_and_fresh_each_epoch() -> None:
    """Every example once; other epochs and seeds give other orders."""
    order = epoch_order(0, 0, 1152)
    assert sorted(order.tolist()) == list(range(1152))
    assert not order.equal(epoch_order(0, 1, 1152))
    assert not order.equal(epoch_order(1, 0, 1152))
