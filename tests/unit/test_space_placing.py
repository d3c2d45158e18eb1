"""Where things lie in a space that were not drawn from it: the baseline, and points of elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lrsweep.records import OptimizerSpec
from lrsweep.schedules import Search, schedule, schedule_from_json
from lrsweep.space import Candidate, baseline_params, candidate, distributions_of, fits, params_of, peak_of, why_not
from lrsweep.study import OPTIMIZERS, Baseline, ResolvedStudy
from tests.sweeps import a_study

NOW = Baseline(schedule("wsd", cooldown=0.25), peak_lr=0.5, optimizer="sgd")


def study_with(baseline: Baseline = NOW, **space: Any) -> ResolvedStudy:
    return replace(a_study(**space), baseline=baseline)


def test_a_baseline_inside_the_space_has_a_points_parameters_and_distributions() -> None:
    """What trains from them is the baseline."""
    study = study_with(warmup=(0.0, 0.2), extra={"dropout": Search(0.0, 0.5), "depth": 4})
    study = replace(study, baseline=replace(NOW, extra={"dropout": 0.125}))
    params, distributions, is_inside = baseline_params(study)
    assert is_inside
    assert params == {
        "family": "wsd",
        "optimizer": "sgd",
        "wsd.sgd.peak_lr": 0.5,
        "wsd.cooldown": 0.25,
        "warmup": 0.0,
        "extra.dropout": 0.125,
    }
    assert set(distributions) == set(params)
    assert candidate(params, study).extra == {"dropout": 0.125, "depth": 4}
    assert peak_of(params) == 0.5


@pytest.mark.parametrize(
    ("baseline", "space"),
    [
        (replace(NOW, peak_lr=5.0), {}),
        (replace(NOW, optimizer="nesterov"), {}),
        (replace(NOW, schedule=schedule("tanh")), {}),
        (replace(NOW, schedule=schedule("wsd", cooldown=0.25, floor=0.01)), {}),
        (replace(NOW, schedule=schedule("wsd", cooldown=0.25, warmup="20 steps")), {"warmup": (0.0, 0.2)}),
        (replace(NOW, settings={"momentum": 0.95}), {}),
        (NOW, {"settings": {"wsd": {"cooldown": 0.5}}}),
        (NOW, {"extra": {"dropout": Search(0.0, 0.5)}}),
    ],
    ids=["rate", "optimizer", "family", "pinned floor", "counted warm-up", "momentum", "pinned cooldown", "extra"],
)
def test_a_baseline_beside_the_space_trains_all_the_same(baseline: Baseline, space: dict[str, Any]) -> None:
    """Its parameters say all of it, no distribution goes with them, and they lie in no space."""
    study = study_with(baseline, **space)
    params, distributions, is_inside = baseline_params(study)
    assert not is_inside
    assert distributions == {}
    assert not fits(params, study)
    point = candidate(params, study)
    assert (point.schedule, point.peak_lr) == (baseline.schedule, baseline.peak_lr)
    assert point.optimizer.name == baseline.optimizer
    assert point.optimizer.settings == {**OPTIMIZERS[baseline.optimizer].settings, **baseline.settings}
    assert peak_of(params) == baseline.peak_lr
    assert schedule_from_json(params["schedule"]) == baseline.schedule


def test_a_list_that_ascends_is_found_again_number_by_number() -> None:
    """In its own order, whatever order its numbers were once drawn in."""
    study = a_study(families=("multistep",))
    drawn = {
        "family": "multistep",
        "optimizer": "sgd",
        "multistep.sgd.peak_lr": 0.1,
        "multistep.at.1": 0.8,
        "multistep.at.2": 0.4,
        "multistep.gamma": 0.1,
    }
    assert params_of(candidate(drawn, study), study) == drawn | {"multistep.at.1": 0.4, "multistep.at.2": 0.8}


def test_a_weight_decay_is_drawn_by_optimizer_and_becomes_its_setting() -> None:
    """On a log scale where the range begins above 0; a pinned one is no parameter."""
    study = a_study(weight_decay={"adamw": (1e-3, 1.0), "sgd": 0.01})
    drawn = distributions_of(study, "cosine", "adamw")
    assert drawn["adamw.weight_decay"].log  # type: ignore[attr-defined]
    assert set(distributions_of(study, "cosine", "sgd")) == {"cosine.sgd.peak_lr"}
    from_zero = a_study(weight_decay={"adamw": (0.0, 0.1)})
    assert not distributions_of(from_zero, "cosine", "adamw")["adamw.weight_decay"].log  # type: ignore[attr-defined]
    params = {"family": "cosine", "optimizer": "adamw", "cosine.adamw.peak_lr": 0.01, "adamw.weight_decay": 0.5}
    assert candidate(params, study).optimizer.settings == {**OPTIMIZERS["adamw"].settings, "weight_decay": 0.5}
    pinned = {"family": "cosine", "optimizer": "sgd", "cosine.sgd.peak_lr": 0.01}
    assert candidate(pinned, study).optimizer.settings["weight_decay"] == 0.01
    assert params_of(candidate(params, study), study) == params


@pytest.mark.parametrize(
    ("point", "why"),
    [
        (Candidate(schedule("tanh"), 0.1, OPTIMIZERS["sgd"]), "the family 'tanh' is not searched"),
        (Candidate(schedule("cosine"), 0.1, OPTIMIZERS["adam"]), "the optimizer 'adam' is not searched"),
        (Candidate(schedule("cosine"), 7.0, OPTIMIZERS["sgd"]), "cosine.sgd.peak_lr lies outside its range"),
        (
            Candidate(schedule("cosine", warmup=0.1), 0.1, OPTIMIZERS["sgd"]),
            "it differs in what the study does not search",
        ),
        (
            Candidate(schedule("cosine"), 0.1, OptimizerSpec("sgd", {"momentum": 0.5})),
            "it differs in what the study does not search",
        ),
        (Candidate(schedule("cosine"), 0.1, OPTIMIZERS["sgd"]), ""),
    ],
)
def test_why_a_point_lies_in_no_space_is_said(point: Candidate, why: str) -> None:
    """And nothing where it does."""
    assert why_not(point, a_study()) == why
    assert (params_of(point, a_study()) is None) == bool(why)
