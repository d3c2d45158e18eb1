"""What ``lrsweep range`` and ``lrsweep check-workload`` are asked to look at, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrsweep.cli.check_workload import ScriptReport, check_workload
from lrsweep.cli.new import write_workload
from lrsweep.cli.range import RangeOptions, run_range
from lrsweep.cli.target import read_target
from lrsweep.errors import InvalidInput
from lrsweep.executors.local import LocalExecutor
from lrsweep.records import WorkloadFacts
from lrsweep.scripts.command import Command

SCRIPT = """\
[study]
name = "s"
{study}
[study.workload]
command = "python train.py --width {{width}}"
steps = 100
[space]
{space}
[space.extra]
width = [64, 128]
decay = {{low = 1e-4, high = 1e-2, log = true}}
head = ["linear", "mlp"]
depth = 4
[budget]
trials = 2
"""
FLAGS = """\
[study]
name = "f"
[study.workload]
command = "train --steps {steps}"
steps = 100
[study.workload.families]
cosine = "--cosine --lr {peak_lr}"
[space]
peak_lr = [0.1, 1.0]
[budget]
trials = 2
"""
DIGITS = """\
[study]
name = "d"
[study.workload]
name = "digits"
model = "cnn"
[study.engine]
clip_norm = 1.0
[space]
optimizers = ["adamw"]
[budget]
trials = 2
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> str:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    return name


def test_a_workload_is_given_by_its_name_and_settings() -> None:
    """Values are read as JSON, or as texts; SGD is the optimizer unless another one is named."""
    target = read_target("digits", ["model=cnn", "noise=0.5"])
    assert (target.workload.name, target.workload.settings) == ("digits", {"model": "cnn", "noise": 0.5})
    assert target.command is None
    assert (target.optimizer(None).name, target.optimizer("adam").name) == ("sgd", "adam")
    own = read_target("mine.py:Mine", ["layers=[1, 2]"])
    assert (own.workload.name, own.workload.settings) == ("mine.py:Mine", {"layers": [1, 2]})
    assert read_target("mnist", synthetic=True).workload.settings["synthetic"] is True


def test_a_study_gives_its_workload_and_what_belongs_to_its_training() -> None:
    """Its settings, its first optimizer, and its engine's; by its path, or by its name in studies/."""
    write("studies/d.toml", DIGITS)
    for given in ("studies/d.toml", "d"):
        target = read_target(given)
        assert target.workload.settings["model"] == "cnn"
        assert target.optimizer(None).name == "adamw"
        assert target.engine.clip_norm == 1.0


def test_a_script_gets_each_of_its_own_parameters_at_one_value() -> None:
    """The middle of a range, on its own scale; the first of the choices; what is fixed."""
    target = read_target(write("s.toml", SCRIPT.format(study='metric = "val_loss"', space="warmup = 0.1")))
    assert isinstance(target.command, Command)
    assert target.extra == {"width": 96, "decay": pytest.approx(1e-3), "head": "linear", "depth": 4}
    assert read_target(None, command="python train.py").workload == Command("python train.py").spec()


@pytest.mark.parametrize(
    ("given", "sets", "options", "told"),
    [
        (None, [], {}, "what to look at is not given"),
        ("digits", [], {"command": "train"}, "is given twice"),
        ("digit", [], {}, "Did you mean 'digits'?"),
        ("train.py", [], {}, "wanted train.py:NAME for the workload of that name in it, or for a script --command"),
        ("none.toml", [], {}, "there is no such file"),
        ("d.toml", ["model=mlp"], {}, "d.toml has its settings in its file"),
        (None, ["model=mlp"], {"command": "train"}, "train has its settings in its command"),
        ("digits", ["model"], {}, "wanted NAME=VALUE"),
        ("digits", ["model=mlp", "model=cnn"], {}, "model is given more than once"),
        ("digits", ["model=rnn", "nois=1"], {}, "workload digits: 2 problems"),
        ("digits", [], {"synthetic": True}, "digits has no random data in its place; these have: mnist"),
        (None, [], {"command": "train", "synthetic": True}, "train is a script"),
        (None, [], {"command": "train {rate}"}, "nobody knows {rate} here"),
    ],
)
def test_what_cannot_be_meant_says_what_is_wanted(
    given: str | None, sets: list[str], options: dict[str, object], told: str
) -> None:
    """Before any process is started."""
    write("train.py", "")
    write("d.toml", DIGITS)
    with pytest.raises(InvalidInput) as refused:
        read_target(given, sets, **options)  # type: ignore[arg-type]
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("file", "options", "optimizer", "told"),
    [
        (DIGITS, RangeOptions(steps=30, seeds=0, low=5.0, high=1.0), None, "range: 3 problems"),
        (DIGITS, RangeOptions(metric="val_loss"), None, "a workload's training loss is read"),
        (DIGITS, RangeOptions(), "adagrat", "there is no such optimizer"),
        (FLAGS, RangeOptions(), None, "none of them is a growing one"),
        (SCRIPT.format(study="", space=""), RangeOptions(), "sgd", "has an optimizer of its own"),
        (
            SCRIPT.format(study='metric = "val_acc"\ndirection = "maximize"', space=""),
            RangeOptions(),
            None,
            "val_acc is better when it is larger; name a loss",
        ),
    ],
)
def test_what_cannot_be_tested_is_refused_before_anything_is_started(
    file: str, options: RangeOptions, optimizer: str | None, told: str
) -> None:
    """Everything that is wrong with the numbers at once."""
    executor = LocalExecutor("cpu")
    with pytest.raises(InvalidInput) as refused:
        run_range(read_target(write("s.toml", file)), executor, options, optimizer=optimizer)
    assert told in str(refused.value)
    assert executor.pid is None


def test_a_check_needs_two_steps() -> None:
    """Of one there is nothing to be measured."""
    with pytest.raises(InvalidInput, match="--steps is 1; wanted a number from 2"):
        check_workload(read_target("digits"), optimizer=None, steps=1, device="cpu", data=None)


@pytest.mark.parametrize(
    ("command", "passed"),
    [
        (Command("python train.py"), True),
        (Command("python train.py {lr_table}"), None),
        (Command("python train.py", families={"cosine": "--cosine"}), None),
    ],
)
def test_a_script_that_was_not_started_has_passed_nothing(command: Command, passed: bool | None) -> None:
    """Only a script that calls ``attach`` is asked."""
    facts = WorkloadFacts("command", {}, 1, "", 1, 100, {})
    found = ScriptReport(read_target(None, command="python train.py"), command, facts).to_json()
    assert found["passed"] is passed
    assert found["checks"]["answers"]["passed"] is passed


def test_a_new_file_is_written_where_it_can_be() -> None:
    """A folder that is not there is said."""
    with pytest.raises(InvalidInput, match=r"no/mine\.py cannot be written \(No such file or directory\)"):
        write_workload(Path("no/mine.py"))
