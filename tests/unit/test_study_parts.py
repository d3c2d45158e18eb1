"""The other tables of a study file: objective, search, budget, selection, run and tracking."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrsweep.study import (
    BudgetSpec,
    NightlySpec,
    Objective,
    Plugin,
    RunSpec,
    SearchSpec,
    SelectionSpec,
    TrackingSpec,
    parse_study,
)
from tests.studies import SCRIPT, TWO_RUNGS, problems, read, resolved, text_of

# ── objective ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_target_names_metric_and_direction_and_is_measured_at_the_full_horizon() -> None:
    """Fewer updates are better, whatever the metric; there is no rung."""
    study = resolved(study='objective = "val_acc >= 0.94"')
    assert study.objective == Objective("target", 0.94)
    assert (study.metric, study.direction, study.sense) == ("val_acc", "maximize", "minimize")
    assert (study.value_key, study.rungs) == ("steps_to_val_acc", (600,))
    assert read(study='objective = "val_acc >= 0.94"').search.fidelity == "full"


def test_the_best_evaluation_goes_the_way_of_its_metric() -> None:
    """Under a name of its own."""
    study = resolved(study='objective = "best"\nmetric = "val_acc"')
    assert (study.value_key, study.sense, study.rungs) == ("best_val_acc", "maximize", (67, 200, 600))


def test_the_objective_is_part_of_the_meaning_and_the_default_written_out_is_not() -> None:
    """Values of other objectives are not compared, nor those of other targets."""
    texts = [
        'objective = "last"',
        'objective = "best"',
        'objective = "val_loss <= 0.1"',
        'objective = "val_loss <= 0.2"',
    ]
    assert len({resolved(study=text).meaning for text in texts}) == 4
    assert resolved(study=texts[0]).generation == resolved().generation


def test_what_contradicts_a_target_is_refused() -> None:
    """Another metric, another direction, and compressed trainings."""
    study = 'objective = "val_acc >= 0.94"\nmetric = "val_loss"\ndirection = "minimize"'
    assert problems(text_of('[search]\nfidelity = "compressed"', study=study)) == [
        "line 5, study.metric: 'val_loss' is not the metric of the objective, which is 'val_acc'. Take one out.",
        "line 6, study.direction: 'minimize' is the other way round than the objective's sign. Take this line out.",
        'line 10, search.fidelity: a compressed training says nothing of the time to a target. Write "full", or take '
        "this line out.",
    ]
    same = 'objective = "val_acc >= 0.94"\nmetric = "val_acc"\ndirection = "maximize"'
    assert (
        resolved('[search]\nfidelity = "full"', study=same).meaning
        == resolved(study='objective = "val_acc>=0.94"').meaning
    )
    assert problems(text_of(study='objective = "fast"')) == [
        'line 4, study.objective: \'fast\' is not "last", "best", or a target such as "val_acc >= 0.94".'
    ]


def test_a_target_tells_a_scripts_direction() -> None:
    """`top1-acc` alone would be asked for one."""
    script = '[study]\nname = "q"\nworkload.command = "train"\nobjective = "top1-acc >= 76"\nmetric = "top1-acc"\n'
    found = parse_study(f"{script}[budget]\ntrials = 3", "s.toml")
    assert (found.metric, found.direction) == ("top1-acc", "maximize")


# ── search ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_key_of_the_search_arrives() -> None:
    """By name, by path, or as a table with settings."""
    tables = """[search]
sampler = {name = "optuna.samplers.TPESampler", n_startup_trials = 20}
pruner = "median"
rungs = 3
reduction_factor = 2
fit_exponent = true"""
    assert read(tables).search == SearchSpec(
        sampler=Plugin("optuna.samplers.TPESampler", {"n_startup_trials": 20}),
        pruner=Plugin("median"),
        rungs=3,
        reduction_factor=2,
        fit_exponent=True,
    )
    assert read().search == SearchSpec()


@pytest.mark.parametrize(
    ("tables", "rungs"),
    [
        ("rungs = 2", (200, 600)),
        ("rungs = 4", (67, 200, 600)),
        ("rungs = 4\nreduction_factor = 2", (75, 150, 300, 600)),
        ("rungs = 3\nreduction_factor = 5", (120, 600)),
        ("rungs = 1", (600,)),
        ("reduction_factor = 10", (60, 600)),
        ('fidelity = "full"\nrungs = 3', (600,)),
    ],
)
def test_rungs_are_a_factor_apart_and_none_is_shorter_than_thirty_updates(tables: str, rungs: tuple[int, ...]) -> None:
    """A fourth rung at a factor of three would have 600 / 27 = 22.2 updates."""
    assert resolved(f"[search]\n{tables}").rungs == rungs


def test_only_the_rungs_of_a_search_are_part_of_the_hashes() -> None:
    """Another sampler goes on with the same trials; another rung is another meaning."""
    same = resolved('[search]\nsampler = "random"\npruner = "none"\nfit_exponent = false')
    assert same.generation == resolved().generation
    assert resolved("[search]\nrungs = 2").meaning != resolved().meaning


def test_exponents_that_a_sweep_has_frozen_change_rungs_and_no_hash() -> None:
    """The generation has the default; each sweep its own."""
    study = replace(resolved(), rate_exponents={"sgd": 1.0})
    assert study.rate_scale("sgd", 200) == 3.0
    assert study.rate_scale("adamw", 200) == pytest.approx(3**0.15)
    assert study.generation == resolved().generation


def test_what_is_wrong_in_the_search_is_told_with_places() -> None:
    """A name that is nearly right gets a guess."""
    tables = """[search]
sampler = "tpee"
pruner = {name = "halving", patience = 3}
fidelity = "half"
rungs = 5
reduction_factor = 1
fit_exponent = 1"""
    assert problems(text_of(tables)) == [
        "line 8, search.sampler: unknown sampler 'tpee'. Did you mean 'tpe'? Known: auto, tpe, tpe_by_family, gp, qmc, "
        "random, cmaes. Or "
        'one of your own by its path: "package.module.Class".',
        "line 9, search.pruner.patience: 'halving' takes no settings. Take this out.",
        'line 10, search.fidelity: \'half\' is not "compressed" or "full".',
        "line 11, search.rungs: 5 is not a whole number of rungs from 1 to 4.",
        "line 12, search.reduction_factor: 1 is not a whole number from 2 to 10.",
        "line 13, search.fit_exponent: 1 is not true or false.",
    ]


# ── budget and selection ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("trainings = 12.5", BudgetSpec(trainings=12.5)),
        ("trials = 60", BudgetSpec(trials=60)),
        ("steps = 100_000", BudgetSpec(steps=100_000)),
        ('wall_clock = "2h"', BudgetSpec(wall_clock=7200.0)),
        ("wall_clock = 90", BudgetSpec(wall_clock=90.0)),
        ("gpu_hours = 3", BudgetSpec(gpu_hours=3.0)),
        ("money = 20\nprice_per_hour = 2.5", BudgetSpec(money=20.0, price_per_hour=2.5)),
        ("trials = 60\nprice_per_hour = 2.5", BudgetSpec(trials=60, price_per_hour=2.5)),
    ],
)
def test_a_budget_is_one_amount_and_perhaps_a_price(budget: str, expected: BudgetSpec) -> None:
    """In six units."""
    assert read(budget=budget).budget == expected


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (
            "price_per_hour = 2",
            ["line 5, budget: no amount is given. Add one of trainings, trials, steps, wall_clock, gpu_hours, "
             "money, such "
             "as trainings = 40."],
        ),
        (
            'trials = 6\ntrainings = 3\nwall_clock = "2h"',
            ["line 7, budget.trainings: trials is given too. Keep one of trials, trainings, wall_clock.",
             "line 8, budget.wall_clock: trials is given too. Keep one of trials, trainings, wall_clock."],
        ),
        ("money = 3", ["line 6, budget.money: without price_per_hour nobody knows what it pays for. Add it beside."]),
        ("trainings = 0.5", ["line 6, budget.trainings: 0.5 is not a number of full trainings from 1 to "
                             "1000000, such as 40."]),
        ('wall_clock = "soon"', ['line 6, budget.wall_clock: \'soon\' is not a time above 0 in seconds, or a '
                                 'text such as "90m" or "6h".']),
        ("trial = 3", ["line 6, budget.trial: unknown. Did you mean 'trials'? [budget] takes trainings, trials, steps, "
                       "wall_clock, gpu_hours, money, price_per_hour."]),
    ],
)  # fmt: skip
def test_a_budget_that_says_nothing_or_too_much_is_refused(budget: str, expected: list[str]) -> None:
    """Which of two amounts holds, nobody should have to look up."""
    assert problems(text_of(budget=budget)) == expected


def test_a_resolved_study_knows_its_trials_and_its_total_steps() -> None:
    """40 trials are 17,600 updates of the search, which are 60 % of 29,334."""
    by_trials, by_steps = resolved(TWO_RUNGS, budget="trials = 40"), resolved(TWO_RUNGS, budget="steps = 29334")
    assert (by_trials.trials, by_trials.total_steps) == (by_steps.trials, by_steps.total_steps) == (40, 29_334)
    assert not by_trials.needs_pace
    assert by_trials.paced(50.0) == by_trials


def test_a_timed_budget_waits_for_a_pace() -> None:
    """293.34 seconds at 100 updates a second."""
    study = resolved(TWO_RUNGS, budget="wall_clock = 293.34")
    assert (study.trials, study.total_steps, study.needs_pace) == (0, 0, True)
    paced = study.paced(100.0)
    assert (paced.trials, paced.total_steps, paced.needs_pace) == (40, 29_334, False)
    assert paced.generation == study.generation == resolved(TWO_RUNGS).generation


def test_scripts_that_run_side_by_side_use_devices_side_by_side() -> None:
    """Two at a time on four GPUs each: an hour of the clock is eight of a GPU."""
    script = '[study]\nname = "q"\n[study.workload]\ncommand = "train"\ngpus_per_training = 4\nconcurrency = 2\n'
    study = parse_study(f"{script}[budget]\ngpu_hours = 8", "s.toml").resolved(SCRIPT)
    assert study.devices == 8
    assert study.paced(1.0).total_steps == 3600


def test_the_selection_arrives_and_one_finalist_is_refused() -> None:
    """One alone is compared with nobody."""
    tables = "[selection]\nshare = 0.9\nfinalists = 0\nseeds = 2\nracing = false\nworth = 0.002"
    assert read(tables).selection == SelectionSpec(share=0.9, finalists=0, seeds=2, racing=False, worth=0.002)
    wrong = "[selection]\nshare = 1.0\nfinalists = 1\nseeds = 1\nworth = inf"
    assert problems(text_of(wrong)) == [
        "line 8, selection.share: 1.0 is not a number from 0 to 0.9.",
        "line 9, selection.finalists: 1 is not 0 for none, or a whole number from 2 to 20.",
        "line 10, selection.seeds: 1 is not a whole number of seeds from 2 to 100.",
        "line 11, selection.worth: inf is not a number above 0, in units of the metric.",
    ]


# ── run and tracking ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_defaults_of_a_run_and_of_its_tracking_arrive() -> None:
    """None of them is part of a hash."""
    tables = """[run]
device = "cuda:1"
engine = "fused:16x2"
deadline = "6h"
failures_that_stop = 3
[tracking]
experiment = "lr/{study}"
run_name = "{family} {trial:03d}"
tags = {team = "vision", at = "{horizon}"}
runs = "finalists"
user = true"""
    study = resolved(tables)
    assert study.run == RunSpec("cuda:1", "fused:16x2", 21_600.0, 3)
    assert study.tracking == TrackingSpec(
        "lr/{study}", "{family} {trial:03d}", {"team": "vision", "at": "{horizon}"}, "finalists", user=True
    )
    assert study.generation == resolved().generation


def test_what_is_said_of_nights_arrives() -> None:
    """It is part of no hash, for nothing of it is a sweep's; without the table there are defaults."""
    tables = """[nightly]
seeds = 5
challengers = 0
max_age = "36h"
worth = 0.002
promote = true
restarts = ["device", "commit", "device"]"""
    assert read(tables).nightly == NightlySpec(5, 0, 129_600.0, 0.002, True, ("device", "commit"))
    assert read().nightly == NightlySpec(3, 3, 7 * 86_400.0, None, False, ("device", "versions"))
    assert resolved(tables).generation == resolved().generation


def test_what_is_wrong_of_nights_is_told_with_its_place() -> None:
    """All of it at once."""
    wrong = """[nightly]
seeds = 1
challengers = 21
max_age = "soon"
worth = 0
promote = "yes"
restarts = ["device", "weather"]
key = "k\""""
    assert problems(text_of(wrong)) == [
        "line 8, nightly.seeds: 1 is not a whole number of seeds from 2 to 100.",
        "line 9, nightly.challengers: 21 is not a whole number of challengers from 0 to 20.",
        'line 10, nightly.max_age: \'soon\' is not a time above 0 in seconds, or a text such as "36h" or "7d".',
        "line 11, nightly.worth: 0 is not a number above 0, in units of the metric.",
        "line 12, nightly.promote: 'yes' is not true or false.",
        "line 13, nightly.restarts: unknown part of a night's surroundings 'weather'. Known: device, versions, data, "
        "commit.",
        "line 14, nightly.key: unknown. [nightly] takes seeds, challengers, max_age, worth, promote, restarts.",
    ]


def test_wrong_options_and_templates_are_told_with_places() -> None:
    """A template's unknown name gets the list of those that there are."""
    tables = """[run]
device = "gpu"
engine = "fused:0"
failures_that_stop = 0
[tracking]
experiment = "{studi}"
tags = {at = "{horizn}"}"""
    told = problems(text_of(tables))
    assert [each.partition(": ")[0] for each in told] == [
        "line 8, run.device",
        "line 9, run.engine",
        "line 10, run.failures_that_stop",
        "line 12, tracking.experiment",
        "line 13, tracking.tags.at",
    ]
    assert "Did you mean 'study'?" in told[3]
    assert "Did you mean 'horizon'?" in told[4]


def test_a_wrong_value_in_a_table_of_ones_own_keys_is_told_by_what_the_table_is() -> None:
    """The keys are the user's, so only the table around them has a description."""
    text = """[tracking]
tags = {team = 3}
[baseline]
family = "cosine"
peak_lr = 0.1
optimizer_settings = {momentum = "x"}"""
    assert problems(text_of(text)) == [
        'line 8, tracking.tags.team: 3 is not a table of texts, such as team = "vision"; places in braces are filled '
        "in.",
        "line 12, baseline.optimizer_settings.momentum: 'x' is not a table of the optimizer's settings where they are "
        "others, such as momentum = 0.95.",
    ]
