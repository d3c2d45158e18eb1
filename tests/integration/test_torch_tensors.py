"""``s.torch`` with rates that are tensors, and with groups that come later."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lrsweep
from lrsweep import ScheduleError
from tests.optimizers import adamw, parameter, rates, sgd

LINEAR = lrsweep.schedule("linear")


def addresses(optimizer: torch.optim.Optimizer) -> list[int]:
    """Where the rates of the groups are in memory."""
    return [group["lr"].data_ptr() for group in optimizer.param_groups]


# ── tensors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True, "capturable": True}, {"foreach": False}])
def test_a_tensor_stays_where_it_is_for_a_thousand_steps(options: dict[str, bool]) -> None:
    """It is filled, never replaced (pytorch#106802, #120934, #130467, #162359); the updates use it."""
    rate = torch.tensor(1.0, dtype=torch.float64)
    optimizer = torch.optim.Adam([parameter()], lr=rate, **options)  # type: ignore[arg-type]
    scheduler = LINEAR.torch(optimizer, 1000)
    expected = LINEAR.rates(1000).tolist()
    for step in range(1000):
        assert optimizer.param_groups[0]["lr"] is rate
        assert rate.item() == expected[step]
        if "capturable" not in options:  # on a CPU such a step is only for compiling
            optimizer.step()
        scheduler.step()
    assert addresses(optimizer) == [rate.data_ptr()]
    assert rate.item() == 0.0


def test_groups_that_were_given_one_tensor_have_one_each_from_then_on() -> None:
    """PyTorch's optimizers give the same to all groups, and keep it as the default (pytorch#195984)."""
    given = torch.tensor(1.0)
    optimizer = sgd({}, {}, {"lr": given}, {"lr": torch.tensor(0.5)}, lr=given)
    assert len(set(addresses(optimizer))) == 2
    scheduler = LINEAR.torch(optimizer, 4, peak_lr=[1.0, 0.5, 0.25, 0.125])
    before = addresses(optimizer)
    assert len(set(before)) == 4
    assert before[0] == given.data_ptr()
    scheduler.step()
    assert rates(optimizer) == [0.75, 0.375, 0.1875, 0.09375]
    assert addresses(optimizer) == before
    assert optimizer.defaults["lr"].item() == 1.0


def test_rates_are_told_as_numbers_without_asking_a_tensor() -> None:
    """Of the schedule's own precision: 0.1 is not what 32 bits make of it."""
    optimizer = sgd(lr=torch.tensor(0.7))
    scheduler = lrsweep.schedule("constant").torch(optimizer, 4, peak_lr=0.1)
    assert scheduler.get_last_lr() == [0.1]
    assert optimizer.param_groups[0]["lr"].item() == torch.tensor(0.1).item() != 0.1


def test_a_group_added_to_tensors_has_a_tensor_of_its_own() -> None:
    """Its default is the rate that the optimizer began with, though that was filled since."""
    optimizer = sgd(lr=torch.tensor(1.0))
    scheduler = LINEAR.torch(optimizer, 4)
    scheduler.step()
    optimizer.add_param_group({"params": [parameter()]})
    optimizer.step()
    assert rates(optimizer) == [0.75, 0.75]
    assert len(set(addresses(optimizer))) == 2
    before = addresses(optimizer)
    scheduler.step()
    assert rates(optimizer) == [0.5, 0.5]
    assert addresses(optimizer) == before


def test_tensors_that_a_checkpoint_shares_are_parted_again() -> None:
    """Of a training that ran without this scheduler."""
    shared = sgd({}, {}, lr=torch.tensor(1.0))
    optimizer = sgd({}, {}, lr=torch.tensor(1.0))
    scheduler = LINEAR.torch(optimizer, 4, peak_lr=[1.0, 0.5])
    optimizer.load_state_dict(shared.state_dict())
    assert rates(optimizer) == [1.0, 0.5]
    scheduler.step()
    assert rates(optimizer) == [0.75, 0.375]


def test_betas_and_weight_decay_may_be_tensors_too() -> None:
    """They are filled as rates are."""
    optimizer = torch.optim.Adam(
        [{"params": [parameter()]}, {"params": [parameter()]}],
        lr=torch.tensor(0.1),
        betas=(torch.tensor(0.5), torch.tensor(0.999)),
        foreach=False,
        capturable=True,
    )
    decay = torch.tensor(0.5)
    for group in optimizer.param_groups:
        group["weight_decay"] = decay
    s = lrsweep.schedule("one_cycle", rise=0.5, cycle_momentum=True, momentum_low=0.75, momentum_high=1 - 1e-9)
    scheduler = s.torch(optimizer, 4, weight_decay=LINEAR)
    held = [(group["betas"][0], group["weight_decay"]) for group in optimizer.param_groups]
    scheduler.step()
    scheduler.step()
    for group, (beta, kept) in zip(optimizer.param_groups, held, strict=True):
        assert group["betas"][0] is beta
        assert group["weight_decay"] is kept
        assert (beta.item(), kept.item()) == (0.75, 0.25)
    assert held[0][0] is not held[1][0]


def test_a_compiled_update_is_not_compiled_again_when_the_rate_changes() -> None:
    """A tensor is read anew, and the hook before an update is no obstacle (pytorch#163093)."""
    optimizer = torch.optim.SGD([parameter()], lr=torch.tensor(1.0), foreach=True)
    scheduler = lrsweep.schedule("plateau", patience=0, gamma=0.5).torch(optimizer, 10)
    compiled = torch.compile(optimizer.step, backend="eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for metric in (1.0, 1.0, 1.0):
            compiled()
            scheduler.step(metric)
    assert optimizer.param_groups[0]["params"][0].tolist() == [-2.5, -2.5]
    torch._dynamo.reset()


# ── groups that come later ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("peak_lr", "group", "expected"),
    [
        (None, {"lr": 0.4}, 0.3),
        (None, {}, 0.75),  # the optimizer's default is its own rate, 1.0
        (0.8, {}, 0.6),
        (0.8, {"lr": 1.0}, 0.6),  # said or not, it is the default
        (0.8, {"lr": 0.4}, 0.3),
        ([0.8], {}, 0.75),
        ({"body": 0.8}, {"name": "head", "lr": 0.4}, 0.3),
        ({"body": 0.8}, {"name": "body", "lr": 0.4}, 0.6),
        (0.8, {"initial_lr": 0.2}, 0.15),  # as a checkpoint has it
        (0.8, {"initial_lr": 1.0}, 0.75),
    ],
)
def test_a_group_added_later_follows_from_its_first_update_on(
    peak_lr: Any, group: dict[str, Any], expected: float
) -> None:
    """After one step of four (pytorch#79888). Its peak is its own rate if that is not the default, else ``peak_lr``."""
    optimizer = sgd({"name": "body"}, lr=1.0)
    scheduler = LINEAR.torch(optimizer, 4, peak_lr=peak_lr)
    scheduler.step()
    added = parameter()
    optimizer.add_param_group({"params": [added], **group})
    optimizer.step()
    assert added.tolist() == pytest.approx([-expected] * 2)
    assert rates(optimizer)[1] == pytest.approx(expected)
    scheduler.step()
    assert rates(optimizer)[1] == pytest.approx(expected * 2 / 3)
    assert scheduler.get_last_lr() == rates(optimizer)
    assert scheduler.base_lrs[1] == pytest.approx(expected / 0.75)


def test_a_group_added_right_before_a_step_of_the_schedule_follows_too() -> None:
    """Without an update in between."""
    optimizer = sgd(lr=1.0)
    scheduler = LINEAR.torch(optimizer, 4)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    scheduler.step()
    assert rates(optimizer) == pytest.approx([0.75, 0.3])


def test_a_group_added_later_has_momentum_and_weight_decay_written_too() -> None:
    """Each from its own peak."""
    s = lrsweep.schedule("one_cycle", rise=0.5, cycle_momentum=True, momentum_low=0.8, momentum_high=0.9)
    optimizer = adamw(lr=1.0, weight_decay=0.4)
    scheduler = s.torch(optimizer, 4, weight_decay=LINEAR)
    scheduler.step()
    optimizer.add_param_group({"params": [parameter()], "weight_decay": 0.8})
    optimizer.step()
    assert optimizer.param_groups[1]["betas"][0] == pytest.approx(0.85)
    assert optimizer.param_groups[1]["weight_decay"] == pytest.approx(0.6)


def test_a_group_added_later_follows_the_schedule_of_its_name() -> None:
    """A second group of a name is welcome; a new name is refused before the update."""
    by_name = lrsweep.grouped({"body": LINEAR, "head": (lrsweep.schedule("constant"), 0.5)})
    optimizer = sgd({"name": "body"}, {"name": "head"}, lr=1.0)
    scheduler = by_name.torch(optimizer, 4)
    scheduler.step()
    optimizer.add_param_group({"params": [parameter()], "name": "head", "lr": 0.4})
    optimizer.step()
    assert rates(optimizer) == pytest.approx([0.75, 0.5, 0.2])
    added = parameter()
    optimizer.add_param_group({"params": [added], "name": "tail"})
    with pytest.raises(ScheduleError, match=r"for the groups 'body', 'head', and .*'body', 'head', 'head', 'tail'"):
        optimizer.step()
    assert added.tolist() == [0.0, 0.0]


def test_a_group_added_with_a_rate_of_0_is_refused_at_its_first_update() -> None:
    """It would stay at 0 for ever."""
    optimizer = sgd(lr=1.0)
    scheduler = LINEAR.torch(optimizer, 4)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.0})
    with pytest.raises(ScheduleError, match=r"group 1, added .* above 0 as its peak, not 0\.0: give it one"):
        optimizer.step()
    assert scheduler.last_epoch == 0


def test_a_group_that_was_taken_away_is_noticed() -> None:
    """The peaks would move to the wrong groups."""
    optimizer = sgd({"lr": 0.1}, {"lr": 1.0}, lr=0.5)
    scheduler = LINEAR.torch(optimizer, 4)
    del optimizer.param_groups[0]
    with pytest.raises(ScheduleError, match=r"has 1 parameter groups and had 2.*make the scheduler anew"):
        scheduler.step()
