"""Schedules from the arguments of a transformers Trainer; what no family can express is refused with the reason."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from lrsweep import ScheduleError, schedule, schedule_from_params, sequence
from lrsweep.schedules import Schedule

LINEAR = schedule("linear")


class SchedulerType(enum.StrEnum):
    COSINE = "cosine"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"lr_scheduler_type": "linear"}, LINEAR),
        ({"lr_scheduler_type": "linear", "warmup_ratio": "0.1", "warmup_steps": "0"}, schedule("linear", warmup=0.1)),
        (
            {"lr_scheduler_type": "linear", "warmup_ratio": 0.1, "warmup_steps": 50},
            schedule("linear", warmup="50 steps"),
        ),
        ({"lr_scheduler_type": "linear", "warmup_steps": "0.1"}, schedule("linear", warmup=0.1)),
        ({"lr_scheduler_type": "linear", "lr_scheduler_kwargs": "None"}, LINEAR),
        ({"lr_scheduler_type": "linear", "lr_scheduler_kwargs": "{}"}, LINEAR),
        ({"lr_scheduler_type": SchedulerType.COSINE}, schedule("cosine")),
        ({"lr_scheduler_type": "SchedulerType.COSINE"}, schedule("cosine")),
        ({"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": 0.5}}, schedule("cosine")),
        ({"lr_scheduler_type": "cosine_with_restarts"}, schedule("cosine_restarts", cycles=1)),
        (
            {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": "{'num_cycles': 3}"},
            schedule("cosine_restarts", cycles=3),
        ),
        (
            {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs.num_cycles": "3"},
            schedule("cosine_restarts", cycles=3),
        ),
        (
            {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs/power": 2, "learning_rate": 1e-5},
            schedule("polynomial", power=2.0, floor=1e-7 / 1e-5),
        ),
        (
            {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 0}},
            schedule("polynomial", power=1.0),
        ),
        ({"lr_scheduler_type": "constant", "warmup_steps": 50}, schedule("constant")),
        ({"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 50}, schedule("constant", warmup="50 steps")),
        (
            {"lr_scheduler_type": "inverse_sqrt", "warmup_ratio": 0.2},
            schedule("inverse_sqrt", timescale=0.25, warmup=0.2),
        ),
        (
            {"lr_scheduler_type": "inverse_sqrt", "warmup_steps": 100, "max_steps": 500},
            schedule("inverse_sqrt", timescale=0.25, warmup="100 steps"),
        ),
        ({"lr_scheduler_type": "inverse_sqrt", "max_steps": 20_000}, schedule("inverse_sqrt", timescale=0.5)),
        (
            {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
            schedule("cosine", floor=0.1),
        ),
        (
            {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs.min_lr": "1e-5", "learning_rate": "1e-4"},
            schedule("cosine", floor=1e-5 / 1e-4),
        ),
        (
            {
                "lr_scheduler_type": "warmup_stable_decay",
                "warmup_steps": 10,
                "lr_scheduler_kwargs": {"num_decay_steps": 20},
            },
            schedule("wsd", cooldown="20 steps", shape="cosine", warmup="10 steps"),
        ),
        (
            {
                "lr_scheduler_type": "warmup_stable_decay",
                "warmup_steps": 10,
                "max_steps": 100,
                "lr_scheduler_kwargs": {
                    "num_decay_steps": 20,
                    "num_stable_steps": 70,
                    "decay_type": "1-sqrt",
                    "warmup_type": "cosine",
                    "min_lr_ratio": 0.1,
                },
            },
            schedule(
                "wsd",
                cooldown="20 steps",
                shape="1-sqrt",
                floor=0.1,
                warmup="10 steps",
                warmup_shape="cosine",
                warmup_start=0.1,
            ),
        ),
        (
            {"lr_scheduler_type": "reduce_lr_on_plateau", "warmup_steps": 10},
            schedule("plateau", gamma=0.1, patience=10, threshold=1e-4),
        ),
        (
            {
                "lr_scheduler_type": "reduce_lr_on_plateau",
                "lr_scheduler_kwargs": {"factor": 0.5, "mode": "max", "min_lr": 1e-5},
                "learning_rate": 1e-4,
            },
            schedule("plateau", gamma=0.5, patience=10, mode="max", floor=1e-5 / 1e-4),
        ),
    ],
)
def test_the_arguments_of_a_trainer_give_the_schedule(params: dict[str, Any], expected: Schedule) -> None:
    """Each type that a family can express, with values as objects and as texts."""
    assert schedule_from_params({"output_dir": "out", "num_train_epochs": "3.0", "eval_steps": 5, **params}) == expected


TYPE = "lr_scheduler_type"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({TYPE: "cosin"}, "lr_scheduler_type 'cosin' is not known. Did you mean 'cosine'? There are: linear, cosine"),
        ({TYPE: "greedy"}, "lr_scheduler_type 'greedy' cannot be expressed: its averages"),
        ({TYPE: "cosine_warmup_with_min_lr"}, "cannot be expressed: its decay begins one step ahead"),
        ({TYPE: "cosine", "lr_scheduler_kwargs.num_cycles": 2}, "num_cycles must be 0.5, half a wave"),
        ({TYPE: "linear", "lr_scheduler_kwargs": {"power": 2}}, "power is not known. There are: none for this type"),
        (
            {TYPE: "polynomial", "lr_scheduler_kwargs": {"powr": 2, "lr_end": 0}},
            "powr is not known. Did you mean 'power'?",
        ),
        (
            {TYPE: "polynomial"},
            "lr_scheduler_kwargs.lr_end 1e-07 is a rate, and a schedule has fractions of the peak: give learning_rate",
        ),
        ({TYPE: "polynomial", "learning_rate": 1e-8}, "lr_end 1e-07 is above learning_rate 1e-08"),
        (
            {TYPE: "cosine_with_restarts", "lr_scheduler_kwargs.num_cycles": 1.5},
            "must be a whole number from 1 to 1000, not 1.5",
        ),
        ({TYPE: "cosine_with_min_lr"}, "must have min_lr or min_lr_rate, one of them, and neither is given"),
        (
            {TYPE: "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 0, "min_lr_rate": 0}},
            "one of them, and both are given",
        ),
        (
            {TYPE: "inverse_sqrt", "warmup_steps": 10},
            "counts its timescale in steps, here it is a fraction of the decay: give max_steps",
        ),
        (
            {TYPE: "inverse_sqrt", "warmup_steps": 10, "max_steps": 10},
            "a warm-up of 10 steps leaves none of the 10 of max_steps",
        ),
        ({TYPE: "warmup_stable_decay"}, "num_decay_steps is missing"),
        (
            {
                TYPE: "warmup_stable_decay",
                "warmup_steps": 9,
                "lr_scheduler_kwargs": {"num_decay_steps": 9, "warmup_type": "1-sqrt"},
            },
            "has no counterpart",
        ),
        (
            {TYPE: "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 9, "num_stable_steps": 9}},
            "num_stable_steps 9 fits one horizon alone",
        ),
        ({TYPE: "reduce_lr_on_plateau", "lr_scheduler_kwargs.eps": 0.1}, "eps must be 1e-08 or less, not 0.1"),
        ({TYPE: "linear", "warmup_steps": -1}, "warmup_steps must be a number in [0, 1e+15], not -1"),
        ({TYPE: "linear", "warmup_steps": 10.5}, "warmup_steps must be a whole number, or a ratio below 1, not 10.5"),
        ({TYPE: "linear", "warmup_ratio": 1}, "warmup_ratio must be a number in [0, 1), not 1"),
        ({TYPE: "linear", "warmup": 0.1}, "'warmup' is not known. Did you mean 'warmup_"),
        (
            {TYPE: "linear", "lr_scheduler_kwarg": "{}"},
            "'lr_scheduler_kwarg' is not known. Did you mean 'lr_scheduler_kwargs'?",
        ),
        (
            {TYPE: "linear", "lr_scheduler_kwargs": "[1]"},
            "lr_scheduler_kwargs must be an object such as {'num_cycles': 2}, not [1]",
        ),
        (
            {TYPE: "cosine", "lr_scheduler_kwargs": {"num_cycles": 0.5}, "lr_scheduler_kwargs.num_cycles": 1},
            "num_cycles is given twice",
        ),
        ({TYPE: 3}, "lr_scheduler_type 3 is not known"),
    ],
)
def test_trainer_arguments_that_cannot_be_expressed_are_refused_with_the_reason(params: Any, text: str) -> None:
    """Nothing near it is taken instead."""
    with pytest.raises(ScheduleError) as error:
        schedule_from_params(params)
    assert text in str(error.value)


def test_the_json_wins_over_a_trainers_default_type() -> None:
    """A Trainer always logs a type; the tag says which schedule it was given really."""
    s = sequence((LINEAR, 0.5), (schedule("constant"), 0.5))
    assert schedule_from_params({TYPE: "linear", "lrsweep.schedule": s.to_json()}) == s
