"""The file that ``{lr_table}`` names: the rate of every update, for scripts that take a table.

json   a list of numbers                      [0.1, 0.1, 0.05]
csv    a line per update under a heading      step,lr
npy    a float64 array, as numpy.load reads it
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lrsweep.records import Floats
from lrsweep.scripts.command import TableFormat


def write_rates(folder: Path, rates: Floats, form: TableFormat) -> Path:
    """Writes ``rates.json``, ``rates.csv`` or ``rates.npy``; every number reads back as the same float64."""
    path = folder / f"rates.{form}"
    match form:
        case "json":
            path.write_text(json.dumps(rates.tolist()), encoding="utf-8")
        case "csv":
            lines = [f"{step},{rate!r}\n" for step, rate in enumerate(rates.tolist())]
            path.write_text("step,lr\n" + "".join(lines), encoding="utf-8")
        case "npy":
            np.save(path, rates, allow_pickle=False)
    return path
