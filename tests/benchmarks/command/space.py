"""The question that both contenders answer, and what a point of it means as rates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from lrsweep.records import Json, WorkloadFacts
from lrsweep.space import candidate, peak_lr_name, peak_of
from lrsweep.study import ResolvedStudy, parse_study
from tests.benchmarks.command.training import DATA, HORIZON

PEAK_LR = (0.002, 2.0)
TRAIN = 1152
RATE_EXPONENT = 0.5
"""Of SGD."""
FINALS_SHARE = 0.4
"""Of the budget, on both sides."""

STUDY = """\
[study]
name = "command"
metric = "val_loss"
direction = "minimize"

[study.workload]
command = "{python} -m tests.benchmarks.command.attached"
rate_exponent = {exponent}

[space]
peak_lr = [{low}, {high}]

[budget]
wall_clock = "{seconds}s"
"""


def write_data(folder: Path) -> None:
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    inputs, labels = (pixels[order] / 16).astype(np.float32), labels[order].astype(np.int64)
    np.savez(
        folder / DATA,
        inputs=inputs[:TRAIN],
        labels=labels[:TRAIN],
        val_inputs=inputs[TRAIN:],
        val_labels=labels[TRAIN:],
    )


def study_file(python: str, seconds: float) -> str:
    low, high = PEAK_LR
    return STUDY.format(python=python, exponent=RATE_EXPONENT, low=low, high=high, seconds=f"{seconds:g}")


def rivals_study() -> ResolvedStudy:
    """The same space for a search that knows nothing of commands."""
    text = f'[study]\nname = "rival"\nworkload = "digits"\nhorizon = {HORIZON}\n[space]\noptimizers = ["sgd"]\n'
    text += f"[space.peak_lr]\nsgd = {list(PEAK_LR)}\n[budget]\ntrials = 1\n"
    facts = WorkloadFacts(
        name="digits",
        settings={},
        version=1,
        data_hash="",
        batch_size=64,
        horizon=HORIZON,
        peak_lr={"sgd": PEAK_LR},
        metrics={"loss": "minimize"},
    )
    return parse_study(text, "rival.toml").resolved(facts)


def rates_of(params: Mapping[str, Json], study: ResolvedStudy) -> np.ndarray:
    """Of a full training at this point, whichever contender found it."""
    name = str(params["family"])
    known = {key: value for key, value in params.items() if not key.endswith(".peak_lr")}
    point = candidate({**known, "optimizer": "sgd", peak_lr_name(name, "sgd"): peak_of(params)}, study)
    return point.schedule.rates(HORIZON, point.peak_lr)


def key_of(params: Mapping[str, Json]) -> str:
    return json.dumps(dict(params), sort_keys=True)
