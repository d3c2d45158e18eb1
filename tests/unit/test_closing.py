"""What a sweep's run in MLflow says at its end: the value under the value's name, and the finals beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrsweep.records import OptimizerSpec, WorkloadSpec
from lrsweep.schedules import schedule
from lrsweep.sweep.closing import best_metrics
from lrsweep.sweep.finals import Finalist
from lrsweep.sweep.progress import Best

BEST = Best(
    trial=3,
    value=240.0,
    metric="val_acc",
    direction="maximize",
    workload=WorkloadSpec("digits", {}),
    family="cosine",
    schedule=schedule("cosine"),
    peak_lr=0.1,
    optimizer=OptimizerSpec("sgd").name,
    optimizer_settings={},
    horizon=90,
    metrics={},
)


@pytest.mark.parametrize(
    ("value_key", "name"),
    [
        ("", "best_val_acc"),
        ("val_acc", "best_val_acc"),
        ("best_val_acc", "best_val_acc"),
        ("steps_to_val_acc", "best_steps_to_val_acc"),
    ],
)
def test_the_best_is_logged_under_the_name_of_its_value(value_key: str, name: str) -> None:
    """240 updates are no accuracy."""
    assert best_metrics(replace(BEST, value_key=value_key)) == {name: 240.0}


def test_what_fresh_seeds_say_stands_beside_it() -> None:
    """Under the metric by which finalists were judged; nothing where none of them completed."""
    final = Finalist(3, "cosine", False, 3, 0, 0, 0, 0.25, 0.01, None, "decide_loss", True)
    assert best_metrics(replace(BEST, final=final))["final_decide_loss_mean"] == 0.25
    assert best_metrics(replace(BEST, final=replace(final, mean=None))) == {"best_val_acc": 240.0}
