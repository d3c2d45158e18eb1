"""A training that knows nothing of lrsweep: it takes a file of rates, or a rate and a shape, and prints JSON lines."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path


def read(path: Path) -> list[float]:
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [float(row["lr"]) for row in csv.DictReader(file)]
    if path.suffix == ".npy":
        import numpy as np

        return [float(rate) for rate in np.load(path)]
    return [float(rate) for rate in json.loads(path.read_text())]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr-table", type=Path)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--sched")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--steps", type=int, required=True)
    given = parser.parse_args()
    rates = read(given.lr_table) if given.lr_table else [given.lr] * given.steps
    print("loading data", flush=True)
    print('{"epochs": 3}')
    x = 1.0
    for step, rate in enumerate(rates, 1):
        x -= rate * x
        if step % 10 == 0:
            print(json.dumps({"step": step, "val_loss": x * x / 2, "lr": rate, "seed": given.seed}), flush=True)
    print("sched", given.sched)


if __name__ == "__main__":
    main()
