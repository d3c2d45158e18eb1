"""A training that is killed with SIGKILL again and again goes on with the same curve, bit for bit."""

from __future__ import annotations

import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.records import OptimizerSpec, Record, TrainingPlan
from lrsweep.schedules import schedule
from tests.trainings import PLAN, Fate, assert_same_curve, attempt, digits, files, joined, trained

SGD = {"momentum": 0.9, "weight_decay": 1e-3}
ADAM = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.01}
CYCLING = schedule("one_cycle", cycle_momentum=True, momentum_low=0.5, momentum_high=0.9)
PLATEAU = schedule("plateau", patience=0, threshold=0.1, gamma=0.7, warmup=0.1)

KINDS = {
    "sgd, cosine": ("mlp", OptimizerSpec("sgd", SGD), schedule("cosine", warmup=0.1), 0.2),
    "adamw, cnn": ("cnn", OptimizerSpec("adamw", ADAM), schedule("linear"), 0.01),
    "rmsprop, plateau": (
        "mlp",
        OptimizerSpec("rmsprop", {"alpha": 0.9, "eps": 1e-8, "momentum": 0.5, "weight_decay": 0.0}),
        PLATEAU,
        0.003,
    ),
    "nesterov, slope": (
        "mlp",
        OptimizerSpec("nesterov", {**SGD, "dampening": 0.0}),
        schedule("slope", rate=0.5, window=2, gamma=0.7, noise=0.3),
        0.1,
    ),
    "nesterov, greedy, cnn": (
        "cnn",
        OptimizerSpec("nesterov", {**SGD, "dampening": 0.0}),
        schedule("greedy", threshold=0.1, warmup="7 steps"),
        0.1,
    ),
    "sgd dampened, momentum cycles": ("mlp", OptimizerSpec("sgd_dampened", {**SGD, "dampening": 0.9}), CYCLING, 0.5),
    "adam, momentum cycles": ("mlp", OptimizerSpec("adam", ADAM), CYCLING, 0.01),
}


def plan_of(kind: str, folder: Path) -> tuple[TrainingPlan, str]:
    model, optimizer, given, peak_lr = KINDS[kind]
    plan = replace(PLAN, schedule=given, optimizer=optimizer, peak_lr=peak_lr, horizon=50)
    return replace(plan, checkpoint_url=str(folder / "checkpoints")), model


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_is_killed_three_times_has_the_curve_of_an_undisturbed_one(kind: str, tmp_path: Path) -> None:
    """Rates, losses, evaluations and the metrics of the outcome; each attempt begins with the whole curve so far."""
    plan, model = plan_of(kind, tmp_path)
    undisturbed, records = trained(replace(plan, checkpoint_url=None), digits(model))
    drawn = random.Random(kind)
    survived: list[Record] = []
    for number in range(1, 4):
        killed = attempt(replace(plan, attempt=number), model, Fate(batches=drawn.randint(5, 15)))
        assert killed.exit_code == -signal.SIGKILL
        assert (killed.records[0].first_step, len(killed.records[0].rates)) == (0, joined(survived).steps)
        survived = killed.records

    last = attempt(replace(plan, attempt=4), model, Fate())

    assert last.exit_code == 0
    assert last.said == []
    assert 15 <= len(last.records[0].rates) <= 45
    assert_same_curve(joined(last.records), undisturbed)
    ended, wanted = last.records[-1].outcome, records[-1].outcome
    assert ended is not None
    assert wanted is not None
    assert (ended.status, ended.steps, ended.metrics) == (wanted.status, 50, wanted.metrics)


@pytest.mark.parametrize("syncs", [14, 15], ids=["before the file is synced", "before its name is"])
def test_a_training_killed_as_it_writes_a_checkpoint_uses_one_that_is_whole(syncs: int, tmp_path: Path) -> None:
    """The eighth one is a draft, or has its name already; either way nothing is said, and the curve is the same."""
    plan, model = plan_of("sgd, cosine", tmp_path)
    killed = attempt(plan, model, Fate(syncs=syncs))
    assert killed.exit_code == -signal.SIGKILL
    left = files(tmp_path / "checkpoints")
    assert left == (["next", "step-6", "step-7"] if syncs == 14 else ["step-6", "step-7", "step-8"])

    again = attempt(replace(plan, attempt=2), model, Fate())

    assert again.said == []
    assert len(again.records[0].rates) == (7 if syncs == 14 else 8)
    assert_same_curve(joined(again.records), trained(replace(plan, checkpoint_url=None), digits(model))[0])
    assert files(tmp_path / "checkpoints") == ["step-49", "step-50"]


def test_a_full_disk_costs_the_checkpoints_and_not_the_training(tmp_path: Path) -> None:
    """No file may have more than 4 kB: each try is told with what the system says, and the curve is the same."""
    plan, model = plan_of("sgd, cosine", tmp_path)

    done = attempt(plan, model, Fate(largest_file=4096))

    assert done.exit_code == 0
    assert len(done.said) == 50
    folder = tmp_path / "checkpoints"
    assert done.said[0] == (
        f"No checkpoint could be written to {folder}: OSError: [Errno 27] File too large. The training goes on; the "
        "next try is in 0 s."
    )
    assert files(folder) == []
    assert_same_curve(joined(done.records), trained(replace(plan, checkpoint_url=None), digits(model))[0])
