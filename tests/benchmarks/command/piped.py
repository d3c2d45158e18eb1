"""The rival's side: ``python -m tests.benchmarks.command.piped RATES.npy SEED``, the reports as lines of JSON."""

from __future__ import annotations

import json
import sys

import numpy as np

from tests.benchmarks.command.training import train


def main(rates: str, seed: str) -> None:
    train(
        np.load(rates).tolist(),
        int(seed),
        lambda step, loss: print(json.dumps({"step": step, "val_loss": loss}), flush=True),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
