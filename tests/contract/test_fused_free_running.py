"""200 updates of both engines, each on its own: the curves and the states stay within 1e-9 in float64.

The seven optimizers train side by side in one bank, with schedules that fall, react and let momenta cycle; two of the
workloads have their gradients clipped. Their peak rates are below half of that at which such a training diverges:
above it one in the last place grows until two trainings have nothing in common, whoever trains them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pytest

from tests.contract import test_fused_neighbours as among_others
from tests.contract import test_fused_one_step as one_step
from tests.fused import CASES, DIVERGES, Ended, curves_apart, fused, plan_of, states_apart, trajectory
from tests.fused_workloads import small

BOUND = 1e-9
SEEN = (1, 40, 80, 120, 160, 196)


def side_by_side(workload: str) -> dict[str, Ended]:
    plans = [plan_of(workload, optimizer) for optimizer in DIVERGES[workload]]
    return fused(plans, small(workload), len(plans), wanted=SEEN)


once_side_by_side = lru_cache(side_by_side)


def differences(workload: str, optimizer: str, ran: dict[str, Ended]) -> dict[str, float]:
    ours, theirs = ran[f"{workload}-{optimizer}"], trajectory(workload, optimizer).ended
    apart = {f"state {step}": states_apart(ours.states[step], theirs.states[step]) for step in SEEN}
    return apart | {"curve": curves_apart(ours, theirs)}


@pytest.mark.parametrize(("workload", "optimizer"), CASES)
def test_a_training_among_others_is_the_training_alone(workload: str, optimizer: str) -> None:
    """Rates, losses, evaluations, the outcome's metrics; on the way parameters, statistics and optimizer."""
    found = differences(workload, optimizer, once_side_by_side(workload))
    assert max(found.values()) < BOUND, found


@pytest.mark.parametrize(
    ("wrong", "workload", "optimizer"),
    [
        (one_step.rate_a_millionth_too_high, "mlp", "sgd_plain"),
        (one_step.batch_of_a_neighbour, "mlp", "adamw"),
        (one_step.masks_of_the_next_step, "dropping", "sgd"),
        (one_step.statistics_of_a_neighbour, "cnn", "adam"),
        (one_step.gradients_clipped_by_the_norm_of_all_slots, "tuned", "sgd"),
        (one_step.momenta_that_do_not_cycle, "mlp", "sgd"),
        (among_others.weight_decay_of_a_neighbour, "mlp", "rmsprop"),
        (among_others.metrics_of_a_neighbour, "cnn", "sgd_dampened"),
    ],
)
def test_a_training_that_is_computed_wrongly_is_another(
    wrong: Callable[[pytest.MonkeyPatch], None], workload: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bound is missed, each time in the states and the curve together."""
    wrong(monkeypatch)
    found = differences(workload, optimizer, side_by_side(workload))
    assert max(found.values()) > 100 * BOUND, found
