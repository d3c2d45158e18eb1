"""Studies of a user's own script: the table with a command, its parameters, and what does not go with it."""

# ruff: noqa: E501 - a problem is told in one line, however long

from __future__ import annotations

import pytest

from lrsweep.errors import StudyError
from lrsweep.records import WorkloadSpec
from lrsweep.schedules import Search, core_names
from lrsweep.scripts.command import Command
from lrsweep.study import Study, parse_study
from lrsweep.study.extra import Choices

SMALLEST = """
[study]
name = "mine"
metric = "val_loss"
[study.workload]
command = "python train.py"
steps = 20000
[budget]
trials = 20
"""

FLAGS = 'families.cosine = "--sched cosine --lr {peak_lr}"\nfamilies.wsd = "--lr {peak_lr} --decay {cooldown}"'


def script(command: str = "python train.py", *, study: str = "", workload: str = "", space: str = "") -> str:
    """A study of a command: the lines of [study.workload] begin on line 6 when ``study`` is one line."""
    return (
        f'[study]\nname = "mine"\n{study}\n[study.workload]\ncommand = "{command}"\n{workload}\n'
        f"[space]\n{space}\n[budget]\ntrials = 20\n"
    )


def read(text: str) -> Study:
    return parse_study(text, "s.toml")


def command_in(text: str) -> Command:
    return Command(**read(text).workload.settings)


def refusals(text: str) -> list[str]:
    """The problems that the text is refused with."""
    with pytest.raises(StudyError) as raised:
        read(text)
    return [str(problem) for problem in raised.value.problems]


# ── what a file says ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_command_and_its_steps_make_a_study() -> None:
    """All else has a default; the rate range comes from the script, and the optimizer is the script's."""
    study = read(SMALLEST)
    assert study.workload == Command("python train.py", steps=20000).spec()
    assert study.workload.name == "command"
    assert (study.space.families, study.space.optimizers, study.space.peak_lr) == (core_names(), ("script",), {})
    assert (study.metric, study.direction, study.budget.trials) == ("val_loss", None, 20)


def test_every_key_of_a_command_arrives() -> None:
    """Times are texts or seconds; flags by family stay as they are."""
    workload = f"""steps = 600
{FLAGS}
table_format = "csv"
rate_exponent = 0.5
version = 3
gpus_per_training = 8
concurrency = 4
time_limit = "6h"
stall_after = "90s"
stop_grace = 7
fork = false"""
    found = command_in(
        script("train {steps} {dropout}", workload=workload, space="peak_lr = [0.01, 1]\nextra.dropout = 0.5")
    )
    assert found == Command(
        "train {steps} {dropout}",
        steps=600,
        families={"cosine": "--sched cosine --lr {peak_lr}", "wsd": "--lr {peak_lr} --decay {cooldown}"},
        table_format="csv",
        rate_exponent=0.5,
        version=3,
        gpus_per_training=8,
        concurrency=4,
        time_limit=21600.0,
        stall_after=90.0,
        stop_grace=7.0,
        fork=False,
    )


def test_with_flags_the_mapped_families_are_searched_unless_some_are_named() -> None:
    """In the order of the map; `space.families` may take a part of it."""
    text = script("train {steps}", workload=FLAGS, space="peak_lr = [0.01, 1]")
    assert read(text).space.families == ("cosine", "wsd")
    fewer = script("train {steps}", workload=FLAGS, space='peak_lr = [0.01, 1]\nfamilies = ["wsd"]')
    assert read(fewer).space.families == ("wsd",)


def test_the_rate_of_a_script_is_one_range() -> None:
    """It has one optimizer, and so one range."""
    assert read(script(space="peak_lr = [1, 2]")).space.peak_lr == {"script": (1.0, 2.0)}


def test_the_parameters_of_a_script_have_five_forms() -> None:
    """A range, whole where both ends are; a table; choices; a list of texts; one value."""
    study = read(
        script(
            space="""[space.extra]
dropout = [0.0, 0.5]
layers = [1, 4]
decay = {low = 1e-5, high = 1, log = true}
width = {low = 16, high = 256, log = true, whole = true}
batch = {choices = [64, 128]}
head = ["linear", "mlp", "none"]
depth = 4
name = "base"
fast = true"""
        )
    )
    assert study.space.extra == {
        "dropout": Search(0.0, 0.5),
        "layers": Search(1, 4, whole=True),
        "decay": Search(1e-5, 1.0, log=True),
        "width": Search(16, 256, log=True, whole=True),
        "batch": Choices((64, 128)),
        "head": Choices(("linear", "mlp", "none")),
        "depth": 4,
        "name": "base",
        "fast": True,
    }
    assert isinstance(study.space.extra["layers"].low, int)  # type: ignore[union-attr]


@pytest.mark.parametrize("metric", ["val_loss", "eval/loss", "accuracy_loss", "wer", "val_ppl", "maple", "accent"])
def test_a_metric_that_does_not_sound_like_more_is_better_needs_no_direction(metric: str) -> None:
    """The words that say so are looked for as words, and those of losses win."""
    assert read(script(study=f'metric = "{metric}"')).direction is None


@pytest.mark.parametrize("metric", ["val_acc", "eval/accuracy", "mAP50", "f1_macro", "BLEU", "reward", "top1-recall"])
def test_a_metric_that_sounds_like_more_is_better_is_asked_for_its_direction(metric: str) -> None:
    """A search in the wrong direction would find the worst schedule; with a direction either way is taken."""
    [problem] = refusals(script(study=f'metric = "{metric}"'))
    assert problem.startswith(f"line 3, study.metric: '{metric}' sounds (")
    assert problem.endswith('Add direction = "maximize" or direction = "minimize".')
    for direction in ("maximize", "minimize"):
        assert read(script(study=f'metric = "{metric}"\ndirection = "{direction}"')).direction == direction


def test_the_users_own_workload_takes_any_settings() -> None:
    """Its class checks them; what no hash can be made of is refused here."""
    text = (
        '[study]\nname = "mine"\nworkload = {name = "my/net.py:Net", width = 8, sizes = [1, 2]}\n[budget]\ntrials = 2'
    )
    assert read(text).workload == WorkloadSpec("my/net.py:Net", {"width": 8, "sizes": [1, 2]})
    assert read(text.replace('{name = "my/net.py:Net", width = 8, sizes = [1, 2]}', '"package.net:Net"')).workload == (
        WorkloadSpec("package.net:Net")
    )
    assert refusals(text.replace("width = 8", "width = 2026-01-01")) == [
        "line 3, study.workload.width: 2026-01-01 is not a text, a finite number, true or false, or made of these."
    ]


# ── what a wrong file is told ────────────────────────────────────────────────────────────────────────────────────────

RATE = "peak_lr = [0.01, 1]"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            script("train {lrtable}", space=RATE),
            "line 5, study.workload.command: unknown name in braces: 'lrtable'. Did you mean 'lr_table'? Known: lr_table, "
            "seed, steps, peak_lr. Your own parameters stand under [space.extra].",
            id="an unknown name in braces",
        ),
        pytest.param(
            script("train {seed"),
            "line 5, study.workload.command: 'train {seed' has braces that do not close (expected '}' before end of "
            "string); write {{ for a brace itself.",
            id="open braces",
        ),
        pytest.param(
            script("train 'x"),
            "line 5, study.workload.command: \"train 'x\" cannot be split into arguments: No closing quotation.",
            id="open quotes",
        ),
        pytest.param(
            script(" "),
            "line 5, study.workload.command: ' ' is not the command that trains, such as \"python train.py\".",
            id="no command",
        ),
        pytest.param(
            script("train {lr_table}"),
            "line 5, study.workload.command: nobody knows a range of rates for a script that does not call "
            "lrsweep.attach. Add one under [space], such as peak_lr = [0.001, 0.1].",
            id="a file of rates without a range",
        ),
        pytest.param(
            script("train {steps}", workload='families.cosin = "{peak_lr}"', space=RATE),
            "line 6, study.workload.families.cosin: unknown family 'cosin'. Did you mean 'cosine'? Known: constant, step, "
            "exponential, linear, cosine, wsd, one_cycle, rex, polynomial, multistep, piecewise, inverse_time, "
            "inverse_sqrt, inverse_power, tanh, cosine_restarts, cyclic, knots, plateau, threshold, slope, greedy.",
            id="flags of no family",
        ),
        pytest.param(
            script("train {steps}", workload='families.wsd = "--lr {peak_lr}"', space=RATE),
            "line 6, study.workload.families.wsd: {cooldown} in neither the command nor these flags: the script would not "
            "hear what the search has drawn, nor how long a rung is. Add what is missing.",
            id="flags that do not pass what is drawn",
        ),
        pytest.param(
            script("train", workload='families.cosine = "--cosine"', space=RATE),
            "line 6, study.workload.families.cosine: {peak_lr}, {steps} in neither the command nor these flags: the script "
            "would not hear what the search has drawn, nor how long a rung is. Add what is missing.",
            id="flags without a rate",
        ),
        pytest.param(
            script("train {steps}", workload='families.cosine = "{peak_lr} {floor}"', space=f"{RATE}\nwarmup = 0.1\nfloor = 0"),
            "line 6, study.workload.families.cosine: {warmup} in neither the command nor these flags: the script would not "
            "hear what the search has drawn, nor how long a rung is. Add what is missing.",
            id="a warm-up that the flags do not pass",
        ),
        pytest.param(
            script("train {steps}", workload='families.plateau = "--plateau {peak_lr}"', space=RATE),
            "line 6, study.workload.families.plateau: 'plateau' cannot be searched here: its rates follow from the metric "
            "while it trains, and flags are given before. Let the script call lrsweep.attach, or take it out.",
            id="flags of a reactive family",
        ),
        pytest.param(
            script("train {lr_table}", space=f'{RATE}\nfamilies = ["cosine", "plateau"]'),
            "line 9, space.families: 'plateau' cannot be searched here: its rates follow from the metric while it trains, "
            "and a file of rates is written before. Let the script call lrsweep.attach, or take it out.",
            id="a reactive family in a file of rates",
        ),
        pytest.param(
            script(workload="gpus_per_training = 2", space='families = ["greedy"]'),
            "line 8, space.families: 'greedy' cannot be searched here: its rates follow from the metric while it trains, "
            "and with gpus_per_training above 1 each process would hear a metric of its own. Take it out.",
            id="a reactive family on several GPUs",
        ),
        pytest.param(
            script("train {steps}", workload=FLAGS, space=f'{RATE}\nfamilies = ["cosine", "step"]'),
            "line 10, space.families: 'step' has no flags under [study.workload.families]. Add them there, or take it out.",
            id="a family without flags",
        ),
        pytest.param(
            script(space='optimizers = ["sgd"]'),
            "line 8, space.optimizers: a script has an optimizer of its own. Take this line out.",
            id="an optimizer for a script",
        ),
        pytest.param(
            script(space="peak_lr.sgd = [0.1, 1]"),
            "line 8, space.peak_lr: a table is not a range of rates [low, high] with 0 < low < high, such as "
            "[0.001, 0.1]: a script has one optimizer.",
            id="a range per optimizer",
        ),
        pytest.param(
            script(study="horizon = 600"),
            "line 3, study.horizon: the horizon of a script is its own. Take this line out, and write steps under "
            "[study.workload].",
            id="a horizon beside steps",
        ),
        pytest.param(
            script(study="engine.clip_norm = 1.0"),
            "line 3, study.engine: a script computes its own updates. Take this table out.",
            id="engine settings for a script",
        ),
        pytest.param(
            script(study="steps = 5"),
            "line 3, study.steps: this key belongs under [study.workload]. Move it there.",
            id="steps in the wrong table",
        ),
        pytest.param(
            script(workload='time_limit = "soon"'),
            'line 6, study.workload.time_limit: \'soon\' is not a time above 0 in seconds, or a text such as "90s", "10m" '
            'or "6h".',
            id="no time",
        ),
        pytest.param(
            script(workload="stepps = 3"),
            "line 6, study.workload.stepps: unknown. Did you mean 'steps'? [study.workload] takes command, steps, families, "
            "table_format, rate_exponent, version, gpus_per_training, concurrency, time_limit, stall_after, stop_grace, fork.",
            id="an unknown key",
        ),
        pytest.param(
            script(space="extra.seed = 3"),
            "line 8, space.extra.seed: 'seed' is taken. Give the parameter another name.",
            id="a parameter with a name of ours",
        ),
        pytest.param(
            script(space='extra."my dropout" = 3'),
            "line 8, space.extra.'my dropout': 'my dropout' is no name of letters, digits and _. Give the parameter "
            "another name.",
            id="a parameter that is no name",
        ),
        pytest.param(
            script("train {lr_table}", space=f"{RATE}\nextra.dropout = [0.0, 0.5]"),
            "line 9, space.extra.dropout: the command has no {dropout}, so the script would not hear it. Add it there.",
            id="a parameter that reaches nobody",
        ),
        *(
            pytest.param(
                script(space=f"extra.dropout = {given}"),
                f"line 8, space.extra.dropout: {shown} is not a range [low, high] with low < high, a table {{low, high, log, "
                "whole} or {choices}, a list of texts, or one value.",
                id=f"no parameter: {given}",
            )
            for given, shown in [
                ("[0.5, 0.1]", "[0.5, 0.1]"),
                ("[1, 2, 3]", "[1, 2, 3]"),
                ("{low = 0, high = 1, log = true}", "a table"),
                ("{low = 0.5, high = 2, whole = true}", "a table"),
                ("{choices = []}", "a table"),
                ("{choices = [1, 1.0]}", "a table"),
                ("{low = 1}", "a table"),
                ("nan", "nan"),
            ]
        ),
        pytest.param(
            '[study]\nname = "quick"\nworkload = "digits"\n[space.extra]\ndropout = 0.5\n[budget]\ntrials = 6',
            "line 4, space.extra: only a script (`command` under [study.workload]) takes parameters of yours. Take it out.",
            id="parameters without a script",
        ),
    ],
)  # fmt: skip
def test_each_problem_of_a_script_says_what_to_do(text: str, problem: str) -> None:
    """One problem, one line: place, what was given, what is wanted."""
    assert refusals(text) == [problem]


def test_the_problems_of_a_command_are_told_beside_those_of_other_tables() -> None:
    """Five at once, in the order of the file."""
    text = script(
        study='metric = "val_acc"', workload="steps = 0\nversion = 0", space='optimizers = ["sgd"]\nfloor = 2'
    )
    assert [problem.partition(": ")[0] for problem in refusals(text)] == [
        "line 3, study.metric",
        "line 6, study.workload.steps",
        "line 7, study.workload.version",
        "line 9, space.optimizers",
        "line 10, space.floor",
    ]
