"""The scheduler in a text for PyTorch, with real optimizers."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from lrsweep.schedules import grouped, schedule
from tests.emitted import executed, one_of_each, rates_of
from tests.optimizers import adamw, parameter, seen, sgd, updates

STEPS = 12


@pytest.mark.parametrize("name", [s.family for s in one_of_each()])
def test_each_update_has_its_rate(name: str) -> None:
    """From the first update on and past the end, whatever rate the optimizer was made with."""
    s = next(s for s in one_of_each() if s.family == name)
    own = executed(s.to_code("torch", STEPS, 0.3))
    optimizer = sgd(lr=7.0)
    scheduler = own["scheduler"](optimizer)
    assert isinstance(scheduler, LambdaLR)
    found = [groups[0]["lr"] for groups in updates(optimizer, scheduler, [None] * (STEPS + 3))]
    assert found == [own["rate"](step) for step in range(STEPS + 3)]
    assert found[: STEPS + 1] == pytest.approx(rates_of(s, STEPS, 0.3).tolist(), rel=1e-12, abs=1e-12)


def test_a_group_may_have_its_own_share_of_the_rate() -> None:
    """``lr_scale`` in a group multiplies its rate."""
    optimizer = sgd({"lr_scale": 0.1}, {}, lr=1.0)
    executed(schedule("linear").to_code("torch", 4, 0.8))["scheduler"](optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(0.08), 0.8]


@pytest.mark.parametrize("done", range(1, STEPS + 2))
def test_a_training_goes_on_where_it_was(done: int) -> None:
    """A new optimizer with the stored state and a new scheduler from ``first_step`` on have what came next."""
    own = executed(schedule("one_cycle", cycle_momentum=True, warmup=0.2).to_code("torch", STEPS, 0.3))
    first = sgd(lr=1.0, momentum=0.5)
    whole = list(updates(first, own["scheduler"](first), [None] * (STEPS + 3)))

    stopped = sgd(lr=1.0, momentum=0.5)
    list(updates(stopped, own["scheduler"](stopped), [None] * done))
    resumed = sgd(lr=1.0, momentum=0.5)
    resumed.load_state_dict(stopped.state_dict())
    scheduler = own["scheduler"](resumed, first_step=done)
    assert list(updates(resumed, scheduler, [None] * (STEPS + 3 - done))) == whole[done:]


def test_a_rate_in_a_tensor_stays_in_its_place() -> None:
    """Compiled code and CUDA graphs hold the address of the rate."""
    optimizer = torch.optim.Adam([parameter()], lr=torch.tensor(1.0, dtype=torch.float64), foreach=False)
    address = optimizer.param_groups[0]["lr"].data_ptr()
    scheduler = executed(schedule("linear").to_code("torch", 4, 0.8))["scheduler"](optimizer)
    found = [groups[0]["lr"] for groups in updates(optimizer, scheduler, [None] * 5)]
    assert found == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])
    assert optimizer.param_groups[0]["lr"].data_ptr() == address


def test_the_momentum_moves_where_the_schedule_cycles_it() -> None:
    """SGD's momentum or the first of Adam's betas; an optimizer without either is refused."""
    s = schedule("cyclic", cycles=1, cycle_momentum=True, momentum_low=0.5, momentum_high=0.9)
    make = executed(s.to_code("torch", 4))["scheduler"]
    expected = pytest.approx([0.9, 0.7, 0.5, 0.7, 0.9, 0.9])
    optimizer = sgd(lr=1.0, momentum=0.3)
    assert [groups[0]["momentum"] for groups in updates(optimizer, make(optimizer), [None] * 6)] == expected
    adam = adamw(lr=1.0, betas=(0.3, 0.99))
    assert [groups[0]["beta1"] for groups in updates(adam, make(adam), [None] * 6)] == expected
    assert adam.param_groups[0]["betas"][1] == 0.99
    with pytest.raises(ValueError, match="the schedule moves the momentum, and this optimizer has none"):
        make(torch.optim.Adagrad([parameter()]))


def test_without_a_cycle_the_momentum_is_left_alone() -> None:
    """Nothing but the rate is written."""
    optimizer = adamw(lr=1.0, betas=(0.3, 0.99), weight_decay=0.2)
    executed(schedule("one_cycle").to_code("torch", 4))["scheduler"](optimizer)
    assert seen(optimizer) == [{"lr": pytest.approx(0.04), "beta1": 0.3, "weight_decay": 0.2}]


def test_each_group_follows_its_own_curve() -> None:
    """Groups are found by name in any order; weight decay and momentum follow where they have a curve."""
    groups = grouped(
        {"body": (schedule("linear"), 0.5), "head": schedule("cyclic", cycles=1, low=0.0, cycle_momentum=True)},
        weight_decay=schedule("linear", floor=0.5),
    )
    own = executed(groups.to_code("torch", 4, 0.8))
    optimizer = sgd({"name": "head"}, {"name": "body", "weight_decay": 0.2}, lr=1.0, momentum=0.5, weight_decay=0.1)
    found = list(updates(optimizer, own["scheduler"](optimizer), [None] * 6))
    head, body = ([groups[place] for groups in found] for place in (0, 1))
    assert [one["lr"] for one in head] == pytest.approx([0.0, 0.4, 0.8, 0.4, 0.0, 0.0])
    assert [one["momentum"] for one in head] == pytest.approx([0.95, 0.9, 0.85, 0.9, 0.95, 0.95])
    assert [one["weight_decay"] for one in head] == pytest.approx([0.1, 0.0875, 0.075, 0.0625, 0.05, 0.05])
    assert [one["lr"] for one in body] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0, 0.0])
    assert [one["momentum"] for one in body] == [0.5] * 6
    assert [one["weight_decay"] for one in body] == pytest.approx([0.2, 0.175, 0.15, 0.125, 0.1, 0.1])

    resumed = sgd({"name": "head"}, {"name": "body", "weight_decay": 0.2}, lr=1.0, momentum=0.5, weight_decay=0.1)
    resumed.load_state_dict(optimizer.state_dict())
    assert list(updates(resumed, own["scheduler"](resumed, first_step=3), [None] * 3)) == found[3:]


def test_groups_without_their_names_are_refused() -> None:
    """All names that are wrong are told with the right ones."""
    make = executed(grouped({"body": schedule("linear"), "head": schedule("cosine")}).to_code("torch", 4))["scheduler"]
    with pytest.raises(ValueError, match=r"groups must be named \['body', 'head'\], not \[None, 'had'\]"):
        make(sgd({}, {"name": "body"}, {"name": "had"}, lr=1.0))
