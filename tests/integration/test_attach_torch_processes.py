"""``lrsweep.attach`` where several processes train together, as torchrun and ``mp.spawn`` start them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lrsweep.scripts.plan_file import VARIABLE
from lrsweep.scripts.reports import Begin, End, Report
from tests.plans import plan_in, said

REPOSITORY = Path(__file__).parents[2]

# Each update waits for the other process, so one that leaves alone hangs the other. Each has a loader with a worker.
SCRIPT = """
import os, sys, torch, lrsweep
import torch.distributed as dist
import torch.multiprocessing as mp

run = lrsweep.attach(peak_lr=0.1)

class Data(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, at):
        run.report(0, val_loss=9.0)
        return torch.ones(2)

def train(rank, rendezvous):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    for batch in torch.utils.data.DataLoader(Data(), num_workers=1, multiprocessing_context="fork"):
        pass
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    run.torch(optimizer)
    while not run.should_stop:
        weight.grad = torch.ones(2)
        dist.all_reduce(weight.grad)
        optimizer.step()
        if run.updates == 50:
            run.report(50, val_loss=0.5 + rank)
    with open(f"left.{rank}", "w") as file:
        file.write(str(run.updates))
    dist.destroy_process_group()

if __name__ == "__main__":
    if "RANK" in os.environ:
        train(int(os.environ["RANK"]), "env://")
    else:
        mp.spawn(train, ("file://" + os.path.abspath("rendezvous"),), nprocs=2)
"""

LAUNCHERS = {"torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"], "spawn": []}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_all_processes_leave_at_the_same_update_and_the_first_alone_reports(tmp_path: Path, launcher: str) -> None:
    """The stop comes at a time of its own; neither waits for the other for ever."""
    plan = plan_in(tmp_path, total_steps=1_000_000)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    outer = {name: value for name, value in os.environ.items() if not name.startswith("LRSWEEP_")}
    process = subprocess.Popen(
        [sys.executable, *LAUNCHERS[launcher], str(script)],
        cwd=tmp_path,
        env=outer | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", VARIABLE: str(plan.folder / "plan.json")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        give_up = time.monotonic() + 240
        while len(said(plan)) < 2 and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.05)
        plan.stop.touch()
        output, _ = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 0, output
    left = [int((tmp_path / f"left.{rank}").read_text()) for rank in range(2)]
    assert left[0] == left[1] >= 50
    begins = [Begin(1)] * (2 if launcher == "spawn" else 1)  # the script's own process, and the first that trains
    assert said(plan) == [*begins, Report(50, {"val_loss": 0.5}, 50), End(left[0])]
