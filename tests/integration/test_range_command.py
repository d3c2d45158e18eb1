"""``lrsweep range`` as a person or a program types it: real trainings in real processes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from lrsweep.engines.range_test import growing
from tests.commands import lrsweep as run

SCRIPT = """\
import lrsweep

run = lrsweep.attach(peak_lr=0.1, total_steps=500)
x, speed = 1.0, 1.0
for step in range(run.total_steps):
    loss = x * x / 2
    x -= run.rate(step) * x
    if (step + 1) % {every} == 0:
        run.report(step + 1, train_loss=loss)
    if step + 1 == 101:
        run.report(step + 1, other=1.0)
run.report(run.total_steps, val_loss=x * x / 2)
"""
"""Gradient descent on x²/2: it falls within 1/rate steps, and diverges above a rate of 2. One report is of something
else, and says nothing of the loss."""


def with_python(folder: Path) -> dict[str, str]:
    """An environment in which ``python`` is ours, as in the one that a user has activated."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def write_script(folder: Path, every: int) -> str:
    (folder / "train.py").write_text(SCRIPT.format(every=every))
    return "python train.py"


def test_a_built_in_workload_gets_a_range_around_its_best_rates(tmp_path: Path) -> None:
    """SGD trains the digits best between 0.05 and 0.2; the object on standard output has the curve that says so."""
    options = ("--seeds", "1", "--steps", "150", "--low", "1e-5", "--device", "cpu", "--json", "--png", "a.png")
    ran = run("range", "digits", *options, home=tmp_path / "home")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    low, high = found["suggested"]
    assert low < 0.05
    assert high > 0.2
    assert low < found["steepest"]["rate"] < found["lowest"]["rate"] < found["divergence"]["rate"] < 10
    assert low < found["peak_lr"] < high
    [curve] = found["curves"]
    # a loss is measured before its step's update: the first comes before all rates, and none comes after the last
    assert curve["rates"] == growing(1e-5, 10.0, 150).rates(150, peak_lr=10.0).tolist()[:149]
    assert len(curve["losses"]) == 149
    assert found["settings"] == {"model": "mlp", "noise": 0.0}
    assert (found["optimizer"], found["metric"], found["device"]) == ("sgd", "train_loss", "cpu")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


PROBE = """\
import torch
from lrsweep.records import WorkloadFacts
from lrsweep.workloads.base import Workload, evaluating


class Probe(Workload):
    \"\"\"Its loss is its one weight, whose gradient is 1: after updates at rates r, s it is 3 - r - s.\"\"\"

    def __init__(self, settings, device, data):
        self.device = device
        self.facts = WorkloadFacts("", {}, 1, "one", 1, 40, {"sgd_plain": (0.1, 1.0)}, {"loss": "minimize"})

    def model(self, seed):
        model = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(model.weight, 3.0)
        return model

    def batch(self, seed, step):
        return torch.ones(1, 1), torch.ones(1, 1)

    def loss(self, outputs, targets):
        return outputs.sum()

    def evaluate(self, model, half):
        with evaluating(model):
            return {"loss": model.weight.item()}
"""


def test_each_rate_has_the_loss_after_its_update(tmp_path: Path) -> None:
    """What a rate does is seen in the loss of the step after it: a point is 3 minus all rates up to its own."""
    (tmp_path / "probe.py").write_text(PROBE)
    options = ("--optimizer", "sgd_plain", "--seeds", "1", "--steps", "31", "--low", "0.001", "--high", "0.1")
    ran = run("range", "probe.py:Probe", *options, "--device", "cpu", "--json", home=tmp_path / "home")
    assert ran.code == 0, ran.err
    [curve] = json.loads(ran.out)["curves"]
    assert len(curve["rates"]) == 30
    assert curve["losses"] == pytest.approx(3 - np.cumsum(curve["rates"]), abs=1e-5)


def test_random_data_suggest_no_rate(tmp_path: Path) -> None:
    """The object says that they were random, and in words why there is no rate."""
    options = ("--synthetic", "--set", "model=mlp", "--seeds", "1", "--steps", "31", "--device", "cpu", "--json")
    ran = run("range", "mnist", *options, home=tmp_path / "home")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["settings"]["synthetic"] is True
    assert (found["suggested"], found["peak_lr"]) == (None, None)
    assert found["notes"] == ["the data are random: the speed alone means anything, and no rate is suggested"]


def test_a_script_is_read_by_what_it_reports(tmp_path: Path) -> None:
    """Rates grow through ``attach``; what is shown ends with the lines for a study file, and nothing is left behind."""
    command = write_script(tmp_path, every=2)
    options = ("--command", command, "--metric", "train_loss", "--seeds", "1", "--steps", "200", "--low", "1e-4")
    ran = run("range", *options, home=tmp_path / "home", environ=with_python(tmp_path))
    assert ran.code == 0, ran.err
    assert ran.out.startswith("python train.py, a script: train_loss over 200 growing rates, 1 seed\n")
    assert "[space]\n    peak_lr = [" in ran.out
    low, high = json.loads(ran.out.rpartition("peak_lr = ")[2])
    assert low < 0.1 < high < 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.py"]


def test_a_script_that_reports_too_seldom_is_told_how_often(tmp_path: Path) -> None:
    """Exit code 64, both numbers, and both remedies."""
    command = write_script(tmp_path, every=50)
    options = ("--command", command, "--metric", "train_loss", "--seeds", "1", "--steps", "300")
    ran = run("range", *options, home=tmp_path / "home", environ=with_python(tmp_path))
    assert (ran.code, ran.out) == (64, "")
    assert "train_loss 6 times in 300 updates, and a curve of 300 needs 30. Report it every 10 updates" in ran.err
    assert "--steps 1500" in ran.err


def test_what_cannot_be_tested_is_told_in_a_sentence(tmp_path: Path) -> None:
    """64, and nothing on standard output, whether the option or its value is wrong."""
    for arguments in (
        ("range", "digits", "--seeds", "many"),
        ("range", "digits", "--png", "a.svg"),
        ("range", "digit"),
    ):
        ran = run(*arguments, home=tmp_path / "home")
        assert (arguments, ran.code, ran.out) == (arguments, 64, "")
        assert ran.err
        assert "Traceback" not in ran.err


def test_a_script_that_does_not_attach_is_told_to(tmp_path: Path) -> None:
    """It ends in order, and would have trained at rates of its own."""
    (tmp_path / "train.py").write_text("print('nothing')")
    ran = run("range", "--command", "python train.py", home=tmp_path / "home", environ=with_python(tmp_path))
    assert (ran.code, ran.out) == (64, "")
    assert "lrsweep.attach" in ran.err
