"""A training in MLflow's words: the parameters that its table shows and that one filters by."""

from __future__ import annotations

import csv

import optuna
import pytest

import lrsweep
from lrsweep.records import OptimizerSpec
from lrsweep.schedules import Schedule
from lrsweep.space import candidate, suggest
from lrsweep.study import OPTIMIZERS
from lrsweep.tracking.rows import FamilyBest, family_table, training_params
from tests.sweeps import a_study, a_training

SEARCHED = [name for name in lrsweep.family_names() if name not in ("table", "function")]


def params_of(schedule: Schedule, peak_lr: float = 0.5) -> dict[str, str]:
    """At the full horizon, where the peak is the trial's own."""
    return training_params(a_training(rung=1), schedule=schedule, peak_lr=peak_lr, optimizer=OPTIMIZERS["sgd"])


def test_the_numbers_of_a_list_stand_under_their_places() -> None:
    """So they can be sorted and filtered by, each under the name by which the search draws it."""
    found = params_of(lrsweep.schedule("multistep", at=(0.25, 0.75), gamma=0.5, warmup=0.1))
    assert found == {
        "family": "multistep",
        "optimizer": "sgd",
        "peak_lr": "0.5",
        "multistep.at.1": "0.25",
        "multistep.at.2": "0.75",
        "multistep.gamma": "0.5",
        "warmup": "0.1",
        "floor": "0.0",
        "sgd.momentum": "0.9",
        "sgd.weight_decay": "0.0",
        "horizon": "90",
        "seed": "7",
        "rung": "1",
        "rate_scale": "1.0",
    }


def test_the_base_of_a_reactive_schedule_is_its_json() -> None:
    """One parameter, which ``lrsweep.schedule_from_json`` reads back."""
    base = lrsweep.schedule("cosine", floor=0.25)
    found = params_of(lrsweep.schedule("plateau", base=base))
    assert lrsweep.schedule_from_json(found["plateau.base"]) == base
    assert (found["plateau.mode"], found["plateau.patience"]) == ("min", "2")


@pytest.mark.parametrize("name", SEARCHED)
def test_what_was_searched_is_shown_under_the_name_by_which_it_was(name: str) -> None:
    """MLflow's table and SQL tell the same; a list that was put in order shows its numbers in that order."""
    study = a_study(families=(name,), optimizers=("sgd",), warmup=(0.0, 0.2), floor=(0.0, 0.1))
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5)).ask()
    suggest(trial, study)
    point = candidate(trial.params, study)
    found = params_of(point.schedule, point.peak_lr)
    drawn = {key: value for key, value in trial.params.items() if not key.endswith(".peak_lr")}
    assert set(drawn) <= set(found)
    put_in_order = ("multistep.at.", "piecewise.at.", "threshold.levels.")
    as_drawn = {key: str(value) for key, value in drawn.items() if not key.startswith(put_in_order)}
    assert as_drawn.items() <= found.items()
    assert found["peak_lr"] == str(point.peak_lr)


@pytest.mark.parametrize("name", SEARCHED)
def test_what_is_stored_of_a_trial_gives_its_schedule_again(name: str) -> None:
    """From MLflow's table, where all is text, and from the parameters in SQL."""
    study = a_study(families=(name,), optimizers=("sgd",), warmup=(0.0, 0.2), floor=(0.0, 0.1))
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=6)).ask()
    suggest(trial, study)
    point = candidate(trial.params, study)
    assert lrsweep.schedule_from_params(params_of(point.schedule)) == point.schedule
    assert lrsweep.schedule_from_params(trial.params) == point.schedule


def test_a_scripts_own_parameters_stand_under_their_names() -> None:
    """Its optimizer is a name alone."""
    found = training_params(
        a_training(rung=1),
        schedule=lrsweep.schedule("cosine"),
        peak_lr=0.5,
        optimizer=OptimizerSpec("script"),
        extra={"dropout": 0.25, "head": "mlp", "depth": 4},
    )
    assert {key: value for key, value in found.items() if key.startswith(("extra", "script"))} == {
        "extra.dropout": "0.25",
        "extra.head": "mlp",
        "extra.depth": "4",
    }
    assert found["optimizer"] == "script"


def test_the_table_of_families_can_be_read_back() -> None:
    """A schedule is JSON with commas and quotes in it; a family without a value has blanks."""
    schedule = lrsweep.schedule("wsd", cooldown=0.25)
    best = FamilyBest("wsd", 8, 3, 4, 1, 0, value=0.25, trial=7, peak_lr=0.1, optimizer="sgd", schedule=schedule)
    first, second = csv.DictReader(family_table([best, FamilyBest("step", 2, 0, 2, 0, 0)], "val_loss").splitlines())
    assert (first["val_loss"], first["trial"], first["halted"]) == ("0.25", "7", "4")
    assert lrsweep.schedule_from_json(first["schedule"]) == schedule
    assert (second["family"], second["val_loss"], second["schedule"]) == ("step", "", "")
