"""lrsweep's side: the script as somebody would write it, with ``attach``."""

from __future__ import annotations

import lrsweep
from tests.benchmarks.command.training import HORIZON, train


def main() -> None:
    run = lrsweep.attach(peak_lr=0.05, total_steps=HORIZON)
    rates = [run.rate(step) for step in range(run.total_steps)]
    train(rates, run.seed, lambda step, loss: run.report(step, val_loss=loss))


if __name__ == "__main__":
    main()
