"""Everything random comes from one hash; these are the properties that trainings rest on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrsweep.workloads.draw import draw, epoch_order, normal, uniform

GOLDEN = [4118962970099834036, 5967086116435233899, 369464098504040354]


def test_the_bits_are_the_ones_they_have_always_been() -> None:
    """Another hash would silently make every stored curve irreproducible."""
    assert draw(7, 3, "order", 3).tolist() == GOLDEN


def test_slots_draw_what_they_would_draw_alone() -> None:
    """Row k of a draw for K slots is the draw of slot k's own seed and step."""
    seeds, steps = torch.tensor([0, 7, -1, 2**62]), torch.tensor([0, 3, 10**9, 5])
    together = draw(seeds, steps, "noise", 17)
    assert together.shape == (4, 17)
    for k in range(4):
        assert together[k].equal(draw(int(seeds[k]), int(steps[k]), "noise", 17))


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    """The i-th number does not depend on how many are wanted."""
    assert draw(1, 2, "a", 100)[:10].equal(draw(1, 2, "a", 10))


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


def test_an_epoch_order_is_a_permutation_and_fresh_each_epoch() -> None:
    """Every example once; other epochs and seeds give other orders."""
    order = epoch_order(0, 0, 1152)
    assert sorted(order.tolist()) == list(range(1152))
    assert not order.equal(epoch_order(0, 1, 1152))
    assert not order.equal(epoch_order(1, 0, 1152))
