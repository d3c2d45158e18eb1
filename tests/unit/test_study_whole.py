"""All problems of a study file at one look, each with its place: one that is found hides no other."""

from __future__ import annotations

import pytest

from lrsweep.errors import StudyError
from lrsweep.study import parse_study
from lrsweep.study.file import examine
from lrsweep.study.places import Places

FAULTY = """
[study]
name = "my net"
metric = "val_accc"
horizon = "30 parsecs"
[study.workload]
name = "digits"
model = "mpl"
[study.engine]
precision = "float16"
[space]
families = ["cosine", "wds"]
optimizers = ["sgd", "adamm"]
weight_decay.sgd = "much"
[space.settings.step]
gama = 0.3
[search]
rungs = 9
[search.sampler]
name = "tpee"
seed = nan
[search.pruner]
name = "halving"
n = 1
[budget]
trials = 0
steps = 100
[selection]
finalists = 1
[baseline]
family = "cosin"
optimizer = "adamm"
peak_lr = -1
[baseline.optimizer_settings]
momentun = 0.3
[run]
device = "gpu"
[tracking]
runs = "none"
experiment = "{stdy}"
[serach]
"""
"""With what hid something else before: a table of a wrong shape what its other keys say, an optimizer its settings, a
list of families the tables of single ones, a workload its metric."""

PLACES = [
    (3, "study.name"), (4, "study.metric"), (5, "study.horizon"), (8, "study.workload.model"),
    (10, "study.engine.precision"), (12, "space.families"), (13, "space.optimizers"), (14, "space.weight_decay.sgd"),
    (16, "space.settings.step.gama"), (18, "search.rungs"), (20, "search.sampler.name"), (21, "search.sampler.seed"),
    (24, "search.pruner.n"), (26, "budget.trials"), (27, "budget.steps"), (29, "selection.finalists"),
    (31, "baseline.family"), (32, "baseline.optimizer"), (33, "baseline.peak_lr"),
    (35, "baseline.optimizer_settings.momentun"), (37, "run.device"), (39, "tracking.runs"),
    (40, "tracking.experiment"), (41, "serach"),
]  # fmt: skip


def places(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(StudyError) as raised:
        parse_study(text, "s.toml")
    return [(problem.line, problem.key) for problem in raised.value.problems]


def test_every_problem_of_every_table_comes_at_once_with_its_line() -> None:
    """Two dozen in one file, in its order."""
    assert places(FAULTY) == PLACES


@pytest.mark.parametrize("number", [place for place, _ in PLACES])
def test_a_problem_that_is_mended_hides_and_shows_no_other(number: int) -> None:
    """Without one of the lines, or with a right one where it is needed, the others are told as before."""
    lines = FAULTY.splitlines()
    needed = {3: 'name = "m"', 20: 'name = "tpe"', 26: "trials = 3", 31: 'family = "cosine"', 33: "peak_lr = 1"}
    lines[number - 1] = needed.get(number, "")
    assert places("\n".join(lines)) == [place for place in PLACES if place[0] != number]


SCRIPT = """
[study]
name = "m"
metric = "val_loss"
direction = "up"
[study.workload]
command = "train --lr {peak_lr} --steps {steps} {droput}"
stop_grace = "soon"
[study.workload.families]
cosin = "--x"
wsd = "--y {cooldown"
step = "--every {every}"
[space]
optimizers = ["sgd"]
peak_lr = [1, 0]
[space.extra]
lr_table = 1
width = [3, 1]
[run]
engine = "fused"
[budget]
money = 3
trial = 5
[baseline]
family = "wsd"
extra = {x = nan}
"""


def test_a_scripts_problems_come_at_once() -> None:
    """Its flags each by itself, and the other tables whatever is wrong with its own; what its command lacks, only where
    it is known which flags are appended."""
    assert places(SCRIPT) == [
        (5, "study.direction"),
        (8, "study.workload.stop_grace"),
        (10, "study.workload.families.cosin"),
        (11, "study.workload.families.wsd"),
        (14, "space.optimizers"),
        (15, "space.peak_lr"),
        (17, "space.extra.lr_table"),
        (18, "space.extra.width"),
        (20, "run.engine"),
        (22, "budget.money"),
        (23, "budget.trial"),
        (24, "baseline.peak_lr"),
        (26, "baseline.extra.x"),
    ]


def test_a_script_is_known_to_the_other_tables_whatever_is_wrong_beside_its_command() -> None:
    """A wrong time hides neither a family without flags nor a place in braces that nobody fills."""
    text = SCRIPT.replace('cosin = "--x"\nwsd = "--y {cooldown"\n', "")
    found = places(text)
    assert (7, "study.workload.command") in found
    assert (8, "study.workload.stop_grace") in found
    assert (23, "baseline.family") in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("study = 3", ["study", "budget"]),
        ("[[study]]\nname = 'm'\n[budget]\nprice_per_hour = 3", ["study", "budget"]),
        ("[study]\nworkload.model = 'mlp'\nworkload.x = nan",
         ["study.name", "study.workload.x", "study.workload.name", "budget"]),
        ("[study]\nname = 'm'\nworkload = 'digits'\nobjective = 'val_acc >= 1'\nmetric = 'val_loss'\n[budget]\n"
         "trials = 3\n[search]\nfidelity = 'compressed'\nrungs = 0",
         ["study.metric", "search.fidelity", "search.rungs"]),
        ("[study]\nname = 'm'\nworkload = 'char_lm'\nmetric = 'val_perplex'\n[budget]\ntrials = 3",
         ["study.workload", "study.metric"]),
    ],
)  # fmt: skip
def test_tables_that_are_missing_or_none_hide_nothing(text: str, expected: list[str]) -> None:
    """Whatever has a place has its problem."""
    with pytest.raises(StudyError) as raised:
        parse_study(text, "s.toml")
    assert sorted(problem.key for problem in raised.value.problems) == sorted(expected)


WRONG = ("3", "true", "[]", "[[1]]", "'?'", "{}", "{x = [{y = 1}]}", "nan", "1979-05-27")


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize(
    "key",
    ["study.workload", "study.objective", "study.engine", "space.families", "space.optimizers", "space.peak_lr",
     "space.warmup", "space.settings", "space.settings.wsd", "space.extra", "space.weight_decay", "search.sampler",
     "search.pruner", "budget", "selection", "baseline", "baseline.settings", "run", "tracking", "tracking.tags",
     "study"],
)  # fmt: skip
def test_of_any_file_with_problems_a_study_of_the_sound_parts_is_left(key: str, value: str) -> None:
    """Of what else is wrong with it something may still be asked: the other tables are as they were written."""
    rest = {
        "study.name": "'mine'",
        "study.seed": "7",
        "study.workload": "'logistic'",
        "budget.steps": "900",
        key: value,
    }
    lines = [f"{each} = {given}" for each, given in rest.items() if each == key or not each.startswith(f"{key}.")]
    found = examine("\n".join(lines), "s.toml")
    if found.problems and not key.startswith("study"):
        assert (found.study.name, found.study.seed, found.study.workload.name) == ("mine", 7, "logistic")
    assert not found.problems or found.study.places.wrong


def test_what_depends_on_a_wrong_part_is_known() -> None:
    """A part is wrong with what is inside it, and with what it is inside of."""
    found = Places(wrong=[("space", "families", 1), ("study", "workload")])
    assert not found.are_sound(("space", "families"))
    assert not found.are_sound(("study", "workload", "model"))
    assert found.are_sound(("space", "optimizers"), ("study", "metric"))


def test_a_table_with_a_letter_too_many_is_no_key_of_another() -> None:
    """`runs` is a key of [tracking], and whoever writes [runs] means [run]."""
    with pytest.raises(StudyError) as refused:
        parse_study('[study]\nname = "q"\nworkload = "digits"\n[budget]\ntrials = 60\n[runs]\ndevice = "cpu"\n', "s")
    [problem] = refused.value.problems
    assert (problem.line, problem.key) == (6, "runs")
    assert problem.text.startswith("unknown. Did you mean 'run'? A study file has the tables ")
