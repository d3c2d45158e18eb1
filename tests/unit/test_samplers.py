"""Samplers and pruners by name and by path: each draws points of the space, and what makes none is told."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler

from lrsweep.errors import InvalidInput
from lrsweep.records import Direction, TrialState
from lrsweep.space import fits
from lrsweep.store import TrialEnd
from lrsweep.study import Plugin, ResolvedStudy, SearchSpec, specs
from lrsweep.sweep.by_family import Box, ByFamily, at
from lrsweep.sweep.samplers import PRUNERS, SAMPLERS, make_pruner, make_sampler
from lrsweep.sweep.search import Search
from tests.sweeps import a_study

DECAYS = {"sgd": (1e-6, 1e-2), "adamw": (0.0, 0.1)}


def drawn_by(name: str, *, direction: Direction = "minimize", settings: Any = None, **space: Any) -> ResolvedStudy:
    given = {"families": ("wsd", "cyclic"), "warmup": (0.0, 0.2), "weight_decay": DECAYS, **space}
    search = SearchSpec(sampler=Plugin(name, settings or {}))
    return replace(a_study(direction=direction, trials=8, **given), search=search)


def asked(search: Search, number: int, end: TrialEnd | None = None, *, rung: int = 1) -> dict[str, Any]:
    trial, params, _ = search.ask()
    search.accept(number, trial)
    if end is not None:
        search.tell(number, end, rung=rung)
    return params


def test_a_file_may_name_what_there_is_and_nothing_else() -> None:
    """The study's reader knows the names and not the libraries: in the same order, as both are shown."""
    assert tuple(SAMPLERS) == specs.SAMPLERS
    assert tuple(PRUNERS) == specs.PRUNERS


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "cmaes"])
def test_every_sampler_draws_points_of_the_space(name: str) -> None:
    """In a space of names, whole numbers, shared ranges and a weight decay for each optimizer; halted, diverged and
    failed trials lie behind, and two run on."""
    study = drawn_by(name)
    search = Search(study, [], {}, sweep_id="s")
    ends = [
        TrialEnd(TrialState.PRUNED, None),
        TrialEnd(TrialState.PRUNED, 0.5),
        TrialEnd(TrialState.FAILED, None),
        None,
    ]
    for number in range(9 if name == "gp" else 16):  # an ask of a Gaussian process takes 50 ms and more
        end = ends[number % 8] if number % 8 < len(ends) else TrialEnd(TrialState.COMPLETE, 1 / (number + 1))
        params = asked(search, number, end)
        assert fits(params, study), params


@pytest.mark.parametrize("name", ["tpe", "tpe_by_family"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_learns_goes_to_where_values_are_better(name: str, direction: Direction) -> None:
    """The value is the peak rate; of the last eight of 24 at least six lie in the better half of the range."""
    study = drawn_by(name, direction=direction, families=("cosine",), optimizers=("sgd",), weight_decay={})
    search = Search(study, [], {}, sweep_id="s")
    rates = []
    for number in range(24):
        trial, params, _ = search.ask()
        search.accept(number, trial)
        rates.append(params["cosine.sgd.peak_lr"])
        search.tell(number, TrialEnd(TrialState.COMPLETE, rates[-1]), rung=1)
    small = sum(rate < 0.1 for rate in rates[16:])
    assert small >= 6 if direction == "minimize" else small <= 2


def test_a_gp_leaves_a_region_that_diverges() -> None:
    """It learns from complete trials alone, so a diverged one is given as its family's worst."""
    study = drawn_by("gp", families=("cosine",), optimizers=("sgd",), weight_decay={}, warmup=0.0)
    search = Search(study, [], {}, sweep_id="s")
    good = 0
    for number in range(10):
        trial, params, _ = search.ask()
        search.accept(number, trial)
        is_good = params["cosine.sgd.peak_lr"] < 0.1
        good += is_good and number >= 5
        search.tell(number, TrialEnd(*((TrialState.COMPLETE, 0.5) if is_good else (TrialState.PRUNED, None))), rung=1)
    assert good >= 4


def test_quasi_random_takes_families_in_turn_and_spreads_each_ones_rates() -> None:
    """Of 16 rates of a family four lie in each quarter of the range, for whichever optimizer."""
    study = drawn_by("qmc", weight_decay={}, warmup=0.0, peak_lr={"sgd": (0.01, 1.0), "adamw": (0.01, 1.0)})
    search = Search(study, [], {}, sweep_id="s")
    points = [asked(search, number) for number in range(32)]
    assert [point["family"] for point in points] == ["wsd", "cyclic"] * 16
    quarters = Counter(
        next(index for index in range(4) if rate <= 0.01 * 10 ** ((index + 1) / 2))
        for point in points
        if point["family"] == "wsd"
        for rate in [point[f"wsd.{point['optimizer']}.peak_lr"]]
    )
    assert quarters == {0: 4, 1: 4, 2: 4, 3: 4}


def test_a_point_in_the_box_is_the_same_point_outside_again() -> None:
    """Both ways, for both optimizers, whose decays are on different scales."""
    study = drawn_by("random")
    box = Box(study, "wsd")
    for optimizer, decay in (("sgd", 1e-4), ("adamw", 0.05)):
        params = {
            "optimizer": optimizer,
            f"wsd.{optimizer}.peak_lr": 0.05,
            "wsd.cooldown": 0.3,
            "warmup": 0.1,
            f"{optimizer}.weight_decay": decay,
        }
        inside = box.place(params)
        assert inside["weight_decay"] == pytest.approx(0.5)
        assert box.point(inside) == pytest.approx(params)


def test_the_ends_of_ranges_are_reached_and_not_passed() -> None:
    """By hand, on both scales and for whole numbers."""
    log = optuna.distributions.FloatDistribution(1e-3, 1e-1, log=True)
    whole = optuna.distributions.IntDistribution(1, 3)
    choices = optuna.distributions.CategoricalDistribution(("a", "b"))
    assert [at(log, share) for share in (0.0, 0.5, 1.0)] == pytest.approx([1e-3, 1e-2, 1e-1])
    assert [at(whole, share) for share in (0.0, 0.34, 0.67, 1.0)] == [1, 2, 3, 3]
    assert [at(choices, share) for share in (0.0, 0.5, 1.0)] == ["a", "b", "b"]


def test_auto_takes_a_tpe_for_each_family_beyond_what_was_measured() -> None:
    """An ask of the grouped one takes ten times as long, and longer with every trial."""
    small, large = (make_sampler(replace(a_study(), trials=trials), 1) for trials in (100, 101))
    assert isinstance(small, optuna.samplers.TPESampler)
    assert isinstance(large, ByFamily)


def test_settings_of_the_study_file_reach_the_sampler() -> None:
    """So many random trials in each family, then the model: the plugin's own names."""
    search = Search(drawn_by("tpe_by_family", settings={"n_startup_trials": 1000}), [], {}, sweep_id="s")
    asked(search, 0)
    sampler = search._optuna.sampler
    assert isinstance(sampler, ByFamily)
    [small] = sampler._small.values()
    assert vars(small.study.sampler)["_n_startup_trials"] == 1000


def test_an_optuna_class_is_named_by_its_path_and_gets_the_search_s_seed() -> None:
    """The same seed, the same points; another one, others."""
    study = drawn_by("optuna.samplers.RandomSampler")
    first, again, other = (asked(Search(replace(study, seed=seed), [], {}, sweep_id="s"), 0) for seed in (0, 0, 1))
    assert first == again != other


def test_a_class_of_ones_own_is_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a module there, as for a workload."""
    (tmp_path / "my_samplers.py").write_text("import optuna\n\nclass Mine(optuna.samplers.RandomSampler):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sampler = make_sampler(drawn_by("my_samplers.Mine"), 1)
    assert type(sampler).__name__ == "Mine"


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        (Plugin("tpee"), "search.sampler is 'tpee', which is not known. Did you mean 'tpe'? There are auto, tpe"),
        (Plugin("no_such_module.Mine"), "importing 'no_such_module' raised ModuleNotFoundError"),
        (Plugin("optuna.samplers.Mine"), "'Mine' in 'optuna.samplers' is None; wanted is a class made from"),
        (Plugin("optuna.pruners.NopPruner"), "wanted is a class made from optuna's BaseSampler"),
        (Plugin("random", {"colour": "red"}), "search.sampler 'random' with colour = 'red' raised TypeError"),
        (Plugin("tpe_by_family", {"foo": 1}), "search.sampler 'tpe_by_family' with foo = 1 raised TypeError"),
        (Plugin("gp", {"foo": 1}), "search.sampler 'gp' with foo = 1 raised TypeError"),
        (Plugin("cmaes", {"sigma0": "x"}), "raised TypeError: sigma0 must be float | None, not 'x'. Change its"),
        (Plugin("tpe", {"n_startup_trials": 2.5}), "raised TypeError: n_startup_trials must be int, not 2.5"),
        (Plugin("tpe", {"gamma": 3}), "raised TypeError: gamma must be Callable[[int], int] | None, not 3"),
    ],
)
def test_what_makes_no_sampler_is_told(plugin: Plugin, text: str) -> None:
    """The key, what was given, what is wanted."""
    with pytest.raises(InvalidInput) as caught:
        make_sampler(replace(a_study(), search=SearchSpec(sampler=plugin)), 1)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "plugin",
    [
        Plugin("cmaes", {"n_startup_trials": 2, "use_separable_cma": True}),
        Plugin("tpe", {"seed": 7, "n_ei_candidates": 48, "constant_liar": False}),
        Plugin("qmc", {"seed": 7}),
    ],
    ids=lambda plugin: plugin.name,
)
def test_settings_of_the_right_types_are_taken(plugin: Plugin) -> None:
    """Flags and whole numbers; a seed of the file stands before the search's."""
    assert isinstance(make_sampler(replace(a_study(), search=SearchSpec(sampler=plugin)), 1), BaseSampler)


def test_a_pruners_setting_of_a_wrong_type_is_told() -> None:
    """Before anything is trained."""
    study = replace(a_study(), search=SearchSpec(pruner=Plugin("median", {"n_startup_trials": "x"})))
    with pytest.raises(InvalidInput, match=r"search\.pruner 'median' .* n_startup_trials must be int, not 'x'"):
        make_pruner(study)


@pytest.mark.parametrize("name", [name for name in PRUNERS if name not in ("halving", "threshold")])
def test_every_pruner_is_made_for_the_study_s_rungs(name: str) -> None:
    """Without a setting in the file."""
    made = make_pruner(replace(a_study(), search=SearchSpec(pruner=Plugin(name))))
    assert isinstance(made, optuna.pruners.BasePruner)


def test_an_unknown_pruner_is_told() -> None:
    """With the ones that there are."""
    with pytest.raises(InvalidInput, match=r"search.pruner is 'asha', which is not known\. There are halving, none"):
        make_pruner(replace(a_study(), search=SearchSpec(pruner=Plugin("asha"))))
