"""``schedule_from_torch``: what a scheduler of PyTorch's does, as a schedule, without touching it."""

from __future__ import annotations

import copy
import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs
from torch.optim.swa_utils import SWALR

import lrsweep
from lrsweep import NeedsMetric, ScheduleError
from tests.optimizers import adamw, parameter, rates, sgd

STEPS = 20
Build = Callable[[torch.optim.Optimizer], theirs.LRScheduler]

BUILDS: dict[str, Build] = {
    "LambdaLR": lambda o: theirs.LambdaLR(o, lambda step: 1 / (1 + step)),
    "MultiplicativeLR": lambda o: theirs.MultiplicativeLR(o, lambda _: 0.9),
    "StepLR": lambda o: theirs.StepLR(o, 5, 0.5),
    "MultiStepLR": lambda o: theirs.MultiStepLR(o, [3, 9], 0.3),
    "ConstantLR": lambda o: theirs.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda o: theirs.LinearLR(o, 0.25, 1.0, 8),
    "ExponentialLR": lambda o: theirs.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o: theirs.PolynomialLR(o, STEPS, 2.0),
    "CosineAnnealingLR": lambda o: theirs.CosineAnnealingLR(o, 12, 0.001),
    "CosineAnnealingWarmRestarts": lambda o: theirs.CosineAnnealingWarmRestarts(o, 4, 2),
    "OneCycleLR": lambda o: theirs.OneCycleLR(o, [0.5] * len(o.param_groups), STEPS),
    "CyclicLR": lambda o: theirs.CyclicLR(o, 0.01, 0.1, 3, mode="exp_range", gamma=0.9),
    "CyclicLR with a function": lambda o: theirs.CyclicLR(o, 0.01, 0.1, 3, scale_fn=lambda cycle: 1 / cycle),
    "SWALR": lambda o: SWALR(o, 0.02, 5),
    "ChainedScheduler": lambda o: theirs.ChainedScheduler([theirs.ExponentialLR(o, 0.9), theirs.ConstantLR(o, 0.1, 3)]),
    "SequentialLR": lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, 0.1, 1.0, 5), theirs.CosineAnnealingLR(o, 15)], [5]
    ),
    "SequentialLR inside of one": lambda o: theirs.SequentialLR(
        o,
        [
            theirs.SequentialLR(o, [theirs.ConstantLR(o, 0.5, 3), theirs.ExponentialLR(o, 0.9)], [3]),
            theirs.StepLR(o, 2, 0.5),
        ],
        [10],
    ),
}


def built(name: str, optimizer: torch.optim.Optimizer) -> theirs.LRScheduler:
    """A SequentialLR inside of one warns of its own steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return BUILDS[name](optimizer)


def stepped(optimizer: torch.optim.Optimizer, scheduler: theirs.LRScheduler, steps: int) -> np.ndarray[Any, Any]:
    """Groups × steps, as a training has them; it asserts nothing about our code."""
    found = []
    for step in range(steps):
        if step:
            scheduler.step()
        found.append(rates(optimizer))
        optimizer.step()
    return np.array(found).T


def test_every_scheduler_of_pytorch_is_in_this_file() -> None:
    """One that a later version brings is not forgotten."""
    known = {name.split()[0] for name in BUILDS} | {"ReduceLROnPlateau", "LRScheduler", "SWALR"}
    assert set(theirs.__all__) | {"SWALR"} == known


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("groups", [({"lr": 0.1},), ({"lr": 0.1}, {"lr": 0.3})])
def test_a_scheduler_of_pytorch_becomes_a_table_with_its_rates(name: str, groups: tuple[dict[str, float], ...]) -> None:
    """Within 1e-15 of the rates that a training has, for each group; no warning of theirs comes through."""
    optimizer = sgd(*groups, lr=0.1, momentum=0.9)
    scheduler = built(name, optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = lrsweep.rates_from_torch(scheduler, STEPS)
        s = lrsweep.schedule_from_torch(scheduler, STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stepped(optimizer, scheduler, STEPS)
    np.testing.assert_array_equal(table, expected)
    for row, peak in enumerate(expected.max(axis=1)):
        if isinstance(s, lrsweep.Schedule):
            ours = s.rates(STEPS, peak_lr=peak)
        else:
            ours = s.rates(STEPS, peak_lr=expected.max())[s.names[row]]
        np.testing.assert_allclose(ours, expected[row], rtol=1e-9, atol=0)
    if len(groups) == 1:
        assert isinstance(s, lrsweep.Schedule)
        assert s.family == "table"
        np.testing.assert_allclose(s.rates(STEPS, peak_lr=expected.max()), expected[0], rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", BUILDS)
def test_the_scheduler_and_its_optimizer_stay_as_they_were(name: str) -> None:
    """All that they hold, hooks and momenta included."""
    optimizer = adamw(lr=0.1)
    scheduler = built(name, optimizer)
    weight = optimizer.param_groups[0]["params"][0]
    before = copy.deepcopy((optimizer.state_dict(), repr(scheduler.state_dict()), scheduler.get_last_lr()))
    hooks = len(optimizer._optimizer_step_pre_hooks)
    lrsweep.schedule_from_torch(scheduler, STEPS)
    assert before == (optimizer.state_dict(), repr(scheduler.state_dict()), scheduler.get_last_lr())
    assert optimizer.param_groups[0]["params"][0] is weight
    assert scheduler.optimizer is optimizer
    assert len(optimizer._optimizer_step_pre_hooks) == hooks


def test_what_we_use_today_goes_on_as_a_schedule() -> None:
    """The table given back to the optimizer makes the same training; its peak is the largest rate."""
    optimizer = sgd(lr=0.1)
    scheduler = built("SequentialLR", optimizer)
    peak = lrsweep.rates_from_torch(scheduler, STEPS).max()
    s = lrsweep.schedule_from_torch(scheduler, STEPS)
    expected = stepped(optimizer, scheduler, STEPS)
    other = sgd(lr=1.0)
    np.testing.assert_allclose(stepped(other, s.torch(other, STEPS, peak_lr=peak), STEPS), expected, rtol=1e-15)


def test_it_begins_where_the_scheduler_stands() -> None:
    """After three of StepLR's steps of two: the rest of a step, then the next ones, against their own peak."""
    optimizer = sgd(lr=0.8)
    scheduler = theirs.StepLR(optimizer, 2, 0.5)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert lrsweep.rates_from_torch(scheduler, 4).tolist() == [[0.4, 0.2, 0.2, 0.1]]
    assert lrsweep.schedule_from_torch(scheduler, 4) == lrsweep.schedule("table", values=[1.0, 0.5, 0.5, 0.25])


def test_one_step_is_the_rate_of_now() -> None:
    """No step of the scheduler is needed for it."""
    scheduler = theirs.StepLR(sgd(lr=0.8), 2, 0.5)
    assert lrsweep.rates_from_torch(scheduler, 1).tolist() == [[0.8]]
    assert lrsweep.schedule_from_torch(scheduler, 1) == lrsweep.schedule("table", values=[1.0])


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_groups_with_one_curve_at_different_heights_become_one_table() -> None:
    """The heights are the peaks."""
    scheduler = theirs.StepLR(sgd({"lr": 0.3}, {"lr": 0.7}, lr=0.1), 2, 0.3)
    s = lrsweep.schedule_from_torch(scheduler, 6)
    assert isinstance(s, lrsweep.Schedule)
    assert s.rates(6).tolist() == pytest.approx([1, 1, 0.3, 0.3, 0.09, 0.09])
    assert lrsweep.rates_from_torch(scheduler, 6).max(axis=1).tolist() == [0.3, 0.7]


def test_groups_with_different_curves_become_schedules_by_name() -> None:
    """With multipliers, so that one peak gives all rates back, and the optimizer takes them."""
    optimizer = sgd({"lr": 0.2, "name": "body"}, {"lr": 0.4, "name": "head"}, lr=0.1)
    scheduler = theirs.LambdaLR(optimizer, [lambda step: 1 / (1 + step), lambda _: 1.0])
    s = lrsweep.schedule_from_torch(scheduler, 2)
    table = lrsweep.schedule("table", values=[1.0, 0.5])
    flat = lrsweep.schedule("table", values=[1.0, 1.0])
    assert s == lrsweep.grouped({"body": (table, 0.5), "head": flat})
    bridge = s.torch(optimizer, 2, peak_lr=0.4)
    bridge.step()
    assert rates(optimizer) == pytest.approx([0.1, 0.4])


@pytest.mark.parametrize("groups", [({}, {}), ({"name": "one"}, {"name": "one"})])
def test_groups_without_a_name_of_their_own_are_numbered(groups: Any) -> None:
    """A mapping needs names."""
    scheduler = theirs.LambdaLR(sgd(*groups, lr=0.1), [lambda step: 1 / (1 + step), lambda _: 1.0])
    s = lrsweep.schedule_from_torch(scheduler, 2)
    assert isinstance(s, lrsweep.Grouped)
    assert s.names == ("group 0", "group 1")


def test_a_tensor_for_a_rate_is_read_and_not_written() -> None:
    """The table has the rates of its precision."""
    rate = torch.tensor(0.5)
    scheduler = theirs.ExponentialLR(sgd(lr=rate), 0.5)
    assert lrsweep.rates_from_torch(scheduler, 3).tolist() == [[0.5, 0.25, 0.125]]
    assert rate.item() == 0.5


# ── plateau, and our own ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plateau_becomes_ours_with_its_settings() -> None:
    """Each of them; the lowest rate becomes a fraction of the present one."""
    scheduler = theirs.ReduceLROnPlateau(
        sgd(lr=0.1),
        mode="max",
        factor=0.3,
        patience=4,
        threshold=0.02,
        threshold_mode="abs",
        cooldown=2,
        min_lr=0.001,
    )
    assert lrsweep.schedule_from_torch(scheduler, STEPS) == lrsweep.schedule(
        "plateau",
        mode="max",
        gamma=0.3,
        patience=4,
        threshold=0.02,
        threshold_mode="abs",
        cooldown=2,
        floor=0.01,
    )


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_plateau_of_pytorch_and_ours_make_the_same_training(mode: Any) -> None:
    """Thirty evaluations of a metric that goes up and down, two drops and the floor among them."""
    optimizer, other = sgd({"lr": 0.1}, {"lr": 1.0}, lr=0.5), sgd({"lr": 0.1}, {"lr": 1.0}, lr=0.5)
    scheduler = theirs.ReduceLROnPlateau(optimizer, mode=mode, factor=0.1, patience=2, cooldown=1, min_lr=0.002)
    s = lrsweep.schedule_from_torch(scheduler, 31)
    assert isinstance(s, lrsweep.Grouped)  # 0.002 is another fraction of each
    for group, name in zip(other.param_groups, s.names, strict=True):
        group["name"] = name
    bridge = s.torch(other, 31, peak_lr=1.0)
    lowest = set()
    for step in range(30):
        metric = 1.0 + (step * 7 % 10) / 10
        scheduler.step(metric)
        bridge.step(metric)
        assert rates(other) == pytest.approx(rates(optimizer), rel=1e-12)
        lowest.add(round(rates(other)[1], 6))
    assert lowest == {1.0, 0.1, 0.01, 0.002}


def test_a_plateau_has_no_rates_before_there_are_metrics() -> None:
    """Neither PyTorch's nor ours."""
    ours = lrsweep.schedule("plateau").torch(sgd(lr=0.1), 10)
    for scheduler in (theirs.ReduceLROnPlateau(sgd(lr=0.1)), ours):
        with pytest.raises(NeedsMetric, match="replay"):
            lrsweep.rates_from_torch(scheduler, 10)


def test_our_own_scheduler_gives_its_schedule_back() -> None:
    """And the rates of its next steps."""
    s = lrsweep.schedule("linear")
    scheduler = s.torch(sgd({"lr": 0.8}, {"lr": 0.4}, lr=0.1), 4)
    scheduler.step()
    assert lrsweep.schedule_from_torch(scheduler, 4) is s
    assert lrsweep.rates_from_torch(scheduler, 2).tolist() == [pytest.approx([0.6, 0.4]), pytest.approx([0.3, 0.2])]


# ── what a scheduler may hold ────────────────────────────────────────────────────────────────────────────────────────


class Halving(theirs.LRScheduler):
    """A scheduler of a user's own that holds what they like to hold."""

    def __init__(self, optimizer: torch.optim.Optimizer, **held: Any) -> None:
        self.held = held
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        return [group["lr"] * (0.5 if self.last_epoch else 1.0) for group in self.optimizer.param_groups]


class Uncopied(torch.nn.Linear):
    """A model that must not be copied."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise AssertionError("copied")

    def factor(self, step: int) -> float:
        return float(0.5**step)


class Trainer:
    """What a method may belong to: something with a lock, which nobody can copy."""

    def __init__(self) -> None:
        self.model = Uncopied(2, 2)
        self.lock = threading.Lock()
        self.asked = 0

    def factor(self, step: int) -> float:
        return self.model.factor(step)


def test_a_model_that_a_scheduler_refers_to_is_not_copied() -> None:
    """As an attribute, in a list, behind a method, a partial function, or the parameters of a group."""
    model = Uncopied(2, 2)
    holders: list[Build] = [
        lambda o: Halving(o, model=model, parts=[model, {"weight": model.weight}], method=model.factor),
        lambda o: theirs.LambdaLR(o, model.factor),
        lambda o: theirs.LambdaLR(o, Trainer().factor),
        lambda o: theirs.LambdaLR(o, functools.partial(lambda held, step: held.factor(step), model)),
    ]
    for build in holders:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.8)
        assert lrsweep.rates_from_torch(build(optimizer), 3).tolist() == [[0.8, 0.4, 0.2]]


def test_a_callable_with_a_memory_is_copied_so_that_the_users_own_remembers_nothing() -> None:
    """The user's scheduler goes on as if nobody had asked."""

    class Counting:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, step: int) -> float:
            self.calls += 1
            return 1.0

    counting = Counting()
    scheduler = theirs.LambdaLR(sgd(lr=0.1), counting)
    before = counting.calls
    lrsweep.rates_from_torch(scheduler, 10)
    assert counting.calls == before


def test_a_scheduler_that_cannot_be_copied_is_refused() -> None:
    """A lock has no copy; the way out is told."""
    with pytest.raises(ScheduleError, match=r"Halving cannot be copied \(TypeError: .*lock.*rates / max\(rates\)"):
        lrsweep.schedule_from_torch(Halving(sgd(lr=0.1), lock=threading.Lock()), 3)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_more_steps_than_one_cycle_has_are_refused_with_both_numbers() -> None:
    """It raises a ValueError itself after its end (pytorch#38170); what is left counts."""
    optimizer = sgd(lr=0.1)
    scheduler = theirs.OneCycleLR(optimizer, 0.1, 10)
    with pytest.raises(ScheduleError, match="total_steps is 11, and this OneCycleLR has 10 of its 10 steps left"):
        lrsweep.schedule_from_torch(scheduler, 11)
    optimizer.step()
    scheduler.step()
    with pytest.raises(ScheduleError, match="total_steps is 10, and this OneCycleLR has 9 of its 10 steps left"):
        lrsweep.rates_from_torch(scheduler, 10)
    assert lrsweep.rates_from_torch(scheduler, 9).shape == (1, 9)


def test_an_error_of_the_scheduler_is_told_with_its_step() -> None:
    """A OneCycleLR inside of a SequentialLR, and a function that fails."""
    optimizer = sgd(lr=0.1)
    parts: list[theirs.LRScheduler] = [theirs.ConstantLR(optimizer, 1.0), theirs.OneCycleLR(optimizer, 0.1, 10)]
    with pytest.raises(ScheduleError, match="SequentialLR was asked for 30 steps and raised ValueError at step 16: "):
        lrsweep.schedule_from_torch(theirs.SequentialLR(optimizer, parts, [5]), 30)
    with pytest.raises(ScheduleError, match="LambdaLR was asked for 5 steps and raised ZeroDivisionError at step 3"):
        lrsweep.schedule_from_torch(theirs.LambdaLR(sgd(lr=0.1), lambda step: 1 / (3 - step)), 5)


def test_rates_that_no_table_can_have_are_refused() -> None:
    """Below 0, NaN, or 0 for ever; with the group and the step."""
    falling = theirs.LambdaLR(sgd(lr=0.5), lambda step: 1.0 - step)
    with pytest.raises(ScheduleError, match=r"LambdaLR: the rate of group 0 is -0\.5 at step 2; wanted finite numbers"):
        lrsweep.schedule_from_torch(falling, 5)
    with pytest.raises(ScheduleError, match="the rate of group 0 is nan at step 0"):
        lrsweep.schedule_from_torch(theirs.LambdaLR(sgd(lr=0.5), lambda _: float("nan")), 5)
    with pytest.raises(ScheduleError, match="the rate of group 1 is 0 at every step"):
        lrsweep.schedule_from_torch(theirs.StepLR(sgd({}, {"lr": 0.0}, lr=0.5), 3), 5)
    with pytest.raises(ScheduleError, match=r"the rates are \[0\.0\]; wanted each above 0"):
        lrsweep.schedule_from_torch(theirs.ReduceLROnPlateau(sgd(lr=0.0)), 5)


def test_what_is_no_scheduler_is_refused() -> None:
    """An optimizer, one of our schedules, a wrapper; a horizon of 0 too."""
    strange: list[Any] = [sgd(lr=0.1), lrsweep.schedule("cosine"), parameter(), None]
    for one in strange:
        with pytest.raises(ScheduleError, match=r"wanted a torch\.optim\.lr_scheduler\.LRScheduler, not .*wrapper"):
            lrsweep.schedule_from_torch(one, 10)
    with pytest.raises(ScheduleError, match="total_steps must be a whole number of 1 or more, not 0"):
        lrsweep.rates_from_torch(theirs.StepLR(sgd(lr=0.1), 3), 0)
