"""Schedules from flat names and values, as other tools store them; what is no schedule's is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from lrsweep import ScheduleError, schedule, schedule_from_params
from lrsweep.records import OptimizerSpec, TrainingRow
from lrsweep.schedules import Schedule
from lrsweep.tracking.rows import training_params
from tests.drawn_compositions import any_composition, reactive_schedule
from tests.drawn_schedules import falling, usual_schedule

# A busy machine may be slow; a law is about values, not about time.
law = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

LINEAR = schedule("linear")


def refusal_of(params: Any, **others: Any) -> str:
    with pytest.raises(ScheduleError) as error:
        schedule_from_params(params, **others)
    return str(error.value)


# ── what lrsweep writes ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"family": "cosine"}, schedule("cosine")),
        ({"family": "wsd", "wsd.cooldown": 0.3}, schedule("wsd", cooldown=0.3)),
        (
            {"family": "wsd", "wsd.cooldown": "0.3", "wsd.shape": "1-sqrt"},
            schedule("wsd", cooldown=0.3, shape="1-sqrt"),
        ),
        ({"family": "wsd", "cooldown": "200 steps"}, schedule("wsd", cooldown="200 steps")),
        ({"family": "cosine", "warmup": "0.05", "floor": "1e-2"}, schedule("cosine", warmup=0.05, floor=0.01)),
        ({"family": "cosine", "warmup": "500 steps", "hold": "0.1"}, schedule("cosine", warmup="500 steps", hold=0.1)),
        ({"family": "cosine", "cosine.noise": "0.1", "floor": None}, schedule("cosine", noise=0.1)),
        ({"family": "wsd", "wsd/cooldown": "0.3"}, schedule("wsd", cooldown=0.3)),
        ({"family": "one_cycle", "one_cycle.cycle_momentum": "True"}, schedule("one_cycle", cycle_momentum=True)),
        ({"family": "one_cycle", "cycle_momentum": "false"}, schedule("one_cycle")),
        ({"family": "cosine_restarts", "cycles": "4"}, schedule("cosine_restarts", cycles=4)),
        ({"family": "knots", "knots.points": "(1.0, 0.5, 0.0)"}, schedule("knots", points=(1.0, 0.5, 0.0))),
        ({"family": "knots", "points": [1, 0.5, 0]}, schedule("knots", points=(1.0, 0.5, 0.0))),
        (
            {"family": "knots", "knots.points.2": "0.5", "knots.points.1": "1.0", "knots.points.3": 0},
            schedule("knots", points=(1.0, 0.5, 0.0)),
        ),
        # A search draws the places of an ascending list independently; which is which carries no meaning.
        ({"family": "multistep", "multistep.at.1": 0.8, "multistep.at.2": 0.4}, schedule("multistep", at=(0.4, 0.8))),
        ({"family": "plateau", "plateau.base": '{"family": "linear"}'}, schedule("plateau", base=LINEAR)),
        (
            {"family": "plateau", "base": "{'family': 'linear'}", "patience": "3"},
            schedule("plateau", base=LINEAR, patience=3),
        ),
        (
            {"family": "plateau", "base.family": "linear", "base.floor": "0.1"},
            schedule("plateau", base=schedule("linear", floor=0.1)),
        ),
        ({"family": "extended", "schedule": {"family": "linear"}, "ratio": "2"}, LINEAR.extended(2.0)),
        ({"family": "extended", "schedule.family": "linear", "ratio": 2}, LINEAR.extended(2.0)),
    ],
)
def test_flat_names_give_the_schedule(params: dict[str, Any], expected: Schedule) -> None:
    """Values as numbers or as text, with or without the family's name before them, lists whole or place by place."""
    assert schedule_from_params(params) == expected


def test_what_is_not_the_schedules_is_left_alone() -> None:
    """A whole training's parameters, the peak rate and other families' settings among them."""
    params = {
        "family": "cosine",
        "cosine.sgd.peak_lr": "0.1",
        "cosine.adamw.peak_lr": "0.001",
        "wsd.cooldown": "0.3",
        "optimizer": "sgd",
        "sgd.momentum": "0.9",
        "model": "resnet",
        "batch_size": "64",
        "lr": 0.1,
        "seed": 3,
        "gamma": 0.1,
        "data.path": "somewhere",
        "lrsweep.kind": "training",
        "warmup": 0.05,
    }
    assert schedule_from_params(params) == schedule("cosine", warmup=0.05)


def test_a_name_that_others_use_too_is_theirs_where_the_familys_own_is_written_out() -> None:
    """Adam's ``beta`` beside ``rex.beta``, in a base too; alone it is the family's."""
    low = schedule("rex", beta=0.3)
    assert schedule_from_params({"family": "rex", "beta": 0.3}) == low
    assert schedule_from_params({"rex.beta": 0.3, "family": "rex", "beta": 0.9}) == low
    assert schedule_from_params({"family": "rex", "beta": "many", "rex/beta": "0.3"}) == low
    assert schedule_from_params({"family": "rex", "rex.beta": 0.3, "beta": 0.9, "schedule": low.to_json()}) == low
    inside = {"family": "plateau", "base.family": "rex", "base.rex.beta": 0.3, "base.beta": 0.9}
    assert schedule_from_params(inside) == schedule("plateau", base=low)


def test_values_and_names_nested_too_deep_are_refused() -> None:
    """Python's own stack would end: a text, what a reader made of it, a whole schedule, and names."""
    lists, objects = "[" * 900 + "]" * 900, {"family": "linear"}
    for _ in range(5000):
        objects = {"family": "plateau", "base": objects}  # type: ignore[dict-item]
    for params in (
        {"family": "knots", "knots.points": lists},
        {"family": "knots", "points": [json.loads(lists)]},
        {"family": "plateau", "base": objects},
        {"schedule": objects},
        {"lrsweep.schedule": json.dumps({"family": "linear", "floor": json.loads(lists)})},
        {"family": "plateau", **{"base." * depth + "family": "plateau" for depth in range(1, 1500)}},
    ):
        told = refusal_of(params)
        assert "is nested deeper than a schedule can be" in told
        assert len(told) < 1500


def test_a_prefix_picks_the_names_that_begin_with_it() -> None:
    """A row of a table of trainings has its columns under a common beginning."""
    row = {
        "run_id": "a1",
        "metrics.family": 1,
        "params.family": "wsd",
        "params.wsd.cooldown": "0.3",
        "params.warmup": "0.1",
    }
    assert schedule_from_params(row, prefix="params.") == schedule("wsd", cooldown=0.3, warmup=0.1)
    assert refusal_of(row, prefix="parms.") == (
        "schedule from params: no schedule is named: family, lr_scheduler_type or lrsweep.schedule must be among "
        "0 names that begin with 'parms.'."
    )


def a_training(s: Schedule) -> dict[str, str]:
    """What the tracking writes of a training with this schedule."""
    training = TrainingRow.__new__(TrainingRow)  # the parameters are of few of its fields
    for name, value in {"rate_scale": 1.0, "horizon": 600, "seed": 3, "rung": 0}.items():
        object.__setattr__(training, name, value)
    optimizer = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})
    return training_params(training, schedule=s, peak_lr=0.1, optimizer=optimizer)


@law
@given(usual_schedule() | reactive_schedule() | any_composition(reactive=True))
def test_the_parameters_of_our_own_trainings_give_the_schedule_back(s: Schedule) -> None:
    """All texts, as MLflow stores them; with the tag that holds the JSON, and the JSON alone."""
    params = a_training(s)
    assert all(isinstance(value, str) for value in params.values())
    assert schedule_from_params(params, allow_code=True) == s
    tag = {"lrsweep.schedule": s.to_json()}
    assert schedule_from_params({**tag, "lrsweep.kind": "training"}, allow_code=True) == s
    assert schedule_from_params({**params, **tag}, allow_code=True) == s
    assert schedule_from_params({"schedule": s.to_dict()}, allow_code=True) == s


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            {"family": "wsd", "wsd.coldown": 0.3},
            "'wsd.coldown' is not a setting. Did you mean 'cooldown'? wsd has: cooldown",
        ),
        ({"family": "wsd", "coldown": 0.3}, "'coldown' is not a setting; did you mean 'cooldown'?"),
        (
            {"family": "wsd", "wds.cooldown": 0.3, "wsdd.cooldown": 1},
            "'wsdd.cooldown' is not read; did you mean 'wsd.cooldown'?",
        ),
        ({"family": "wsd", "schedule.cooldown": 0.3}, "'schedule.cooldown' is not read; did you mean 'wsd.cooldown'?"),
        (
            {"family": "wsd", "warm_up": 0.3},
            "'warm_up' is not a setting; give warmup, a fraction or a count such as '500 steps'",
        ),
        ({"family": "wsd", "warmup_steps": 30}, "'warmup_steps' is not a setting; give warmup"),
        (
            {"family": "wsd", "wsd.cooldown": "1.5"},
            "cooldown must be a number in (0, 1], or a count such as '500 steps', not 1.5",
        ),
        (
            {"family": "wsd", "wsd.cooldown": "long"},
            "cooldown must be a number in (0, 1], or a count such as '500 steps', not 'long'",
        ),
        ({"family": "wsd", "floor": float("nan")}, "floor must be a number in [0, 1], not nan"),
        (
            {"family": "wsd", "cooldown": 0.3, "wsd.cooldown": 0.4},
            "cooldown is given twice, alone and after the family's name",
        ),
        (
            {"family": "wsd", "wsd.cooldown": 0.3, "wsd/cooldown": 0.4},
            "'wsd/cooldown' is given twice, with '.' and with '/'",
        ),
        ({"family": "cosin"}, "there is no schedule family 'cosin'. Did you mean 'cosine'?"),
        ({"family": 3}, "a schedule family is named by a string, such as 'cosine', not by 3"),
        ({"family": "grouped"}, "'grouped' is not a family"),
        ({"family": "knots", "points.1": 1, "points.3": 0}, "points has 2 numbers, so points.2 must be one of them"),
        ({"family": "knots", "points": [1, 0], "points.1": 1}, "points is given as a whole and in parts, 1; keep one"),
        ({"family": "knots", "points.1": 1, "points.b": 0}, "is no place in a list such as points.1"),
        ({"family": "plateau", "base.floor": 1}, "base.floor is no place in a list such as base.1"),
        (
            {"family": "plateau", "base.family": "linear", "base.floor": 2},
            "base: floor must be a number in [0, 1], not 2",
        ),
        ({"family": "plateau", "base.family": "linear", "base.linear.x": 2}, "base: 'linear.x' is not a setting."),
        ({"family": "table"}, "values is missing"),
        ({"famly": "cosine"}, "must be among the 1 names. Did you mean 'family'? There is 'famly'."),
        ({}, "no schedule is named"),
        ({3: "cosine", "family": "cosine"}, "a parameter is named by a string, not by 3"),
        (
            {"family": "cosine", "lr_scheduler_type": "linear"},
            "family 'cosine' and lr_scheduler_type 'linear' both name a schedule",
        ),
        (
            {"schedule": "cosine"},
            "schedule must be what to_json() wrote, not 'cosine'; a family is named under 'family'",
        ),
        (
            {"lrsweep.schedule": '{"family": "cosin"}'},
            "lrsweep.schedule: schedule JSON: there is no schedule family 'cosin'",
        ),
        ({"lrsweep.schedule": {"family": {1}}}, "lrsweep.schedule: Object of type set is not JSON serializable"),
        (
            {"lrsweep.schedule": LINEAR.to_json(), "schedule": {"family": "cosine"}},
            "lrsweep.schedule and schedule differ; keep one",
        ),
        (
            {"lrsweep.schedule": LINEAR.to_json(), "family": "cosine"},
            "family is 'cosine', and lrsweep.schedule has 'linear'; keep one",
        ),
        (
            {"lrsweep.schedule": LINEAR.to_json(), "family": "linear", "floor": "0.1"},
            "floor is 0.1, and lrsweep.schedule has 0.0",
        ),
    ],
)
def test_names_and_values_that_cannot_be_meant_are_refused(params: Any, text: str) -> None:
    """A slip is told with what it may mean, and nothing is dropped because it does not fit."""
    told = refusal_of(params)
    assert told.startswith("schedule from params: ")
    assert text in told


def test_all_problems_of_params_are_told_at_once() -> None:
    """A slip in a name and two values out of range."""
    told = refusal_of({"family": "wsd", "wsd.coldown": 0.3, "warm_up": 1, "warmup_ratio": 0.1})
    assert told.splitlines()[0] == "schedule from params: 3 problems"
    told = refusal_of({"family": "wsd", "cooldown": 2, "floor": "-1"})
    assert told.splitlines()[0] == "schedule from params: 2 problems"
    assert refusal_of([("family", "cosine")]).startswith(
        "schedule from params: wanted names and values such as {'family'"
    )
    assert "prefix must be a text" in refusal_of({}, prefix=3)


def test_values_are_data_and_run_nothing() -> None:
    """A text that is an expression stays a text; a function needs the permission."""
    assert "not '__import__('os').getcwd()'" in refusal_of(
        {"family": "wsd", "cooldown": "__import__('os').getcwd()"}
    ).replace('"', "'")
    assert "cooldown must be" in refusal_of({"family": "wsd", "cooldown": "[" * 5000})
    path = f"{falling.__module__}:falling"
    assert "allow_code=True" in refusal_of({"family": "function", "path": path})
    allowed = schedule_from_params({"family": "function", "path": path}, allow_code=True)
    assert allowed == schedule("function", path=path, allow_code=True)
