"""The study file: what it may say, what is made of it, and what it is told when it is wrong."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from lrsweep.errors import StudyError
from lrsweep.records import WorkloadSpec
from lrsweep.schedules import core_names, family_names
from lrsweep.study import BudgetSpec, SpaceSpec, Study, load_study, parse_study
from lrsweep.workloads import entry, workload_names

SMALLEST = """
[study]
name = "quick"
workload = "digits"
[budget]
trials = 60
"""

EVERY_KEY = """
[study]
name = "every-key_1"
horizon = 900
seed = 7
[study.workload]
name = "digits"
model = "cnn"
noise = 0.25
[space]
families = ["wsd", "cosine"]
optimizers = ["adamw", "sgd"]
warmup = [0, 0.2]
floor = 0.01
[space.peak_lr]
sgd = [0.01, 1]
adamw = [0.0003, 0.03]
[budget]
trials = 12
"""

KNOWN = f"Known: {', '.join(name for name in family_names() if name not in ('table', 'function'))}."
"""the families that can be searched"""

SPACE_KEYS = "families, optimizers, warmup, floor, peak_lr, weight_decay, settings, extra"
ONE_BUDGET = "one of trainings, trials, steps, wall_clock, gpu_hours, money, such as trainings = 40"
SETTINGS = ", ".join(setting.name for setting in entry("digits").settings)
OPTIMS = "Known: sgd, adamw, sgd_plain, sgd_dampened, nesterov, rmsprop, adam."
WORKLOADS = ", ".join(workload_names())

STUDIES = Path(__file__).parents[2] / "studies"


def refusal(text: str) -> str:
    """The message that the text is refused with."""
    with pytest.raises(StudyError) as raised:
        parse_study(text, "s.toml")
    return str(raised.value)


def small(*, study: str = "", space: str = "", budget: str = "trials = 60") -> str:
    """The smallest study, with more lines in its tables: those of [study] begin on line 4."""
    return f'[study]\nname = "quick"\nworkload = "digits"\n{study}\n[space]\n{space}\n[budget]\n{budget}\n'


# ── what a file says ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_name_workload_and_trials_make_a_study() -> None:
    """Three keys are enough; all else has a default that is written out in the value."""
    assert parse_study(SMALLEST, "quick.toml") == Study(
        name="quick",
        workload=WorkloadSpec("digits", {"model": "mlp", "noise": 0.0}),
        space=SpaceSpec(families=core_names(), optimizers=("sgd", "adamw"), warmup=0.0, floor=0.0, peak_lr={}),
        budget=BudgetSpec(trials=60),
        source="quick.toml",
        horizon=None,
        seed=0,
        metric="val_loss",
    )


def test_every_key_arrives_where_it_belongs() -> None:
    """Each key of the file is one field of the study; lists become tuples in the order given, numbers floats."""
    assert parse_study(EVERY_KEY, "e.toml") == Study(
        name="every-key_1",
        workload=WorkloadSpec("digits", {"model": "cnn", "noise": 0.25}),
        space=SpaceSpec(
            families=("wsd", "cosine"),
            optimizers=("adamw", "sgd"),
            warmup=(0.0, 0.2),
            floor=0.01,
            peak_lr={"sgd": (0.01, 1.0), "adamw": (0.0003, 0.03)},
        ),
        budget=BudgetSpec(trials=12),
        source="e.toml",
        horizon=900,
        seed=7,
    )


def test_a_study_may_name_every_family_that_has_defaults() -> None:
    """All but `table` and `function`; unless it names some, it has the eight of the core and no more."""
    searched = [name for name in family_names() if name not in ("table", "function")]
    assert parse_study(small(space=f"families = {json.dumps(searched)}"), "s.toml").space.families == tuple(searched)
    assert {"plateau", "threshold", "slope", "greedy", "knots", "multistep", "cosine_restarts"} < set(searched)
    assert parse_study(SMALLEST, "s.toml").space.families == (
        "constant", "step", "exponential", "linear", "cosine", "wsd", "one_cycle", "rex",
    )  # fmt: skip


def test_a_study_cannot_be_changed() -> None:
    """A study that was read is a value."""
    with pytest.raises(FrozenInstanceError):
        parse_study(SMALLEST, "s.toml").seed = 61  # type: ignore[misc]


@pytest.mark.parametrize(
    "limits", ["warmup = 0", "warmup = 0.99", "warmup = [0, 0.99]", "floor = 0", "floor = 1", "floor = [0, 1]"]
)
def test_the_ends_of_what_is_allowed_are_allowed(limits: str) -> None:
    """Warm-up reaches from 0 to below 1, the floor from 0 to 1, alone or as a range."""
    key, _, value = limits.partition(" = ")
    wanted = tuple(json.loads(value)) if value.startswith("[") else float(value)
    assert getattr(parse_study(small(space=limits), "s.toml").space, key) == wanted


# ── where a file is ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quick.toml").write_text(SMALLEST)
    return tmp_path


def test_a_study_is_found_by_its_path_and_by_its_name(folder: Path) -> None:
    """A path says where the file is; NAME is NAME.toml in the folder of studies."""
    path = folder / "quick.toml"
    by_path, by_text, by_name = load_study(path), load_study(str(path)), load_study("quick", folder=folder)
    assert by_path == by_text == by_name
    assert by_name.source == str(path)


def test_an_unknown_name_is_told_which_there_are(folder: Path) -> None:
    """A name that is nearly right gets a guess, and any gets the list."""
    with pytest.raises(StudyError) as raised:
        load_study("quik", folder=folder)
    assert str(raised.value) == (
        f"{folder}/quik.toml: 1 problem\n"
        f"  file: there is no such file. Did you mean 'quick'? {str(folder)!r} has quick."
    )


def test_a_wrong_path_is_told_which_files_are_there(folder: Path) -> None:
    """The guess for a path is a file of the same folder."""
    with pytest.raises(StudyError, match=r"there is no such file\. Did you mean 'quick\.toml'\?"):
        load_study(folder / "quick.tml")


def test_a_missing_folder_is_told_from_a_missing_file(folder: Path) -> None:
    """Started in another folder, a user learns in which one the studies were looked for."""
    with pytest.raises(StudyError, match=rf"there is no folder '{folder}/none' in '{Path.cwd()}'"):
        load_study("quick", folder=folder / "none")


def test_what_is_no_text_file_is_refused(folder: Path) -> None:
    """A folder and a file in another encoding are problems of the file, not tracebacks."""
    with pytest.raises(StudyError, match=r"file: cannot be read: .*directory"):
        load_study(folder)
    (folder / "latin.toml").write_bytes(b"[study]\nname = 'caf\xe9'\n")
    with pytest.raises(StudyError, match=r"line 2, file: the text is not UTF-8"):
        load_study("latin", folder=folder)


def test_line_ends_and_byte_order_marks_of_other_systems_are_read(folder: Path) -> None:
    """A file from a Windows editor means the same and keeps its line numbers."""
    (folder / "windows.toml").write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())
    assert load_study("windows", folder=folder).name == "quick"
    (folder / "broken.toml").write_bytes(SMALLEST.replace("60", "0").replace("\n", "\r\n").encode())
    with pytest.raises(StudyError, match=r"line 6, budget\.trials"):
        load_study("broken", folder=folder)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_studies_are_valid(path: Path) -> None:
    """Every file in studies/ can be run, and its name is its file's."""
    assert load_study(path).name == path.stem


# ── what a wrong file is told ────────────────────────────────────────────────────────────────────────────────────────


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    """Twenty-one problems in one error: each with its line and key, what was given, what is wanted."""
    assert (
        refusal("""
trials = 3
[study]
name = "my net"
horizon = "600"
seed = -1
trials = 4
metrik = "val_acc"
[study.workload]
name = "digits"
modle = "cnn"
noise = 1.5
model = "resnet"
[space]
families = [
  "cosin",
  "wsd",  # this one is right
  "wsd",
  3,
]
optimizers = ["adamx"]
warmup = [0.2, 0.1]
floor = 2
warm_up = 0.1
[space.peak_lr]
sdg = [0.1, 1]
sgd = 0.1
adamw = [0, 1.0]
[buget]
trials = 60
""")
        == f"""\
s.toml: 21 problems
  line 2, trials: this key belongs under [budget]. Move it there.
  line 4, study.name: 'my net' is not a name of up to 100 letters, digits, - and _, a letter or digit first, such as "my-net".
  line 5, study.horizon: '600' is not a whole number of steps from 1 to 1000000000, or a text with a unit: "600 steps", "30 epochs", "1e6 samples" or "2M tokens". Write the number without quotes.
  line 6, study.seed: -1 is not a whole number from 0 to 4294967295.
  line 7, study.trials: this key belongs under [budget]. Move it there.
  line 8, study.metrik: unknown. Did you mean 'metric'? [study] takes name, workload, objective, metric, direction, horizon, seed, engine.
  line 11, study.workload.modle: unknown setting of the workload 'digits'. Did you mean 'model'? It has {SETTINGS}.
  line 12, study.workload.noise: 1.5 is not a number from 0 to 1. This is the standard deviation of Gaussian noise added to pixels between 0 and 1.
  line 13, study.workload.model: 'resnet' is not one of mlp, cnn. This is the network: an MLP of 64-64-10 units, or a small convolutional one.
  line 16, space.families: unknown family 'cosin'. Did you mean 'cosine'? {KNOWN}
  line 18, space.families: 'wsd' is in the list twice. Take one out.
  line 19, space.families: unknown family 3. {KNOWN}
  line 21, space.optimizers: unknown optimizer 'adamx'. Did you mean 'adam'? {OPTIMS}
  line 22, space.warmup: [0.2, 0.1] is not a share of the steps: a number from 0 to below 1, or a rising range such as [0.0, 0.2]; nor a count such as "200 steps".
  line 23, space.floor: 2 is not a share of the peak: a number from 0 to 1, or a rising range such as [0.0, 0.1].
  line 24, space.warm_up: unknown. Did you mean 'warmup'? [space] takes families, optimizers, warmup, floor, peak_lr, weight_decay, settings, extra.
  line 26, space.peak_lr.sdg: unknown optimizer 'sdg'. Did you mean 'sgd'? {OPTIMS}
  line 27, space.peak_lr.sgd: 0.1 is not a range of rates [low, high] with 0 < low < high, such as sgd = [0.001, 0.1].
  line 28, space.peak_lr.adamw: [0, 1.0] is not a range of rates [low, high] with 0 < low < high, such as adamw = [0.001, 0.1].
  line 29, buget: unknown. Did you mean 'budget'? A study file has the tables study, space, search, budget, selection, baseline, run, nightly, tracking.
  budget: missing. Add a table [budget] with one of trainings, trials, steps, wall_clock, gpu_hours, money, such as trainings = 40."""  # noqa: E501 - a problem is one line, however long
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "# nothing yet\n\n",
            "file: there is nothing in it. A study needs three lines at least: "
            '`study.name = "my-net"`, `study.workload = "digits"` and `budget.trials = 60`.',
            id="an empty file",
        ),
        pytest.param(
            '[study]\nworkload = "digits"\n[budget]\ntrials = 60',
            "line 1, study.name: missing. Add a name of up to 100 letters, digits, - and _, "
            'a letter or digit first, such as "my-net".',
            id="a missing key has its table's line",
        ),
        pytest.param(
            '[study]\nname = "quick"\n[budget]\ntrials = 60',
            'line 1, study.workload: missing. Add a workload\'s name, such as "digits" or "file.py:Name", '
            "or a table with name and its settings, or with command.",
            id="no workload",
        ),
        pytest.param(
            '[study]\nname = "quick"\n[study.workload]\nmodel = "cnn"\n[budget]\ntrials = 60',
            f"line 3, study.workload.name: missing: wanted is the name of a workload. Known: {WORKLOADS}.",
            id="a workload without its name",
        ),
        pytest.param(
            '[study]\nname = "quick"\n[study.workload]\ncomand = "python t.py"\n[budget]\ntrials = 60',
            "line 4, study.workload.comand: unknown. Did you mean 'command'?",
            id="a mistyped command",
        ),
        pytest.param(
            '[study]\nname = "quick"\nworkload = "digit"\n[budget]\ntrials = 60',
            f"line 3, study.workload: unknown workload 'digit'. Did you mean 'digits'? Known: {WORKLOADS}; "
            'or your own as "file.py:Name" (from the working folder) or "package.module:Name".',
            id="an unknown workload",
        ),
        pytest.param(
            '[study]\nname = "quick"\nworkload = 3\n[budget]\ntrials = 60',
            'line 3, study.workload: 3 is not a workload\'s name, such as "digits" or "file.py:Name", '
            "or a table with name and its settings, or with command.",
            id="a workload by number",
        ),
        pytest.param(
            '[study]\nname = "quick"\nworkload = {name = ["digits"]}\n[budget]\ntrials = 60',
            f"line 3, study.workload.name: ['digits'] is not the name of a workload. Known: {WORKLOADS}.",
            id="a workload by list",
        ),
        pytest.param(
            small(budget="trials = 60.0"),
            "line 8, budget.trials: 60.0 is not a whole number of trials from 1 to 1000000, such as 60.",
            id="a fraction of a trial",
        ),
        pytest.param(
            small(budget="trials = true"),
            "line 8, budget.trials: true is not a whole number of trials from 1 to 1000000, such as 60.",
            id="a truth value is no number",
        ),
        pytest.param(
            small(study="seed = 4_294_967_296"),
            "line 4, study.seed: 4294967296 is not a whole number from 0 to 4294967295.",
            id="a seed of 33 bits",
        ),
        pytest.param(
            small(space="families = []"),
            'line 6, space.families: [] is not "core", "all", or a list of schedule families, such as '
            '["cosine", "wsd"].',
            id="no family",
        ),
        pytest.param(
            small(space='families = ["cosine", "table"]'),
            "line 6, space.families: 'table' cannot be searched: only you can give its values, and a search draws "
            "numbers. Take it out.",
            id="a family that is all data",
        ),
        pytest.param(
            small(space='families = ["function"]'),
            "line 6, space.families: 'function' cannot be searched: only you can give its path, and a search draws "
            "numbers. Take it out.",
            id="a family that is the user's own code",
        ),
        pytest.param(
            small(space='optimizers = "sgd"'),
            'line 6, space.optimizers: \'sgd\' is not a list of optimizers, such as ["sgd", "adamw"].',
            id="a word for a list",
        ),
        pytest.param(
            small(space="peak_lr = [0.01, 1.0]"),
            "line 6, space.peak_lr: [0.01, 1.0] is not a table with a range for each optimizer, "
            "such as sgd = [0.01, 1.0].",
            id="one range for all",
        ),
        pytest.param(
            small(space='optimizers = ["sgd"]\npeak_lr.adamw = [0.01, 1.0]'),
            "line 7, space.peak_lr.adamw: adamw is not in space.optimizers. Add it there, or take this line out.",
            id="a range that nothing uses",
        ),
        pytest.param(
            small(space="warmup = '0.1'"),
            "line 6, space.warmup: '0.1' is not a share of the steps: a number from 0 to below 1, "
            'or a rising range such as [0.0, 0.2]; nor a count such as "200 steps". Write the number without quotes.',
            id="a number in quotes",
        ),
        pytest.param(
            small(space="warmup = 1"),
            "line 6, space.warmup: 1 is not a share of the steps: a number from 0 to below 1, "
            'or a rising range such as [0.0, 0.2]; nor a count such as "200 steps".',
            id="nothing but warm-up",
        ),
        pytest.param(
            '[study]\nname = "quick"\nworkload = {name = "digits", noise = true}\n[budget]\ntrials = 60',
            "line 3, study.workload.noise: True is not a number from 0 to 1. "
            "This is the standard deviation of Gaussian noise added to pixels between 0 and 1.",
            id="a truth value for a setting",
        ),
        pytest.param(
            small(space="floor = nan"),
            "line 6, space.floor: nan is not a share of the peak: a number from 0 to 1, "
            "or a rising range such as [0.0, 0.1].",
            id="not a number",
        ),
        pytest.param(
            small(space='families = ["WSD"]'),
            f"line 6, space.families: unknown family 'WSD'. Did you mean 'wsd'? {KNOWN}",
            id="capitals",
        ),
        pytest.param(
            small(space=f"peak_lr.sgd = [1, 1{'0' * 400}]"),
            f"line 6, space.peak_lr.sgd: [1, 1{'0' * 54}… is not a range of rates [low, high] with 0 < low < high, "
            "such as sgd = [0.001, 0.1].",
            id="an integer beyond every float",
        ),
        pytest.param(
            small(space='"my key" = 1'),
            f"line 6, space.'my key': unknown. [space] takes {SPACE_KEYS}.",
            id="a quoted key",
        ),
        pytest.param(
            small(space='"{x}" = 1'),
            f"line 6, space.'{{x}}': unknown. [space] takes {SPACE_KEYS}.",
            id="braces are text",
        ),
        pytest.param(
            'budget = 60\n[study]\nname = "quick"\nworkload = "digits"',
            f"line 1, budget: 60 is not a table [budget] with {ONE_BUDGET}.",
            id="a number for a table",
        ),
    ],
)
def test_each_problem_says_what_was_given_and_what_is_wanted(text: str, problem: str) -> None:
    """One problem, one line: place, what was given, what is wanted."""
    assert refusal(text) == f"s.toml: 1 problem\n  {problem}"


def test_what_is_missing_altogether_is_told_too() -> None:
    """A file without its tables learns of both at once."""
    assert refusal("[space]") == (
        "s.toml: 2 problems\n"
        "  study: missing. Add a table [study] with at least name and workload.\n"
        f"  budget: missing. Add a table [budget] with {ONE_BUDGET}."
    )


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        ("[study]\nname = quick\n", 2, 'Text stands in quotes, as in name = "my-net"'),
        ("[study]\nname = 'a'\n\nname = 'b'\n[budget]\n", 4, "The key is there twice: keep one."),
        ("[study]\n[budget]\n[study]\n", 3, "The table is there twice"),
        ('[study]\nname = "quick\n', 2, "Close the quotes"),
        ('[space]\nfamilies = ["cosine" "wsd"]\n', 2, "Put a comma between the elements"),
        ("[space]\nfamilies = [\n  'wsd',\n\n\n", 3, "at the end of the file"),
        ("[study]\nname\n", 2, "this is not TOML"),
    ],
)
def test_a_text_that_is_not_toml_is_told_where_and_what_to_do(text: str, line: int, advice: str) -> None:
    """The parser's own finding keeps its line and gets the usual remedy."""
    message = refusal(text)
    assert message.startswith(f"s.toml: 1 problem\n  line {line}, syntax: this is not TOML: ")
    assert advice in message


def test_a_number_too_long_for_python_is_a_problem_of_the_file() -> None:
    """Five thousand digits make no traceback."""
    assert "syntax: this is not TOML" in refusal(small(budget=f"trials = {'9' * 5000}"))


def test_a_long_value_is_cut_in_the_message() -> None:
    """A message stays readable whatever was given."""
    assert f"'{'x' * 58}… is not a name" in refusal(SMALLEST.replace("quick", "x" * 200))
