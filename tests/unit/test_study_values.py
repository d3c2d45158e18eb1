"""A study with the workload's own defaults filled in, and the two hashes that tell studies apart."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from lrsweep.engines.divergence import EXPLODED_EVALUATIONS, EXPLODED_FACTOR
from lrsweep.errors import StudyError
from lrsweep.records import OptimizerSpec, WorkloadFacts
from lrsweep.study import OPTIMIZERS, RATE_EXPONENTS, TRAINING_RULES, ResolvedStudy, parse_study
from lrsweep.study import resolved as resolved_module
from tests import studies
from tests.studies import TWO_RUNGS

SMALLEST = """
[study]
name = "quick"
workload = "digits"
[budget]
trials = 60
"""

FACTS = replace(studies.FACTS, metrics={})


def small(*, study: str = "", space: str = "", budget: str = "trials = 60") -> str:
    """The smallest study, with more lines in its tables: those of [study] begin on line 4."""
    return f'[study]\nname = "quick"\nworkload = "digits"\n{study}\n[space]\n{space}\n[budget]\n{budget}\n'


def resolved(text: str = SMALLEST, facts: WorkloadFacts = FACTS) -> ResolvedStudy:
    return parse_study(text, "s.toml").resolved(facts)


def test_the_workload_fills_in_what_the_file_leaves_open() -> None:
    """Horizon and rate ranges are the workload's unless the file has its own, optimizer by optimizer."""
    assert (resolved().horizon, resolved().space.peak_lr) == (600, FACTS.peak_lr)
    own = resolved(small(study="horizon = 90", space="peak_lr.sgd = [0.1, 0.5]"))
    assert (own.horizon, own.space.peak_lr) == (90, {"sgd": (0.1, 0.5), "adamw": (0.0003, 0.1)})


def test_only_the_optimizers_of_the_space_have_a_range() -> None:
    """A rate that is not searched takes no part in the space."""
    assert resolved(small(space='optimizers = ["adamw"]')).space.peak_lr == {"adamw": (0.0003, 0.1)}


def test_an_optimizer_without_any_range_is_refused() -> None:
    """Where neither the file nor the workload knows a rate, the user is asked for one."""
    with pytest.raises(StudyError) as raised:
        resolved(facts=replace(FACTS, peak_lr={"sgd": (0.01, 2.0)}))
    assert str(raised.value) == (
        "s.toml: 1 problem\n  space.peak_lr.adamw: missing, and the workload 'digits' names no range of its own for "
        "adamw. Write one under [space.peak_lr], for example adamw = [0.001, 0.1]."
    )


@pytest.mark.parametrize(
    ("horizon", "rungs"),
    [
        (600, (67, 200, 600)),
        (601, (67, 200, 601)),
        (602, (67, 201, 602)),
        (270, (30, 90, 270)),
        (269, (90, 269)),
        (90, (30, 90)),
        (89, (89,)),
        (1, (1,)),
    ],
)
def test_rungs_are_a_ninth_and_a_third_of_the_horizon(horizon: int, rungs: tuple[int, ...]) -> None:
    """To the nearest step; none below thirty steps."""
    assert resolved(small(study=f"horizon = {horizon}")).rungs == rungs


def test_a_rung_trains_at_a_raised_rate() -> None:
    """A quarter of the horizon doubles SGD's peak and raises AdamW's by 4**0.15; the full horizon changes neither."""
    study = resolved()
    assert study.rate_scale("sgd", 150) == 2.0
    assert study.rate_scale("adamw", 150) == pytest.approx(1.2311444)
    assert study.rate_scale("sgd", 600) == study.rate_scale("adamw", 600) == 1.0


def test_every_optimizer_has_a_rate_rule() -> None:
    """No optimizer can be searched whose rate on a rung is not known."""
    assert set(RATE_EXPONENTS) == set(OPTIMIZERS)


# ── meaning and generation ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, version=2),
        replace(FACTS, data_hash="d2"),
        replace(FACTS, batch_size=32),
        replace(FACTS, horizon=900),
        replace(FACTS, settings={"model": "mlp", "noise": 0.1}),
        replace(FACTS, name="digits2"),
    ],
    ids=["version", "data", "batch size", "horizon", "setting", "name"],
)
def test_another_training_is_another_meaning(facts: WorkloadFacts) -> None:
    """Whatever changes what a value says changes the meaning, and with it the generation."""
    assert resolved(facts=facts).meaning != resolved().meaning
    assert resolved(facts=facts).generation != resolved().generation


def test_the_horizon_of_the_file_is_part_of_the_meaning() -> None:
    """Losses after 600 and after 601 steps are not compared, but 600 by default and 600 by the file are the same."""
    assert resolved(small(study="horizon = 601")).meaning != resolved().meaning
    assert resolved(small(study="horizon = 600")).generation == resolved().generation


@pytest.mark.parametrize(
    "space",
    [
        'families = ["cosine", "wsd"]',
        'optimizers = ["sgd"]',
        'optimizers = ["adamw", "sgd"]',
        "warmup = 0.1",
        "warmup = [0.0, 0.1]",
        "floor = 0.1",
        "peak_lr.sgd = [0.01, 1.0]",
    ],
)
def test_another_space_is_another_generation_of_the_same_meaning(space: str) -> None:
    """Values of two spaces can be compared; their searches are not one."""
    assert resolved(small(space=space)).meaning == resolved().meaning
    assert resolved(small(space=space)).generation != resolved().generation


def test_the_order_of_the_families_is_part_of_the_generation() -> None:
    """The search knows a family by its position."""
    one, other = ('families = ["cosine", "wsd"]', 'families = ["wsd", "cosine"]')
    assert resolved(small(space=one)).generation != resolved(small(space=other)).generation


def test_hashes_stay_the_same_from_release_to_release() -> None:
    """Where one of the two changes, earlier results no longer count: that must be on purpose, with a changelog line."""
    study = resolved(small(space='families = ["cosine", "wsd"]') + TWO_RUNGS)
    assert study.meaning == "b38c7b167920cb3fe7c58bb60658da0c36815387c735e0bc4b971f389b80e7ca"
    assert study.generation == "c798e2635614f1a3c43487c0f56b939cbdd01ffaf1856df57a75d355a36c9ea9"


def test_the_hash_of_the_core_stays_the_same_from_release_to_release() -> None:
    """All eight, as a study that names no family searches them: a setting that is added to one is implied."""
    assert (
        resolved(small() + TWO_RUNGS).generation == "9572d732d1abd6ef4e098f789f0bdb7c1789e40c71ac1582e586fb9ea994eb07"
    )
    assert resolved().generation == "c9e32d1bb3c69c0795d82626b93d603432010479a235dd35189f63f40d0e0c4b"


def test_the_numbers_of_a_list_are_part_of_the_space() -> None:
    """Each has its range, so a release that searches a longer list searches another space."""
    known = resolved(small(space='families = ["multistep", "plateau"]')).spec()["space"]["settings"]
    assert {"at.1", "at.2", "gamma"} == set(known["multistep"])
    assert known["plateau"]["base"] == {"family": "constant", "floor": 0.0, "warmup": 0.0}
    assert known["plateau"]["mode"] == "min"


def test_what_a_value_means_does_not_change_without_a_new_number_of_the_rules() -> None:
    """Who changes these must raise TRAINING_RULES, here and there; a new optimizer is one more line, without that."""
    assert TRAINING_RULES == 1
    assert {name: (optimizer.name, dict(optimizer.settings)) for name, optimizer in OPTIMIZERS.items()} == {
        "sgd": ("sgd", {"momentum": 0.9, "weight_decay": 0.0}),
        "adamw": ("adamw", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}),
        "sgd_plain": ("sgd_plain", {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0}),
        "sgd_dampened": ("sgd_dampened", {"momentum": 0.9, "dampening": 0.9, "weight_decay": 0.0}),
        "nesterov": ("nesterov", {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0}),
        "rmsprop": ("rmsprop", {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0}),
        "adam": ("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}),
    }
    by_exponent = {0.5: {"sgd", "sgd_plain", "sgd_dampened", "nesterov"}, 0.15: {"adamw", "rmsprop", "adam"}}
    assert {name: exponent for exponent, names in by_exponent.items() for name in names} == RATE_EXPONENTS
    assert (EXPLODED_FACTOR, EXPLODED_EVALUATIONS) == (4.0, 3)


def test_the_rules_are_part_of_the_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of two releases with other rules are not compared."""
    before = resolved().meaning
    monkeypatch.setattr(resolved_module, "TRAINING_RULES", TRAINING_RULES + 1)
    assert resolved().meaning != before


def test_a_new_optimizer_leaves_every_study_that_does_not_search_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that knows one more keeps the meaning of all studies and the generation of those without it."""
    text = small(space='optimizers = ["sgd", "adamw"]')
    before = resolved(text)
    meaning, generation = before.meaning, before.generation
    monkeypatch.setattr(resolved_module, "OPTIMIZERS", {**OPTIMIZERS, "lion": OptimizerSpec("lion", {"beta1": 0.9})})
    monkeypatch.setattr(resolved_module, "RATE_EXPONENTS", {**RATE_EXPONENTS, "lion": 0.1})
    after = resolved(text)
    assert (after.meaning, after.generation) == (meaning, generation)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_settings_of_a_searched_optimizer_are_part_of_the_generation(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two releases that give it other settings, or another rate rule, do not search one space; others do not care."""
    [other_name] = {"sgd", "adamw"} - {name}
    study, other = (resolved(small(space=f'optimizers = ["{each}"]')) for each in (name, other_name))
    generation, others = study.generation, other.generation
    changed = OptimizerSpec(name, {**OPTIMIZERS[name].settings, "weight_decay": 0.1})
    monkeypatch.setattr(resolved_module, "OPTIMIZERS", {**OPTIMIZERS, name: changed})
    with_settings = study.generation
    monkeypatch.setattr(resolved_module, "RATE_EXPONENTS", {**RATE_EXPONENTS, name: 0.3})
    with_both = study.generation
    assert len({generation, with_settings, with_both}) == 3
    assert other.generation == others


@pytest.mark.parametrize(
    "text",
    [
        small(budget="trials = 61"),
        small(study="seed = 8"),
        small(space="warmup = 0\nfloor = 0"),
        small(space="peak_lr.sgd = [0.01, 2]"),
        SMALLEST.replace("quick", "renamed"),
    ],
    ids=["budget", "seed", "an integer for a float", "a default written out", "name"],
)
def test_what_asks_the_same_question_is_the_same_generation(text: str) -> None:
    """A larger budget or another seed continues a sweep, and the form of a value says nothing."""
    assert resolved(text).generation == resolved().generation


def test_the_hashes_do_not_depend_on_the_process() -> None:
    """Another interpreter with another hash seed finds the same generation."""
    code = (
        "import sys, json\n"
        "from lrsweep.records import WorkloadFacts\n"
        "from lrsweep.study import parse_study\n"
        "text, facts = json.loads(sys.argv[1])\n"
        "print(parse_study(text, 's').resolved(WorkloadFacts(**facts)).generation)"
    )
    argument = json.dumps([SMALLEST, vars(FACTS)])
    found = subprocess.run(
        [sys.executable, "-c", code, argument], env={"PYTHONHASHSEED": "1"}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == resolved().generation


def test_the_spec_says_everything_in_json() -> None:
    """What the store keeps of a study can be read by a person and comes back from JSON as it went in."""
    study = resolved(small(space='families = ["constant", "step"]\noptimizers = ["sgd"]\nwarmup = [0.0, 0.1]'))
    spec = study.spec()
    assert json.loads(json.dumps(spec)) == spec
    assert spec == {
        "name": "quick",
        "source": "s.toml",
        "workload": {
            "name": "digits",
            "settings": {"model": "mlp", "noise": 0.0},
            "version": 1,
            "data_hash": "d1",
            "batch_size": 64,
        },
        "metric": "val_loss",
        "direction": "minimize",
        "horizon": 600,
        "rungs": [67, 200, 600],
        "evaluations": 20,
        "training_rules": 1,
        "seed": 0,
        "space": {
            "families": ["constant", "step"],
            "optimizers": ["sgd"],
            "warmup": [0.0, 0.1],
            "floor": 0.0,
            "peak_lr": {"sgd": [0.01, 2.0]},
            "settings": {"constant": {}, "step": {"every": [0.1, 0.5, False], "gamma": [0.05, 0.7, True]}},
        },
        "optimizers": {"sgd": {"settings": {"momentum": 0.9, "weight_decay": 0.0}, "rate_exponent": 0.5}},
        "objective": {"kind": "last"},
        "search": {
            "sampler": {"name": "auto", "settings": {}},
            "pruner": {"name": "halving", "settings": {}},
            "fidelity": "compressed",
            "rungs": 3,
            "reduction_factor": 3,
            "advice": True,
        },
        "budget": {"trials": 60, "total_steps": 26_700},
        "selection": {"share": 0.4, "finalists": 6, "seeds": 3, "racing": True},
        "run": {"failures_that_stop": 5},
        "tracking": {
            "experiment": "{study}",
            "run_name": "{trial:04d} {family} {optimizer} @{horizon}",
            "tags": {},
            "runs": "all",
            "user": False,
        },
        "meaning": study.meaning,
        "generation": study.generation,
    }
