"""What a metric, its direction, engine settings and a script's parameters do to a study and its two hashes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lrsweep.errors import InvalidInput, StudyError
from lrsweep.records import EngineSettings, OptimizerSpec, StudyRow, WorkloadFacts
from lrsweep.scripts.command import Command, command_of
from lrsweep.study import ResolvedStudy, parse_study
from lrsweep.sweep.stored import resolved_from
from tests import studies

FACTS = replace(studies.FACTS, examples_per_epoch=1000, tokens_per_example=32)

COMMAND = Command("python train.py", steps=600, concurrency=4)
SCRIPT = WorkloadFacts(
    name="command",
    settings=COMMAND.meaning(),
    version=1,
    data_hash="",
    batch_size=0,
    horizon=600,
    peak_lr={"script": (0.001, 0.1)},
)


def digits(study: str = "", space: str = "", facts: WorkloadFacts = FACTS) -> ResolvedStudy:
    text = f'[study]\nname = "quick"\nworkload = "digits"\n{study}\n[space]\n{space}\n[budget]\ntrials = 6\n'
    return parse_study(text, "s.toml").resolved(facts)


def script(workload: str = "concurrency = 4", space: str = "", study: str = "", **facts: Any) -> ResolvedStudy:
    text = (
        f'[study]\nname = "mine"\n{study}\n[study.workload]\ncommand = "python train.py"\nsteps = 600\n{workload}\n'
        f"[space]\n{space}\n[budget]\ntrials = 6\n"
    )
    parsed = parse_study(text, "s.toml")
    command = command_of(parsed.workload)
    return parsed.resolved(replace(SCRIPT, settings=command.meaning(), version=command.version, **facts))


# ── the metric and its direction ─────────────────────────────────────────────────────────────────────────────────────


def test_a_workload_says_which_way_its_metric_is_better() -> None:
    """Of an accuracy more; the file may say otherwise, and where nobody says, less is better."""
    assert digits().direction == "minimize"
    assert digits('metric = "val_acc"').direction == "maximize"
    assert digits('metric = "val_acc"\ndirection = "minimize"').direction == "minimize"
    assert digits('metric = "val_recall"', facts=replace(FACTS, metrics={})).direction == "minimize"
    assert script(study='metric = "lux"\ndirection = "maximize"').direction == "maximize"


def test_a_metric_that_the_workload_does_not_have_is_refused() -> None:
    """Before anything is trained, with those that it has: of a built-in workload when the file is read, of another one
    by its facts, at the key that names the metric."""
    has = "Did you mean 'val_acc'? It has val_loss, val_acc, val_recall, val_precision."
    for line in ('metric = "val_accc"', 'objective = "val_accc >= 0.9"'):
        with pytest.raises(StudyError) as raised:
            digits(line)
        place = f"line 4, study.{line.partition(' ')[0]}"
        assert str(raised.value) == f"s.toml: 1 problem\n  {place}: the workload 'digits' has no 'val_accc'. {has}"
    own = '[study]\nname = "m"\nworkload = "nets.py:Net"\nobjective = "val_accc >= 0.9"\n[budget]\ntrials = 2'
    with pytest.raises(StudyError) as raised:
        parse_study(own, "s.toml").resolved(replace(FACTS, name="nets.py:Net"))
    [problem] = raised.value.problems
    assert (problem.key, problem.line) == ("study.objective", 4)
    assert problem.text.endswith("has no 'val_accc'. Did you mean 'val_acc'? It has val_loss, val_acc.")


def test_the_metric_and_its_direction_are_part_of_the_meaning() -> None:
    """Losses and accuracies are not compared, nor a metric with itself the other way round."""
    meanings = {
        digits().meaning,
        digits('metric = "val_acc"').meaning,
        digits('metric = "val_acc"\ndirection = "minimize"').meaning,
    }
    assert len(meanings) == 3


# ── the horizon ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("horizon", "steps"),
    [('"30 epochs"', 450), ('"64e2 samples"', 100), ('"2M tokens"', 977), ('"90 steps"', 90), ("90", 90)],
)
def test_a_horizon_in_words_is_counted_in_steps(horizon: str, steps: int) -> None:
    """1,000 examples are 15 whole batches of 64; 2,000,000 tokens are 976.6 batches of 64 times 32."""
    study = digits(f"horizon = {horizon}")
    assert (study.horizon, study.rungs[-2:]) == (steps, (round(steps / 3), steps))


def test_a_horizon_that_the_workload_cannot_count_is_refused() -> None:
    """With the reason, beside all else that the workload's answer brings up."""
    facts = replace(FACTS, tokens_per_example=None, peak_lr={"sgd": (0.01, 2.0)})
    with pytest.raises(StudyError) as raised:
        digits('horizon = "2M tokens"', facts=facts)
    assert [problem.key for problem in raised.value.problems] == ["study.horizon", "space.peak_lr.adamw"]
    assert "not made of tokens" in str(raised.value)


def test_words_and_steps_that_come_to_the_same_are_the_same_generation() -> None:
    """Thirty epochs of this workload are 450 steps."""
    assert digits('horizon = "30 epochs"').generation == digits("horizon = 450").generation


# ── engine settings ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_engine_settings_arrive_and_those_that_change_nothing_leave_the_hashes_alone() -> None:
    """A default that is written out is the same study; any other value is another meaning."""
    changed = digits('engine = {clip_norm = 1, precision = "bfloat16", channels_last = true}')
    assert changed.engine == EngineSettings(clip_norm=1.0, precision="bfloat16", channels_last=True)
    assert digits('engine = {precision = "float32", compile = false}').generation == digits().generation
    meanings = {
        digits(f"engine = {{{setting}}}").meaning
        for setting in ("clip_norm = 1.0", "clip_norm = 2.0", "channels_last = true", "compile = true", "graphs = true")
    }
    assert len(meanings | {digits().meaning}) == 6


def test_wrong_engine_settings_are_refused_with_their_places() -> None:
    """Three problems of one table."""
    with pytest.raises(StudyError) as raised:
        digits('[study.engine]\nclip_norm = 0\nprecision = "float16"\ncompiled = true')
    assert [str(problem) for problem in raised.value.problems] == [
        "line 5, study.engine.clip_norm: 0 is not a number above 0 for the largest norm of all gradients.",
        'line 6, study.engine.precision: \'float16\' is not "float32" or "bfloat16".',
        "line 7, study.engine.compiled: unknown. Did you mean 'compile'? [study.engine] takes clip_norm, precision, "
        "channels_last, compile, graphs.",
    ]


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_script_has_the_range_around_its_own_rate_unless_the_file_has_one() -> None:
    """What `attach` named comes with the facts."""
    assert script().space.peak_lr == {"script": (0.001, 0.1)}
    assert script(space="peak_lr = [0.5, 1]").space.peak_lr == {"script": (0.5, 1.0)}


def test_a_plan_gets_how_a_script_is_run_and_the_meaning_does_not() -> None:
    """More at a time, or a longer patience, is the same question."""
    study = script()
    assert command_of(study.workload) == COMMAND
    assert script("concurrency = 9\nstall_after = 5").generation == study.generation
    assert script("version = 2").meaning != study.meaning
    assert script("gpus_per_training = 1").meaning != study.meaning
    assert study.spec()["workload"]["settings"] == {"command": "python train.py"}  # no default: a release may add some


def test_how_a_script_is_searched_is_part_of_the_generation_alone() -> None:
    """The exponent of its rungs' rate, and the flags that a family stands for."""
    flags = [f'families.cosine = "--sched {name} {{peak_lr}} {{steps}}"' for name in ("cos", "cosine2")]
    assert script("rate_exponent = 0.5").generation != script().generation
    assert script("rate_exponent = 0.5").meaning == script().meaning
    [one, other] = [script(each, space="peak_lr = [0.1, 1.0]") for each in flags]
    assert one.meaning == other.meaning
    assert one.generation != other.generation
    assert "flags" not in script().spec()["space"]


def test_a_parameter_that_the_script_does_not_take_is_refused_before_a_trial() -> None:
    """With the name that was meant; a script that names none takes any, and so does its command line."""
    with pytest.raises(StudyError) as raised:
        script(space="extra.droput = [0.0, 0.5]", script_settings={"dropout": 0.1, "width": 64})
    assert str(raised.value) == (
        "s.toml: 1 problem\n  line 9, space.extra.droput: the script's lrsweep.attach(settings=...) has no 'droput'. "
        "Did you mean 'dropout'? It has dropout, width. Add the name there with the script's own value, or take it out "
        "here."
    )
    assert script(space="extra.droput = 1").space.extra == {"droput": 1}
    text = '[study]\nname = "m"\nworkload.command = "train {droput}"\n[space.extra]\ndroput = 1\n[budget]\ntrials = 2'
    parsed = parse_study(text, "s.toml")
    assert parsed.resolved(replace(SCRIPT, script_settings={"width": 64})).space.extra == {"droput": 1}


def test_the_scripts_own_settings_are_stored_and_change_no_hash() -> None:
    """Whoever raises `version` says that the script trains differently; of a command with places in braces nothing is
    known, since it was asked with anything in them."""
    own = {"hidden": 16, "act": "relu"}
    study = script(script_settings=own)
    assert study.spec()["script_settings"] == study.script_settings == own
    assert (study.meaning, study.generation) == (script().meaning, script().generation)
    row = StudyRow(study.name, study.meaning, study.generation, study.spec())
    assert resolved_from(row).script_settings == own
    assert "script_settings" not in script().spec()
    text = '[study]\nname = "m"\nworkload.command = "train --seed {seed}"\n[budget]\ntrials = 2'
    filled = parse_study(text, "s.toml").resolved(replace(SCRIPT, script_settings=own))
    assert filled.script_settings == {}


def test_the_rungs_rate_follows_the_scripts_exponent() -> None:
    """A quarter of the horizon doubles the rate with an exponent of one half."""
    assert script("rate_exponent = 0.5").rate_scale("script", 150) == 2.0
    assert script().rate_scale("script", 150) == pytest.approx(2**0.5)
    assert script().optimizer("script") == OptimizerSpec("script", {})
    assert script().spec()["optimizers"] == {"script": {"settings": {}, "rate_exponent": 0.25}}


def test_parameters_of_the_script_are_part_of_the_generation_alone() -> None:
    """Values of two searches can be compared; without parameters the space says nothing of them."""
    spaces = ["", "extra.a = [0.0, 1.0]", "extra.a = [0, 1]", 'extra.a = ["x", "y"]', "extra.a = 1", "extra.b = 1"]
    studies = [script(space=space) for space in spaces]
    assert len({study.generation for study in studies}) == len(spaces)
    assert len({study.meaning for study in studies}) == 1
    assert "extra" not in studies[0].spec()["space"]
    assert studies[1].spec()["space"]["extra"] == {"a": {"low": 0.0, "high": 1.0, "log": False, "whole": False}}


def test_the_spec_of_a_maximised_study_tells_how_its_reactive_families_listen() -> None:
    """They wait for more; a cycle's mode is something else and stays searched."""
    settings = script(space='families = ["plateau", "cyclic"]', study='metric = "acc"\ndirection = "maximize"').spec()[
        "space"
    ]["settings"]
    assert settings["plateau"]["mode"] == "max"
    assert settings["cyclic"]["mode"] == ["triangular", "triangular2", "exp_range"]


# ── random data ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_random_data_are_a_setting_of_the_workloads_that_have_them() -> None:
    """`mnist` has; a script and the user's own workload are refused with those that have."""
    text = '[study]\nname = "q"\nworkload = "mnist"\n[budget]\ntrials = 2'
    study = parse_study(text, "s.toml")
    assert "synthetic" not in study.workload.settings
    assert study.on_random_data().workload.settings == {**study.workload.settings, "synthetic": True}
    with pytest.raises(InvalidInput, match=r"--synthetic: the workload 'net.py:Net' has no random data .* mnist"):
        parse_study(text.replace("mnist", "net.py:Net"), "s.toml").on_random_data()
