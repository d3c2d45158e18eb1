"""What the monkey's sweeps train: handwritten digits, with a pause in each update, so that a kill meets it in the
middle, and a checkpoint every few of them.

Rounds take turns between two studies. In ``alike`` nothing depends on the order in which results come: a point is drawn
by its trial's number and nothing is halted, so that the whole sweep can be compared with an undisturbed one.
``searching`` is a sweep as it is by default, with rungs, halving and a sampler that learns; there every training is
compared with what its own plan gives.
"""

from __future__ import annotations

from pathlib import Path

NAME = "monkey"
KINDS = ("alike", "searching")
PAUSE = "MONKEY_PAUSE"
"""An environment variable: seconds of each update in which nothing happens."""
PAUSE_SECONDS = 0.012

STUDIES = {
    "alike": """\
[study]
name = "monkey"
workload = "slow.py:Slow"
horizon = 100
seed = {seed}
[space]
families = ["constant", "cosine", "wsd", "plateau"]
[search]
sampler = "points.ByNumber"
pruner = "none"
fidelity = "full"
fit_exponent = false
[budget]
trials = {trials}
[selection]
share = 0.2
finalists = 3
seeds = 2
racing = false
""",
    "searching": """\
[study]
name = "monkey"
workload = "slow.py:Slow"
horizon = 120
seed = {seed}
[space]
families = ["constant", "cosine", "wsd", "plateau"]
[search]
rungs = 2
[budget]
trials = {trials}
[selection]
share = 0.2
finalists = 3
seeds = 2
""",
}

WORKLOAD = """\
import os
import time

from lrsweep.engines import checkpoints
from lrsweep.workloads.digits import Digits

checkpoints.CHECKPOINT_SECONDS = 0.2
PAUSE = float(os.environ.get("MONKEY_PAUSE", "0"))


class Slow(Digits):
    def __init__(self, settings, device, data):
        super().__init__({"model": "mlp", "noise": 0.0}, device, data)

    def batch(self, seed, step):
        time.sleep(PAUSE)
        return super().batch(seed, step)
"""

POINTS = '''\
import zlib

from optuna.samplers import BaseSampler, RandomSampler


class ByNumber(BaseSampler):
    """Draws each parameter by the trial's number alone, whatever came before."""

    def __init__(self, seed):
        del seed  # it grows with the number of trials that a start has found

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, name, distribution):
        seed = zlib.crc32(f"{trial.number} {name}".encode())
        return RandomSampler(seed=seed).sample_independent(study, trial, name, distribution)
'''


def write(folder: Path, kind: str, *, seed: int, trials: int) -> Path:
    """The study file, with the modules that it names beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slow.py").write_text(WORKLOAD)
    (folder / "points.py").write_text(POINTS)
    file = folder / f"{NAME}.toml"
    file.write_text(STUDIES[kind].format(seed=seed, trials=trials))
    return file
