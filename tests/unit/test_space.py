"""From ranges to a point: what Optuna is asked for, and the schedule, rate and optimizer that come of it."""

from __future__ import annotations

import json
import warnings

import optuna
import pytest

from lrsweep.schedules import family, family_names, schedule
from lrsweep.space import candidate, distributions_from_json, distributions_to_json, suggest
from lrsweep.study import OPTIMIZERS, ResolvedStudy
from tests.sweeps import a_study


def asked(study: ResolvedStudy, **fixed: str) -> optuna.Trial:
    """One trial of a random sampler, with these parameters given."""
    search = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    search.enqueue_trial(fixed)
    trial = search.ask()
    suggest(trial, study)
    return trial


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("name", family_names())
def test_what_is_suggested_makes_a_candidate(name: str, optimizer: str) -> None:
    """The schedule is of that family with the searched settings, the rate lies in the optimizer's range."""
    study = a_study()
    trial = asked(study, family=name, optimizer=optimizer)
    point = candidate(trial.params, study)
    searched = [one.name for one in family(name).settings() if one.search is not None]
    assert set(trial.params) == {
        "family",
        "optimizer",
        f"{name}.{optimizer}.peak_lr",
        *(f"{name}.{setting}" for setting in searched),
    }
    assert point.schedule == schedule(name, **{setting: trial.params[f"{name}.{setting}"] for setting in searched})
    assert point.peak_lr == trial.params[f"{name}.{optimizer}.peak_lr"]
    low, high = study.space.peak_lr[optimizer]
    assert low <= point.peak_lr <= high
    assert point.optimizer is OPTIMIZERS[optimizer]


def test_wsd_is_searched_by_its_cooldown_and_cosine_by_its_rate_alone() -> None:
    """The names that people read, by hand for two families."""
    assert set(asked(a_study(), family="wsd", optimizer="sgd").params) == {
        "family",
        "optimizer",
        "wsd.sgd.peak_lr",
        "wsd.cooldown",
    }
    assert set(asked(a_study(), family="cosine", optimizer="adamw").params) == {
        "family",
        "optimizer",
        "cosine.adamw.peak_lr",
    }


def test_a_rate_is_searched_on_a_log_scale() -> None:
    """Between 0.01 and 0.1 as often as between 0.1 and 1."""
    found = asked(a_study(), family="cosine", optimizer="sgd").distributions["cosine.sgd.peak_lr"]
    assert found == optuna.distributions.FloatDistribution(0.01, 1.0, log=True)


def test_a_warm_up_and_a_floor_of_the_study_go_into_every_schedule() -> None:
    """One number each is not searched: it is not a parameter."""
    study = a_study(warmup=0.1, floor=0.02)
    trial = asked(study, family="cosine", optimizer="sgd")
    assert candidate(trial.params, study).schedule == schedule("cosine", warmup=0.1, floor=0.02)
    assert "warmup" not in trial.params
    assert "floor" not in trial.params


def test_ranges_for_warm_up_and_floor_are_searched() -> None:
    """Each becomes one parameter, shared by all families."""
    study = a_study(warmup=(0.05, 0.2), floor=(0.0, 0.1))
    trial = asked(study, family="linear", optimizer="sgd")
    point = candidate(trial.params, study)
    assert 0.05 <= trial.params["warmup"] <= 0.2
    assert 0.0 <= trial.params["floor"] <= 0.1
    assert point.schedule == schedule("linear", warmup=trial.params["warmup"], floor=trial.params["floor"])


@pytest.mark.parametrize("warmup", [0.1, (0.05, 0.2)])
def test_a_family_that_rises_by_itself_gets_no_warm_up(warmup: float | tuple[float, float]) -> None:
    """one_cycle alone; the rate would fall back between the two."""
    study = a_study(warmup=warmup)
    for name in family_names():
        point = candidate(asked(study, family=name, optimizer="sgd").params, study)
        assert (point.schedule.warmup == 0.0) == (name == "one_cycle"), name


def test_a_warm_up_is_searched_only_where_it_does_something() -> None:
    """The sampler is not asked for the warm-up of one_cycle, from which it would learn nothing; the floor it is."""
    study = a_study(warmup=(0.05, 0.2), floor=(0.0, 0.1))
    for name in family_names():
        params = asked(study, family=name, optimizer="sgd").params
        assert "floor" in params
        assert ("warmup" in params) == (name != "one_cycle"), name


@pytest.mark.parametrize("name", family_names())
def test_distributions_come_back_from_json(name: str) -> None:
    """What the store keeps as JSON text builds the same distributions again."""
    distributions = asked(a_study(warmup=(0.0, 0.2)), family=name, optimizer="sgd").distributions
    stored = json.loads(json.dumps(distributions_to_json(distributions)))
    assert distributions_from_json(stored) == distributions


def test_a_point_is_suggested_again_from_its_stored_parameters() -> None:
    """Enqueued with JSON's own values, the ask gives the same parameters, and nothing warns."""
    study = a_study(warmup=(0.0, 0.2))
    first = asked(study, family="step", optimizer="adamw").params
    search = optuna.create_study()
    search.enqueue_trial(json.loads(json.dumps(first)))
    again = search.ask()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suggest(again, study)
    assert again.params == first
