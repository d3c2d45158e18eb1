"""From ranges to a point: what Optuna is asked for, and the schedule, rate and optimizer that come of it."""

from __future__ import annotations

import json
import warnings
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsweep.schedules import Search, family, family_names, schedule, schedule_from_json
from lrsweep.space import candidate, distributions_from_json, distributions_to_json, suggest
from lrsweep.study import OPTIMIZERS, ResolvedStudy
from lrsweep.study.extra import Choices
from tests.sweeps import a_study

SEARCHED = [name for name in family_names() if name not in ("table", "function")]
"""all but the two that have a setting without a default"""


def of_all(**space: Any) -> ResolvedStudy:
    return a_study(families=tuple(SEARCHED), **space)


def asked(study: ResolvedStudy, *, seed: int = 1, **fixed: Any) -> optuna.Trial:
    """One trial of a random sampler, with these parameters given."""
    search = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    search.enqueue_trial(fixed)
    trial = search.ask()
    suggest(trial, study)
    return trial


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("name", SEARCHED)
def test_what_is_suggested_makes_a_candidate(name: str, optimizer: str) -> None:
    """The schedule is of that family, what is not searched has its default, the rate lies in the optimizer's range."""
    study = of_all()
    trial = asked(study, family=name, optimizer=optimizer)
    point = candidate(trial.params, study)
    searched = {one.name for one in family(name).settings() if one.search is not None}
    own = set(trial.params) - {"family", "optimizer", f"{name}.{optimizer}.peak_lr"}
    assert {drawn.split(".")[1] for drawn in own} == searched
    assert point.schedule.family == name
    defaults, found = schedule(name).settings_dict(), point.schedule.settings_dict()
    assert {key for key in found if found[key] != defaults[key]} <= searched
    assert point.peak_lr == trial.params[f"{name}.{optimizer}.peak_lr"]
    low, high = study.space.peak_lr[optimizer]
    assert low <= point.peak_lr <= high
    assert point.optimizer is OPTIMIZERS[optimizer]


@pytest.mark.parametrize("name", SEARCHED)
@given(seed=st.integers(0, 2**32 - 1), optimizer=st.sampled_from(["sgd", "adamw"]))
@settings(max_examples=20, deadline=None)
def test_every_drawn_point_is_the_same_one_again_when_it_is_read_back(name: str, seed: int, optimizer: str) -> None:
    """Whatever is drawn makes a schedule with factors in [0, 1]. Through JSON, its parameters make the same schedule;
    Optuna takes them as a finished trial, and when they are enqueued it asks for them again without a warning."""
    study = of_all(warmup=(0.0, 0.2), floor=(0.0, 0.1))
    trial = asked(study, seed=seed, family=name, optimizer=optimizer)
    params, distributions = json.loads(json.dumps([trial.params, distributions_to_json(trial.distributions)]))
    assert params == trial.params
    assert distributions_from_json(distributions) == trial.distributions

    point = candidate(trial.params, study)
    assert candidate(params, study) == point
    assert schedule_from_json(point.schedule.to_json()) == point.schedule
    course = point.schedule.course(200)
    factors = course.factors(course.begin())
    assert ((factors >= 0) & (factors <= 1)).all()

    again = optuna.create_study()
    again.add_trial(optuna.create_trial(params=params, distributions=distributions_from_json(distributions), value=0.5))
    again.enqueue_trial(params)
    repeated = again.ask()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suggest(repeated, study)
    assert repeated.params == trial.params


@pytest.mark.parametrize("name", SEARCHED)
def test_every_searched_setting_changes_the_schedule(name: str) -> None:
    """Two draws that differ in all parameters differ in all searched settings: none is asked for in vain."""
    one, other = (
        candidate(asked(of_all(), seed=seed, family=name, optimizer="sgd").params, of_all()).schedule.settings_dict()
        for seed in (3, 4)
    )
    numbers = {
        each.name for each in family(name).settings() if isinstance(each.search, Search) and not each.search.whole
    }
    assert {key for key in numbers if one[key] == other[key]} == set()


def test_a_list_is_searched_number_by_number() -> None:
    """Two boundaries and three values, each under its place; they come to one schedule."""
    drawn: dict[str, Any] = {
        "piecewise.at.1": 0.25,
        "piecewise.at.2": 0.75,
        "piecewise.values.1": 1.0,
        "piecewise.values.2": 0.5,
        "piecewise.values.3": 0.125,
    }
    trial = asked(of_all(), family="piecewise", optimizer="sgd", **drawn)
    assert set(trial.params) == {"family", "optimizer", "piecewise.sgd.peak_lr", *drawn}
    assert candidate({**trial.params, **drawn}, of_all()).schedule == schedule(
        "piecewise", at=(0.25, 0.75), values=(1.0, 0.5, 0.125)
    )


def test_boundaries_are_put_in_order_and_stored_as_they_were_drawn() -> None:
    """0.8 and 0.4 are the same drops as 0.4 and 0.8; the search remembers what it asked for."""
    drawn: dict[str, Any] = {"multistep.at.1": 0.8, "multistep.at.2": 0.4, "multistep.gamma": 0.1}
    params = asked(of_all(), family="multistep", optimizer="sgd", **drawn).params
    assert drawn.items() <= params.items()
    assert candidate(params, of_all()).schedule == schedule("multistep", at=(0.4, 0.8), gamma=0.1)


def test_a_whole_number_and_a_name_are_searched_as_such() -> None:
    """Three cycles, never 3.2 of them; and one of the three forms that a cycle has."""
    cycles = asked(of_all(), family="cosine_restarts", optimizer="sgd").distributions["cosine_restarts.cycles"]
    assert isinstance(cycles, optuna.distributions.IntDistribution)
    mode = asked(of_all(), family="cyclic", optimizer="sgd").distributions["cyclic.mode"]
    assert mode == optuna.distributions.CategoricalDistribution(("triangular", "triangular2", "exp_range"))


def test_a_reactive_family_is_searched_on_a_constant_base() -> None:
    """Its own settings are parameters; the base and the mode are not, and the study's floor is its bound."""
    study = of_all(floor=0.01)
    trial = asked(study, family="plateau", optimizer="sgd")
    found = candidate(trial.params, study).schedule.settings_dict()
    assert (found["base"], found["mode"], found["floor"]) == (schedule("constant"), "min", 0.01)
    assert {"plateau.gamma", "plateau.patience"} <= set(trial.params)
    assert not {"plateau.base", "plateau.mode"} & set(trial.params)


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
    """one_cycle and cyclic; the rate would fall back between the two. greedy, which only metrics raise, gets one."""
    study = of_all(warmup=warmup)
    without = {
        name
        for name in SEARCHED
        if candidate(asked(study, family=name, optimizer="sgd").params, study).schedule.warmup == 0.0
    }
    assert without == {"one_cycle", "cyclic"}


def test_a_warm_up_is_searched_only_where_it_does_something() -> None:
    """The sampler is not asked for the warm-up of one_cycle, from which it would learn nothing; the floor it is."""
    study = of_all(warmup=(0.05, 0.2), floor=(0.0, 0.1))
    for name in SEARCHED:
        params = asked(study, family=name, optimizer="sgd").params
        assert "floor" in params
        assert ("warmup" in params) == (name not in ("one_cycle", "cyclic")), name


# ── a script's own parameters, and a metric of which more is better ──────────────────────────────────────────────────

EXTRA = {
    "dropout": Search(0.0, 0.5),
    "decay": Search(1e-5, 1.0, log=True),
    "layers": Search(1, 4, whole=True),
    "head": Choices(("linear", "mlp")),
    "batch": Choices((64, 128)),
    "depth": 4,
    "fast": True,
}


def test_a_scripts_parameters_are_drawn_under_their_names_and_come_back() -> None:
    """What is fixed is passed on and not drawn; all of it survives JSON and being asked for again."""
    study = a_study(extra=EXTRA)
    trial = asked(study, family="cosine", optimizer="sgd")
    drawn = {"extra.dropout", "extra.decay", "extra.layers", "extra.head", "extra.batch"}
    assert set(trial.params) == {"family", "optimizer", "cosine.sgd.peak_lr", *drawn}
    assert trial.distributions["extra.decay"] == optuna.distributions.FloatDistribution(1e-5, 1.0, log=True)
    assert trial.distributions["extra.layers"] == optuna.distributions.IntDistribution(1, 4)
    assert trial.distributions["extra.batch"] == optuna.distributions.CategoricalDistribution((64, 128))
    point = candidate(json.loads(json.dumps(trial.params)), study)
    assert point.extra == {
        **{name.removeprefix("extra."): trial.params[name] for name in sorted(drawn)},
        "depth": 4,
        "fast": True,
    }
    stored = json.loads(json.dumps(distributions_to_json(trial.distributions)))
    assert distributions_from_json(stored) == trial.distributions


def test_without_parameters_of_its_own_a_candidate_has_none() -> None:
    """Nothing is drawn for them either."""
    trial = asked(a_study(), family="cosine", optimizer="sgd")
    assert candidate(trial.params, a_study()).extra == {}
    assert not [name for name in trial.params if name.startswith("extra.")]


def test_a_reactive_schedule_waits_for_more_where_more_is_better() -> None:
    """All four reactive families are told; the mode of a cycle, which is drawn, stays what it is."""
    study = of_all(direction="maximize")
    for name in ("plateau", "threshold", "slope", "greedy"):
        point = candidate(asked(study, family=name, optimizer="sgd").params, study)
        assert point.schedule.settings_dict()["mode"] == "max", name
    trial = asked(study, family="cyclic", optimizer="sgd")
    assert candidate(trial.params, study).schedule.settings_dict()["mode"] == trial.params["cyclic.mode"]
