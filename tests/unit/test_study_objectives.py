"""The value of a training, by hand from small curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from lrsweep.records import Curve, Direction
from lrsweep.study import Objective
from lrsweep.study.objectives import read_aim

NAN = math.nan


def a_curve(*values: float, metric: str = "val_acc", every: int = 10) -> Curve:
    """Evaluated after each ten updates."""
    steps = np.arange(1, len(values) + 1) * every
    return Curve(np.zeros(0), np.zeros(0), steps, {metric: np.array(values)})


@pytest.mark.parametrize(
    ("values", "direction", "last", "best"),
    [
        ((0.5, 0.9, 0.7), "maximize", 0.7, 0.9),
        ((0.5, 0.9, 0.7), "minimize", 0.7, 0.5),
        ((NAN, 0.9, 0.7), "maximize", 0.7, 0.9),
        ((0.5, math.inf, 0.7), "maximize", 0.7, 0.7),
        ((0.5, -math.inf, 0.7), "minimize", 0.7, 0.5),
        ((0.5, NAN), "minimize", None, 0.5),
        ((NAN,), "minimize", None, None),
        ((), "minimize", None, None),
    ],
)
def test_the_last_and_the_best_evaluation(
    values: Sequence[float], direction: Direction, last: float | None, best: float | None
) -> None:
    """What is no finite number is neither; where nothing is left there is no value."""
    curve = a_curve(*values)
    assert Objective().value(curve, "val_acc", direction, 30) == last
    assert Objective("best").value(curve, "val_acc", direction, 30) == best


def test_a_metric_that_the_curve_lacks_gives_no_value() -> None:
    """A script may report another one."""
    assert Objective("best").value(a_curve(0.5, metric="val_loss"), "val_acc", "maximize", 30) is None


def test_the_time_to_a_target_is_the_updates_of_the_first_evaluation_that_reaches_it() -> None:
    """The target itself counts, what comes later does not."""
    assert Objective("target", 0.9).value(a_curve(0.5, 0.9, 0.7, 0.95), "val_acc", "maximize", 40) == 20
    assert Objective("target", 0.6).value(a_curve(0.9, NAN, 0.6, 0.1), "val_acc", "minimize", 40) == 30


def test_what_never_reaches_the_target_is_behind_all_that_did_and_the_closer_the_better() -> None:
    """A quarter short: gap 1/3 of 0.75 is 0.25/0.75, so 40 * (1 + (1/3) / (4/3)) = 50."""
    objective = Objective("target", 0.75)
    assert objective.value(a_curve(0.5, 0.2), "val_acc", "maximize", 40) == pytest.approx(50)
    closer = objective.value(a_curve(0.7), "val_acc", "maximize", 40)
    assert closer is not None
    assert 40 < closer < 50
    assert Objective("target", 0.0).value(a_curve(5.0), "val_acc", "minimize", 40) == pytest.approx(80)


def test_the_name_of_the_value_tells_what_it_is() -> None:
    """Values of two objectives do not stand under one name."""
    kinds = [Objective(), Objective("best"), Objective("target", 0.9)]
    assert [objective.key("loss") for objective in kinds] == ["loss", "best_loss", "steps_to_loss"]


@pytest.mark.parametrize(
    ("text", "metric", "target", "direction"),
    [
        ("val_acc >= 0.94", "val_acc", 0.94, "maximize"),
        ("val_loss<=1e-3", "val_loss", 0.001, "minimize"),
        (" eval/ppl <= -2 ", "eval/ppl", -2.0, "minimize"),
        ("val_loss <= 1_000.5", "val_loss", 1000.5, "minimize"),
    ],
)
def test_a_target_names_its_metric_and_its_direction(text: str, metric: str, target: float, direction: str) -> None:
    """More is wanted of what has to reach a number from below."""
    aim = read_aim(text)
    assert aim is not None
    assert (aim.metric, aim.objective.target, aim.direction) == (metric, target, direction)


@pytest.mark.parametrize(
    "text",
    [
        *("fast", "val_acc > 0.9", "val_acc == 0.9", ">= 0.9", "val_acc >= nan", "9a >= 1", 3),
        *("val_acc >= 1__0", "val_acc >= 1_", "val_acc >= 1_.5"),
    ],
)
def test_what_is_no_objective_is_none(text: object) -> None:
    """Equality is reached by nobody, and a strict sign by the same evaluations."""
    assert read_aim(text) is None
