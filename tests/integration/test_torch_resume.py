"""Resume of ``s.torch``: exact at every step, in any order of loading."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

import lrsweep
from tests.optimizers import Seen, adamw, parameter, rates, seen, sgd, through_a_file, updates

T = 8
METRICS = [1.0, 0.9, 0.95, float("nan"), 0.95, 0.8, 0.9, 0.9]
EACH = [lrsweep.schedule(name) for name in lrsweep.family_names() if name not in ("table", "function")]
MADE = [
    lrsweep.schedule("table", values=[0.5, 1.0, 0.25]),
    lrsweep.schedule("one_cycle", cycle_momentum=True),
    lrsweep.schedule("plateau", patience=0, base=lrsweep.schedule("linear"), warmup=0.2, floor=0.01),
    lrsweep.sequence((lrsweep.schedule("linear"), 0.5), (lrsweep.schedule("plateau", patience=0), 0.5)),
    lrsweep.schedule("wsd").extended(2.0).cooled_down(at=0.5, over=0.25),
]
BY_NAME = lrsweep.grouped(
    {"body": (lrsweep.schedule("cosine"), 0.1), "head": lrsweep.schedule("greedy")},
    weight_decay=lrsweep.schedule("linear"),
)

Build = Callable[[], torch.optim.Optimizer]
Bridge = Callable[[torch.optim.Optimizer], Any]
Resume = Callable[[Build, Bridge, Any, Any], tuple[torch.optim.Optimizer, Any]]


def optimizer_first(build: Build, bridge: Bridge, of_optimizer: Any, of_scheduler: Any) -> Any:
    optimizer = build()
    scheduler = bridge(optimizer)
    optimizer.load_state_dict(of_optimizer)
    scheduler.load_state_dict(of_scheduler)
    return optimizer, scheduler


def scheduler_first(build: Build, bridge: Bridge, of_optimizer: Any, of_scheduler: Any) -> Any:
    optimizer = build()
    scheduler = bridge(optimizer)
    scheduler.load_state_dict(of_scheduler)
    optimizer.load_state_dict(of_optimizer)
    return optimizer, scheduler


def optimizer_before_the_scheduler_is_made(build: Build, bridge: Bridge, of_optimizer: Any, of_scheduler: Any) -> Any:
    optimizer = build()
    optimizer.load_state_dict(of_optimizer)
    scheduler = bridge(optimizer)
    scheduler.load_state_dict(of_scheduler)
    return optimizer, scheduler


def scheduler_alone(build: Build, bridge: Bridge, of_optimizer: Any, of_scheduler: Any) -> Any:
    del of_optimizer
    optimizer = build()
    scheduler = bridge(optimizer)
    scheduler.load_state_dict(of_scheduler)
    return optimizer, scheduler


def into_a_scheduler_that_was_used(build: Build, bridge: Bridge, of_optimizer: Any, of_scheduler: Any) -> Any:
    optimizer, scheduler = scheduler_alone(build, bridge, of_optimizer, of_scheduler)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    optimizer.load_state_dict(of_optimizer)
    scheduler.load_state_dict(of_scheduler)
    return optimizer, scheduler


ORDERS = [
    optimizer_first,
    scheduler_first,
    optimizer_before_the_scheduler_is_made,
    scheduler_alone,
    into_a_scheduler_that_was_used,
]


def check_every_resume(build: Build, bridge: Bridge, metrics: list[Any], order: Resume) -> None:
    """At each step: the rest of the training is the one that was not interrupted, to the last bit."""
    optimizer = build()
    scheduler = bridge(optimizer)
    states = [(copy.deepcopy(optimizer.state_dict()), scheduler.state_dict())]
    uninterrupted: list[Seen] = []
    for metric in metrics:
        uninterrupted += updates(optimizer, scheduler, [metric])
        states.append((copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()))
    uninterrupted.append(seen(optimizer))
    for done, (of_optimizer, of_scheduler) in enumerate(states):
        resumed_optimizer, resumed = order(build, bridge, of_optimizer, through_a_file(of_scheduler))
        rest = [*updates(resumed_optimizer, resumed, metrics[done:]), seen(resumed_optimizer)]
        assert rest == uninterrupted[done:], f"{order.__name__} after {done} steps"


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize(("s", "peak_lr"), [(s, None) for s in [*EACH, *MADE]] + [(s, 0.3) for s in MADE], ids=repr)
def test_every_schedule_resumes_exactly_at_every_step_in_any_order(s: Any, order: Resume, peak_lr: Any) -> None:
    """Rates, momenta and weight decays, the state having been through a file (pytorch#162591)."""
    metrics = METRICS if s.needs_metric else [None] * T
    decay = lrsweep.schedule("linear", floor=0.1)
    check_every_resume(
        lambda: adamw({}, {"lr": 0.01, "weight_decay": 0.4}, lr=0.1),
        lambda optimizer: s.torch(optimizer, T, peak_lr=peak_lr, weight_decay=decay),
        metrics,
        order,
    )


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("peak_lr", [None, 0.3, {"body": 0.1, "head": 0.2}])
def test_schedules_by_name_resume_exactly_at_every_step_in_any_order(order: Resume, peak_lr: Any) -> None:
    """With multipliers, which are not applied a second time to what the optimizer's state holds."""
    check_every_resume(
        lambda: adamw({"name": "head"}, {"name": "body", "lr": 0.01}, lr=0.1),
        lambda optimizer: BY_NAME.torch(optimizer, T, peak_lr=peak_lr),
        METRICS,
        order,
    )


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
def test_a_tensor_for_a_rate_resumes_exactly(order: Resume) -> None:
    """In the tensor's own precision."""
    check_every_resume(
        lambda: adamw({}, {}, lr=torch.tensor(0.1), foreach=False),
        lambda optimizer: lrsweep.schedule("cosine").torch(optimizer, T),
        [None] * T,
        order,
    )


def test_a_state_is_json_and_is_no_window_into_the_scheduler() -> None:
    """It stays as it was when the training goes on."""
    s = lrsweep.schedule("plateau", patience=1)
    scheduler = s.torch(adamw(lr=0.1), T, weight_decay=lrsweep.schedule("linear"))
    scheduler.step(1.0)
    state = scheduler.state_dict()
    text = json.dumps(state, allow_nan=False)
    scheduler.step(2.0)
    scheduler.step(2.0)
    assert json.dumps(state) == text
    assert state == {
        "lrsweep": 1,
        "schedule": s.to_json(),
        "total_steps": T,
        "peaks": [0.1],
        "step": 1,
        "reactive": {
            "every group": [
                {"family": "plateau", "state": {"best": 1.0, "bad": 0, "cooling": 0, "multiplier": 1.0}},
            ]
        },
        "weight_decay": {"schedule": lrsweep.schedule("linear").to_json(), "peaks": [0.01]},
    }
    scheduler.load_state_dict(json.loads(text))
    assert json.dumps(scheduler.state_dict()) == text
    scheduler.state_dict()["reactive"]["every group"][0]["state"]["best"] = 0.0
    assert json.dumps(scheduler.state_dict()) == text


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("load_optimizer", ["before", "after", "never"])
def test_a_training_with_an_added_group_resumes(late: bool, load_optimizer: str) -> None:
    """Whether the group is added to the new optimizer before or after its scheduler is made."""

    def build() -> Any:
        optimizer = sgd(lr=0.1)
        if not late:
            optimizer.add_param_group(group())
        scheduler = lrsweep.schedule("linear").torch(optimizer, 10)
        if late:
            optimizer.add_param_group(group())
        return optimizer, scheduler

    def group() -> dict[str, Any]:
        return {"params": [parameter()], "lr": 0.5}

    optimizer, scheduler = sgd(lr=0.1), None
    scheduler = lrsweep.schedule("linear").torch(optimizer, 10)
    scheduler.step()
    optimizer.add_param_group(group())
    optimizer.step()
    scheduler.step()
    states = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    optimizer, scheduler = build()
    if load_optimizer == "before":
        optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    if load_optimizer == "after":
        optimizer.load_state_dict(states[0])
    assert rates(optimizer) == pytest.approx([0.08, 0.4])


def test_a_state_taken_right_after_a_group_was_added_knows_the_group() -> None:
    """The optimizer's state has it as well."""
    optimizer = sgd(lr=0.1)
    scheduler = lrsweep.schedule("linear").torch(optimizer, 10)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.5})
    assert scheduler.state_dict()["peaks"] == [0.1, 0.5]
