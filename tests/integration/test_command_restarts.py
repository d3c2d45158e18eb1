"""A script that is started again, or gives way, under torchrun: two real processes, and the engine's verdict."""

from __future__ import annotations

import sys
from pathlib import Path

from lrsweep.engines.command.endings import Cut
from lrsweep.records import Status
from lrsweep.scripts.command import Command
from tests.scripted_commands import run

# numpy alone: torchrun is what has an exit code and restarts of its own.
SCRIPT = """
import os, sys, time, lrsweep
run = lrsweep.attach(peak_lr=0.1)
restart, is_first = int(os.environ["TORCHELASTIC_RESTART_COUNT"]), os.environ["RANK"] == "0"
for step in range(10, 41, 10):
    if step == 30 and sys.argv[1] == "gives way":
        time.sleep(2 * is_first)  # it saves; torchrun looks every 0.1 s whether another has failed
        run.preempted()
    if step == 30 and restart == 0 and is_first:
        sys.exit(3)
    run.report(step, val_loss=1 / (step + restart))
"""


def under_torchrun(folder: Path, *options: str) -> Command:
    script = folder / "train.py"
    script.write_text(SCRIPT)
    *flags, argument = options
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *flags]
    return Command(f"{' '.join(launcher)} {script} '{argument}'")


def test_a_script_that_gives_way_under_torchrun_is_preempted(tmp_path: Path) -> None:
    """Its processes end with 75 and torchrun with 1; that is no death, and no failure."""
    ran = run(under_torchrun(tmp_path, "gives way"), tmp_path / "training")
    assert ran.cut == Cut("it was preempted: the script gave way after 20 updates", is_death=False)


def test_a_script_that_torchrun_starts_again_goes_back_within_its_attempt(tmp_path: Path) -> None:
    """It ends with 3 after 20 updates and begins anew without a checkpoint: the second time is the curve."""
    ran = run(under_torchrun(tmp_path, "--max-restarts=1", "trains"), tmp_path / "training")
    assert ran.cut is None
    assert ran.outcome.status is Status.COMPLETED, ran.outcome.error
    assert ran.curve.evaluation_steps.tolist() == [10, 20, 30, 40]
    assert ran.curve.evaluations["val_loss"].tolist() == [1 / 11, 1 / 21, 1 / 31, 1 / 41]
