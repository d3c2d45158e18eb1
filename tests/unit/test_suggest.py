"""``lrsweep.suggest`` in Optuna objectives that are not ours."""

from __future__ import annotations

import optuna
import pytest

import lrsweep
from lrsweep.errors import InvalidInput
from lrsweep.schedules import core_names, schedule
from lrsweep.space import fits
from tests.sweeps import a_study

RANGES = {"sgd": (0.01, 1.0), "adamw": (0.0001, 0.1)}


def test_it_works_inside_optimize_and_its_points_are_those_of_a_study_of_ours() -> None:
    """The same names and ranges: what was found so could be imported."""

    def objective(trial: optuna.Trial) -> float:
        found = lrsweep.suggest(trial, peak_lr=RANGES, optimizers=("sgd", "adamw"), warmup=(0.0, 0.2))
        rates = found.rates(50)
        assert rates.max() <= found.peak_lr
        return float(rates.sum())

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1, multivariate=False))
    study.optimize(objective, n_trials=40)
    ours = a_study(warmup=(0.0, 0.2))
    assert all(fits(trial.params, ours) for trial in study.trials)
    assert {trial.params["family"] for trial in study.trials} <= set(core_names())
    assert len({trial.params["family"] for trial in study.trials}) > 4


def test_a_fixed_trial_gives_the_schedule_that_it_names() -> None:
    """Without optimizers the rate belongs to the family alone."""
    fixed = optuna.trial.FixedTrial({"family": "wsd", "wsd.peak_lr": 0.5, "wsd.cooldown": 0.25, "floor": 0.05})
    found = lrsweep.suggest(fixed, families=["wsd", "rex"], peak_lr=(0.1, 1.0), floor=(0.0, 0.1))
    assert (found.schedule, found.peak_lr, found.optimizer) == (schedule("wsd", cooldown=0.25, floor=0.05), 0.5, None)


def test_it_steps_a_torch_optimizer() -> None:
    """Whatever rate the optimizer was made with."""
    import torch

    fixed = optuna.trial.FixedTrial({"family": "linear", "linear.peak_lr": 0.5})
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=7.0)
    scheduler = lrsweep.suggest(fixed, peak_lr=(0.1, 1.0)).torch(optimizer, 4)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        parameter.grad = torch.zeros(1)
        optimizer.step()
        scheduler.step()
    assert rates == [0.5, 0.375, 0.25, 0.125]


def test_a_reactive_family_hears_which_way_is_better() -> None:
    """As in a study of ours."""
    drawn = optuna.create_study().ask()
    found = lrsweep.suggest(drawn, families=["plateau"], peak_lr=(0.1, 1.0), direction="maximize")
    assert found.schedule.settings_dict()["mode"] == "max"


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Each with what to write."""
    with pytest.raises(InvalidInput) as caught:
        lrsweep.suggest(
            optuna.create_study().ask(), families=["cosin"], peak_lr={"sgd": (1.0, 0.1)}, optimizers=["sgd", "adamw"]
        )
    text = str(caught.value)
    assert "Did you mean 'cosine'?" in text
    assert "peak_lr has no range for adamw" in text
    assert "peak_lr['sgd'] is (1.0, 0.1); wanted is (low, high) with 0 < low <= high" in text
