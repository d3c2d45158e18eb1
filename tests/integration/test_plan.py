"""`lrsweep plan`, as one types it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lrsweep.cli.new import write_study
from tests.commands import lrsweep, query


def test_a_new_study_is_planned_without_training_or_making_anything(tmp_path: Path) -> None:
    """90 trainings of the digits' 600 updates; the home is not made."""
    home = tmp_path / "home"
    write_study(tmp_path / "mine.toml")
    ran = lrsweep("plan", "mine.toml", "--json", "--steps-per-second", "100", "--price-per-hour", "2", home=home)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert (found["study"], found["horizon"], found["total_steps"]) == ("mine", 600, 54_000)
    assert (found["cost"]["seconds"], found["cost"]["money"], found["warnings"]) == (540.0, 0.3, [])
    assert len(found["families"]) == 8
    assert (found["next"]["run"], found["next"]["why_new"]) == ("new", "first")
    assert not home.exists()


SCRIPT = """
import lrsweep

lrsweep.attach(peak_lr=0.5, total_steps=90, settings={"momentum": 0.9})
"""

FAULTY = f"""
[study]
name = "mine"
direction = "up"
[study.workload]
command = '"{sys.executable}" train.py'
[space.extra]
momentun = [0.0, 0.9]
[search]
sampler = "my_samplers.Mine"
[search.pruner]
name = "median"
n_startup_trials = "x"
[budget]
trials = 2
"""


def test_a_look_shows_what_the_file_the_script_and_the_search_say(tmp_path: Path) -> None:
    """The script is asked although the file has a problem; nothing is made."""
    home = tmp_path / "home"
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "faulty.toml").write_text(FAULTY)
    ran = lrsweep("plan", "faulty.toml", home=home)
    assert ran.code == 64
    places = [line.strip().split(": ")[0] for line in ran.err.splitlines()[1:]]
    assert places == [
        "line 4, study.direction",
        "line 8, space.extra.momentun",
        "line 10, search.sampler",
        "line 11, search.pruner",
    ]
    assert not home.exists()


def test_a_run_refuses_a_sampler_before_there_is_a_sweep(tmp_path: Path) -> None:
    """In the words of the plan, and the script has not been started for a training."""
    home = tmp_path / "home"
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "mine.toml").write_text(FAULTY.replace('direction = "up"\n', "").replace("momentun", "momentum"))
    planned, ran = lrsweep("plan", "mine.toml", home=home), lrsweep("run", "mine.toml", home=home)
    assert planned.code == ran.code == 64
    assert "line 9, search.sampler: 'my_samplers.Mine' cannot be made: importing" in planned.err
    assert planned.err.strip() in ran.err
    assert query(home, "SELECT count(*) FROM lrs_sweep") == 0


def test_a_study_of_digits_is_planned_without_torch(tmp_path: Path) -> None:
    """Which takes seconds to import, and here cannot be. Of a GPU that is named it has to say whether there is one."""
    write_study(tmp_path / "mine.toml")
    (tmp_path / "no_torch").mkdir()
    (tmp_path / "no_torch" / "torch.py").write_text("raise ImportError('torch was imported')")
    environ = {"PYTHONPATH": str(tmp_path / "no_torch")}
    ran = lrsweep("plan", "mine.toml", "--json", home=tmp_path / "home", environ=environ)
    assert (ran.code, json.loads(ran.out)["horizon"]) == (0, 600), ran.err
    named = lrsweep("plan", "mine.toml", "--device", "cuda:77", home=tmp_path / "home")
    assert named.code == 64
    assert "--device is 'cuda:77', but PyTorch cannot use it" in named.err
