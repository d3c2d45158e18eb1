"""``studies/own-script``: a script as people write it, the same with five lines for ``attach``, and its sweep."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lrsweep.schedules import schedule
from lrsweep.scripts.plan_file import VARIABLE, PlanFile, write_plan_file
from lrsweep.study import parse_study
from tests.commands import lrsweep

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "studies" / "own-script"
STEPS = 20
ARGUMENTS = ("--eval-every", "4", "--steps", str(STEPS), "--seed", "3", "--lr", "0.02")

REPORT = re.compile(r"step (\d+) lr (\S+) train (\S+) val (\S+) acc (\S+)")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("LRSWEEP_", "MLFLOW_"))} | {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",  # two runs on a GPU need not agree to the last digit
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # `python` in the study is this one
}


@dataclass(frozen=True)
class Printed:
    reports: list[tuple[str, ...]]
    final: str


def run_script(name: str, folder: Path, *arguments: str, plan: Path | None = None) -> Printed:
    """Runs it in an empty folder and reads what it prints, without the seconds."""
    environ = ENVIRON | ({} if plan is None else {VARIABLE: str(plan)})
    command = [sys.executable, str(EXAMPLE / name), *arguments]
    ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return Printed(REPORT.findall(ran.stdout), ran.stdout.splitlines()[-1].rpartition(" in ")[0])


def lines_of(name: str) -> list[str]:
    return (EXAMPLE / name).read_text(encoding="utf-8").splitlines()


def test_five_lines_make_the_script_part_of_a_sweep() -> None:
    """As ``diff`` counts, five lines are new, none of them empty; only the script's own schedule is gone."""
    difference = [line for line in difflib.ndiff(lines_of("before.py"), lines_of("train.py")) if line[0] in "+-"]
    added = [line[2:].strip() for line in difference if line.startswith("+")]
    removed = [line[2:].strip() for line in difference if line.startswith("-")]
    assert len(added) == 5
    assert all(added)
    assert removed == [
        "from torch.optim.lr_scheduler import LambdaLR",
        "warmup = args.steps // 10",
        "",
        "def warmup_cosine(step):",
        "if step < warmup:",
        "return (step + 1) / (warmup + 1)",
        "return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (args.steps - warmup)))",
        "",
        "scheduler = LambdaLR(optimizer, warmup_cosine)",
    ]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """What the script of before prints."""
    return run_script("before.py", tmp_path_factory.mktemp("before"), *ARGUMENTS)


def test_outside_a_sweep_both_train_the_same(before: Printed, tmp_path: Path) -> None:
    """Every rate and loss that the two print is the same, and the changed one leaves no file behind."""
    assert run_script("train.py", tmp_path, *ARGUMENTS) == before
    assert [step for step, *_ in before.reports] == ["4", "8", "12", "16", "20"]
    assert list(tmp_path.iterdir()) == []


def test_in_a_sweep_the_plan_holds_and_not_the_arguments(before: Printed, tmp_path: Path) -> None:
    """With a plan of the same schedule, peak rate, horizon and seed, other arguments change nothing; each evaluation is
    reported with the updates done."""
    plan = PlanFile(
        tmp_path / "training", schedule=schedule("cosine", warmup=0.1), peak_lr=0.02, total_steps=STEPS, seed=3
    )
    other_arguments = ("--eval-every", "4", "--steps", "30", "--seed", "4", "--lr", "0.001")
    assert run_script("train.py", tmp_path, *other_arguments, plan=write_plan_file(plan)) == before

    reported = [json.loads(line) for line in plan.reports.read_text(encoding="utf-8").splitlines()]
    evaluations = [each for each in reported if "metrics" in each]
    assert [(each["step"], each["updates"]) for each in evaluations] == [(4, 4), (8, 8), (12, 12), (16, 16), (20, 20)]
    assert [f"{each['metrics']['val_loss']:.4f}" for each in evaluations] == [loss for *_, loss, _ in before.reports]
    assert reported[-1]["end"] == 20


def test_a_sweep_of_the_script_completes(tmp_path: Path) -> None:
    """The study file as it is, but with 3 trials of few steps, through the real command: every trial is trained."""
    text = (EXAMPLE / "study.toml").read_text(encoding="utf-8")
    text = text.replace("python studies/own-script/train.py", f"python {EXAMPLE / 'train.py'} --eval-every 2")
    text = re.sub(r"steps = \d+", "steps = 6\nconcurrency = 2", re.sub(r"trials = \d+", "trials = 3", text))
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    ran = lrsweep("run", str(tmp_path / "study.toml"), "--json", home=tmp_path / "home", environ=ENVIRON)
    assert ran.code == 0, ran.out + ran.err
    assert ran.answer["trials"] == 3
    assert ran.answer["best"]["optimizer"] == "script"
    assert 3e-4 <= ran.answer["best"]["peak_lr"] <= 3e-2


@pytest.mark.parametrize(
    "text", re.findall(r"```toml\n(.*?)```", (EXAMPLE.parent / "README.md").read_text("utf-8"), re.S)
)
def test_every_study_in_the_readme_is_one(text: str) -> None:
    """The examples, of which some need GPUs and data, have no problem that reading the file could find."""
    parse_study(text, "README.md")
