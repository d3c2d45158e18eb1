"""The tables that ship with scikit-learn, and what the workloads on them say of themselves.

Loads no torch: ``lrsweep plan`` asks for the facts alone, and torch takes longer to import than all the rest. Nor
scikit-learn where its files are where they have always been: it takes a core a second to import, and they 0.03 to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrsweep.records import Json, WorkloadFacts
from lrsweep.workloads.facts import METRICS, check_batch_size, hash_of_arrays, peak_ranges, with_horizon

DIGITS_BATCH_SIZE = 64
DIGITS_TRAIN, DIGITS_HELD_OUT = 1152, 215
DIGITS_PARAMETERS = {"mlp": 4_810, "cnn": 6_090}
FILES = {
    "digits": ("digits.csv.gz", 0),
    "breast_cancer": ("breast_cancer.csv", 1),
    "wine": ("wine_data.csv", 1),
    "iris": ("iris.csv", 1),
}
"""Of scikit-learn, each with its lines of heading."""


@dataclass(frozen=True)
class Table:
    """Examples in rows, and how many of them are trained on and held out for each of three purposes."""

    columns: NDArray[np.float64]
    labels: NDArray[np.int64]
    train: int
    held_out: int
    facts: WorkloadFacts


def digits(settings: Mapping[str, Json]) -> Table:
    """1,797 pictures of 64 pixels from 0 to 16."""
    return _table(
        "digits",
        settings,
        *read("digits"),
        train=DIGITS_TRAIN,
        held_out=DIGITS_HELD_OUT,
        batch_size=DIGITS_BATCH_SIZE,
        peak_lr=peak_ranges(sgd=(0.01, 2.0), adam=(3e-4, 0.1)),
        horizon="600 steps",
        parameters=DIGITS_PARAMETERS[settings["model"]],
    )


def logistic(settings: Mapping[str, Json]) -> Table:
    """The one that ``settings`` name; 12 % are held out for each purpose."""
    columns, labels = read(settings["table"])
    held_out = len(labels) * 12 // 100
    return _table(
        "logistic",
        settings,
        columns,
        labels,
        train=len(labels) - 3 * held_out,
        held_out=held_out,
        batch_size=16,
        peak_lr=peak_ranges(sgd=(1e-3, 1.0), adam=(3e-4, 0.3)),
        horizon="20 epochs",
        parameters=(columns.shape[1] + 1) * (int(labels.max()) + 1),
    )


def read(name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Columns and labels."""
    file, heading = FILES[name]
    folder = _folder()
    if folder is not None and (path := folder / file).exists():
        rows = np.loadtxt(path, delimiter=",", skiprows=heading)
        columns, labels = rows[:, :-1], rows[:, -1]
    else:
        from sklearn import datasets

        columns, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    return columns.astype("<f8"), labels.astype("<i8")


def _folder() -> Path | None:
    package = find_spec("sklearn")
    roots = (package and package.submodule_search_locations) or []
    return next((Path(root, "datasets", "data") for root in roots), None)


def _table(
    name: str,
    settings: Mapping[str, Json],
    columns: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    train: int,
    held_out: int,
    batch_size: int,
    peak_lr: Mapping[str, tuple[float, float]],
    horizon: str,
    parameters: int,
) -> Table:
    """``batch_size``: where the settings give none."""
    batch_size = settings.get("batch_size", batch_size)
    check_batch_size(batch_size, train)
    facts = WorkloadFacts(
        name=name,
        settings=dict(settings),
        version=1,
        data_hash=hash_of_arrays(columns, labels),
        batch_size=batch_size,
        horizon=1,
        peak_lr=peak_lr,
        metrics=METRICS,
        examples_per_epoch=train,
        parameters=parameters,
    )
    return Table(columns, labels, train, held_out, with_horizon(facts, horizon))
