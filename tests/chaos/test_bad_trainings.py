"""Trainings that go wrong in every way at once, with real engines: each has its own outcome, and the sweep ends."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from lrsweep.records import Status, TrainingRow
from tests.agreement import results
from tests.drivers import STALL, Home

STUDY = """\
[study]
name = "tiny"
workload = "bad.py:Bad"
seed = 7
horizon = 30
[search]
fidelity = "full"
[space]
families = ["constant", "cosine"]
optimizers = ["sgd"]
peak_lr = {{sgd = [0.01, 0.1]}}
[budget]
trials = {trials}
[selection]
finalists = 0
"""

FATES = ("nan", "huge", "memory", "hangs once", "well")
WORKLOAD = f"""
import time
from pathlib import Path

import torch

from lrsweep.workloads.digits import Digits

HUNG = Path(__file__).with_name("hung")


class Bad(Digits):
    def __init__(self, settings, device, data):
        super().__init__({{"model": "mlp", "noise": 0.0}}, device, data)

    def batch(self, seed, step):
        inputs, targets = super().batch(seed, step)
        fate = {FATES}[seed % {len(FATES)}]
        if step == 20 and fate == "memory":
            torch.empty(10**15)
        if step == 20 and fate == "hangs once" and not HUNG.exists():
            HUNG.touch()
            time.sleep(3600)
        if step >= 20 and fate in ("nan", "huge"):
            inputs = inputs * (float("nan") if fate == "nan" else 1e38)
        return inputs, targets
"""


@pytest.mark.chaos
def test_whatever_happens_to_a_training_it_has_one_outcome(tmp_path: Path) -> None:
    """NaN and infinite losses diverge, with the step; memory that is not there fails after its third attempt, with
    what it said; a step that hangs costs its engine and is trained again; all others complete."""
    home = Home(tmp_path, trials=8, study=STUDY)
    (tmp_path / "bad.py").write_text(WORKLOAD)
    ran = home.run("--json", seconds=500, **{STALL: "30"})
    assert ran.code == 0, ran.err
    home.assert_whole()
    by_fate: dict[str, list[TrainingRow]] = defaultdict(list)
    with results(home.path) as store:
        for row in store.trainings("tiny"):
            by_fate[FATES[row.seed % len(FATES)]].append(row)
        reasons = [event.data["reason"] for event in store.events("tiny") if event.kind == "training_queued_again"]
    assert set(by_fate) == set(FATES), "another seed of the study has trials of every kind"
    for fate in ("nan", "huge"):
        assert all(row.status is Status.DIVERGED and " at step 2" in (row.reason or "") for row in by_fate[fate]), fate
    for row in by_fate["memory"]:
        assert (row.status, row.attempt) == (Status.FAILED, 3)
        assert "memory" in (row.error or "").partition("\n")[0]
    assert {row.status for row in by_fate["well"] + by_fate["hangs once"]} == {Status.COMPLETED}
    assert max(row.attempt for row in by_fate["hangs once"]) == 2
    assert "the engine made no step for 30 s and was killed" in reasons
