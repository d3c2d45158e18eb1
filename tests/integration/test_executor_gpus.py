"""Scripts that want several GPUs each: four that are pretended, and nobody ever has one that another has."""

from __future__ import annotations

import itertools
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from lrsweep.executors.local import LocalExecutor
from lrsweep.records import Record, Status
from lrsweep.scripts.command import Command
from tests.scripted_commands import PATIENCE, a_plan

MEETS = """
import os, pathlib, sys, time
folder, name, partner = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
began = time.monotonic()
(folder / f"{name}.began").touch()
while not (folder / f"{partner}.began").exists():
    time.sleep(0.01)
time.sleep(0.2)
(folder / f"{name}.ran").write_text(f"{os.environ['CUDA_VISIBLE_DEVICES']} {began} {time.monotonic()}")
print('{"step": 40, "val_loss": 1.0}')
"""
"""Ends only if its partner, which it may be itself, runs at the same time."""


def test_trainings_of_one_and_of_two_gpus_never_share_one(tmp_path: Path) -> None:
    """Two of two GPUs run side by side, and two of one. Beside each other, on the same four, one of one GPU may have to
    wait for one of two that has its first and waits for its second."""
    script = tmp_path / "meets.py"
    script.write_text(MEETS)
    text = f"{sys.executable} -I -S {script} {tmp_path} {{name}} {{partner}} {{lr_table}}"
    pairs, alone = {("a", "b"): 2, ("e", "f"): 2, ("g", "h"): 1}, "cd"
    wanted = {name: (name, 1) for name in alone}
    for pair, gpus in pairs.items():
        wanted |= {name: (partner, gpus) for name, partner in (pair, pair[::-1])}
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    ended: dict[str, Status] = {}
    with closing(LocalExecutor("cpu", environ=environ, scratch=tmp_path / "scratch")) as executor:
        commands = {gpus: Command(text, steps=40, gpus_per_training=gpus) for gpus in (1, 2)}
        for command in commands.values():  # before any training may have something to say
            assert executor.describe(command.spec()).horizon == 40
        for names in ("abcdef", "gh"):
            for name in names:
                partner, gpus = wanted[name]
                extra = {"name": name, "partner": partner}
                executor.submit(a_plan(commands[gpus], tmp_path / name, training_id=name, extra=extra))
                assert executor.free == 4 // gpus - len(executor.in_flight)
            give_up = time.monotonic() + PATIENCE
            while executor.in_flight:
                assert time.monotonic() < give_up
                for message in executor.poll(0.05):
                    assert isinstance(message, Record), message
                    if message.outcome is not None:
                        ended[message.training_id] = message.outcome.status
    assert ended == dict.fromkeys(wanted, Status.COMPLETED)
    ran: dict[str, tuple[set[str], float, float]] = {}
    for name, (_, gpus) in wanted.items():
        devices, began, over = (tmp_path / f"{name}.ran").read_text().split()
        ran[name] = set(devices.split(",")), float(began), float(over)
        assert len(ran[name][0]) == gpus
    for first, second in itertools.combinations(ran.values(), 2):
        (one, begun, ended_at), (other, begun_too, ended_at_too) = first, second
        assert not one & other or ended_at <= begun_too or ended_at_too <= begun
