"""``lrsweep new workload`` and ``lrsweep check-workload`` as one types them, one after the other."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from lrsweep.cli.new import class_in
from tests.commands import lrsweep as run

BROKEN = '''
from {module} import {name}


class Broken({name}):
    """Its noise has a name's hash() for a seed, and its model counts its calls in an attribute."""

    def model(self, seed):
        model = super().model(seed)
        model.calls = 0
        model.register_forward_hook(count)
        return model

    def loss(self, outputs, targets):
        return super().loss(outputs, targets) * (1 + hash("noise") % 1000 / 1000)


def count(model, inputs, outputs):
    model.calls += 1
    return outputs * (1 + 0.01 * model.calls) if model.training else outputs
'''


RENAMED = '''
from collections import OrderedDict

import torch
from {module} import {name}


class Renamed({name}):
    """Its state_dict has other names in each process."""

    def model(self, seed):
        return torch.nn.Sequential(OrderedDict([(f"net{{abs(hash('net'))}}", super().model(seed))]))
'''


def test_a_new_workload_passes_every_check(tmp_path: Path) -> None:
    """What ``new`` writes trains as it is; the object says so, alone on standard output, and ``new`` overwrites
    nothing."""
    home = tmp_path / "home"
    written = run("new", "workload", "mine.py", home=home)
    assert (written.code, written.err) == (0, "")
    text = (tmp_path / "mine.py").read_text()
    given = f"mine.py:{class_in(text)}"
    assert f"lrsweep check-workload {given}" in written.out
    assert f'workload = "{given}"' in written.out

    again = run("new", "workload", "mine.py", home=home)
    assert (again.code, again.out, (tmp_path / "mine.py").read_text()) == (64, "", text)
    assert "is there already" in again.err

    ran = run("check-workload", given, "--device", "cpu", "--json", home=home)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert {name: check["passed"] for name, check in found["checks"].items()} == dict.fromkeys(
        (
            "weights_follow_the_seed",
            "batches_stand_alone",
            "evaluate_only_looks",
            "parts_are_apart",
            "examples_add_up",
            "seeds_reproduce",
            "fused_equals_sequential",
            "processes_agree",
            "resumes",
        ),
        True,
    )
    assert (found["passed"], found["seeds_reproduce"], found["engine"]) == (True, True, "fused")
    assert (found["fused_equals_sequential"], found["fused_reason"]) == (True, None)
    assert found["steps_per_second"] > 1
    assert found["fused"]["slots"] == 4
    assert found["fused"]["steps_per_second"] > 1
    assert found["memory"]["process_peak_bytes"] > 1e8
    assert (found["workload"], found["device"], found["optimizer"]) == (given, "cpu", "sgd")


def test_what_only_another_process_shows_fails_with_exit_code_70(tmp_path: Path) -> None:
    """Both faults repeat within a process; the report comes first, and then the sentence with their names. That such a
    model cannot be fused is told, and is no fault."""
    home = tmp_path / "home"
    assert run("new", "workload", "mine.py", home=home).code == 0
    name = class_in((tmp_path / "mine.py").read_text())
    (tmp_path / "broken.py").write_text(BROKEN.format(module="mine", name=name))
    ran = run("check-workload", "broken.py:Broken", "--device", "cpu", home=home)
    assert ran.code == 70, ran.err
    marks = dict(line.split()[1::-1] for line in ran.out.splitlines() if line.startswith("  "))
    assert marks.pop("processes_agree") == "FAIL"
    assert marks.pop("resumes") == "FAIL"
    assert marks.pop("fused_equals_sequential") == "?"
    assert "trained one after the other: two models side by side do not give what each gives alone" in ran.out
    assert marks == dict.fromkeys(marks, "ok")
    assert ran.err.strip() == "lrsweep: broken.py:Broken fails 2 of 9: processes_agree, resumes"


def test_a_checkpoint_that_was_not_found_is_told_as_that(tmp_path: Path) -> None:
    """Another model's is not used, so nothing was compared; the advice is about names."""
    home = tmp_path / "home"
    assert run("new", "workload", "mine.py", home=home).code == 0
    name = class_in((tmp_path / "mine.py").read_text())
    (tmp_path / "renamed.py").write_text(RENAMED.format(module="mine", name=name))
    ran = run("check-workload", "renamed.py:Renamed", "--device", "cpu", "--json", home=home)
    assert ran.code == 70, ran.err
    checks = json.loads(ran.out)["checks"]
    assert [name for name, check in checks.items() if check["passed"] is not True] == ["resumes"]
    assert checks["resumes"]["text"].startswith("no checkpoint was found to go on from")


def test_a_script_is_asked_and_not_trained(tmp_path: Path) -> None:
    """Its own peak rate gives the range; what stands below its call of ``attach`` does not run."""
    (tmp_path / "train.py").write_text(
        "import lrsweep\nlrsweep.attach(peak_lr=0.02, total_steps=500)\nopen('trained', 'w').close()\n"
    )
    (tmp_path / "s.toml").write_text(
        '[study]\nname = "s"\n[study.workload]\ncommand = "python train.py"\n[budget]\ntrials = 2\n'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = run("check-workload", "s.toml", "--json", home=tmp_path / "home", environ={"PATH": path})
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["engine"], found["steps"], found["metric"]) == ("command", 500, "val_loss")
    assert (found["seeds_reproduce"], found["steps_per_second"]) == (None, None)
    [limits] = found["peak_lr"].values()
    assert limits[0] <= 0.02 <= limits[1]
    assert not (tmp_path / "trained").exists()


def test_what_cannot_be_checked_is_told_in_a_sentence(tmp_path: Path) -> None:
    """64, and nothing on standard output: a workload that is not there, one that cannot be loaded, a file's name."""
    (tmp_path / "mine.py").write_text("")
    for arguments, told in (
        (("check-workload", "digit"), "Did you mean 'digits'?"),
        (("check-workload", "mine.py:Mine"), "there is no 'Mine' in it"),
        (("new", "workload", "mine.txt"), "ends in .py"),
    ):
        ran = run(*arguments, home=tmp_path / "home")
        assert (arguments, ran.code, ran.out) == (arguments, 64, "")
        assert told in ran.err
        assert "Traceback" not in ran.err
