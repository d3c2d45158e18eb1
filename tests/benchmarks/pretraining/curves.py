"""The curves as the repository keeps them: thinned, in one table, with their licence beside it.

``python -m tests.benchmarks.pretraining.curves FOLDER`` makes the table from the published files, one per schedule and
size: ``FOLDER/csv_400/cosine_24000.csv``.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLE = Path(__file__).parents[2] / "fixtures" / "pretraining" / "curves.csv"
COLUMNS = ("millions", "schedule", "step", "lr", "loss")
SIZES = (25, 100, 400)
"""Millions of parameters."""

KEPT_EVERY = 6
READ_AT = (5_333, 8_000, 10_667, 16_000, 24_000, 48_000, 72_000)
"""Steps around which every logged point is kept, so that thinning moves no figure."""
AROUND = 300


@dataclass(frozen=True)
class Curve:
    """Logged losses of one training, by step; nothing is known before the first and after the last."""

    steps: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def end(self) -> float:
        return float(self.steps[-1])

    def at(self, step: float) -> float:
        """Along a straight line between two logged points. Raises ValueError outside of them.

        >>> Curve(np.array([100.0, 200.0]), np.array([4.0, 3.0])).at(125)
        3.75
        """
        if not self.steps[0] <= step <= self.steps[-1]:
            raise ValueError(
                f"step {step:g}: the curve was logged from {self.steps[0]:g} to {self.steps[-1]:g}. Ask within."
            )
        return float(np.interp(step, self.steps, self.losses))


Curves = Mapping[str, Curve]
"""By the published file's name, such as ``cosine_24000``."""


def read(path: Path = TABLE) -> dict[int, dict[str, Curve]]:
    """By size, in millions of parameters."""
    points: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            points[int(row["millions"]), row["schedule"]].append((float(row["step"]), float(row["loss"])))
    found: dict[int, dict[str, Curve]] = {size: {} for size in SIZES}
    for (size, schedule), logged in points.items():
        steps, losses = zip(*logged, strict=True)
        found[size][schedule] = Curve(np.array(steps), np.array(losses))
    return found


def thinned(folder: Path) -> Iterator[tuple[str, ...]]:
    """Every sixth point, all points around the steps that are read, and each curve's first and last."""
    for size in SIZES:
        for path in sorted((folder / f"csv_{size}").glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            for place, row in enumerate(rows):
                near = any(abs(int(row["step"]) - step) <= AROUND for step in READ_AT)
                if near or place % KEPT_EVERY == 0 or place == len(rows) - 1:
                    yield str(size), path.stem, row["step"], f"{float(row['lr']):.4g}", row["loss"]


if __name__ == "__main__":
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(thinned(Path(sys.argv[1])))
    print(TABLE)
