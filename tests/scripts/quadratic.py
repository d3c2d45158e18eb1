"""A training without torch that attaches: gradient descent on x²/2 from 1. Its settings make it misbehave."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import numpy as np

import lrsweep

SETTINGS = {
    "name": "val_loss",  # of the metric
    "updates": None,  # instead of as many as the plan says
    "every": 10,  # updates between reports
    "value": None,  # of the metric, instead of x²/2
    "leaves_at": None,  # saves its checkpoint and leaves after so many updates, in the first attempt
    "leaves_with": 0,  # the exit code then; a negative one is a signal
    "pause": 0.0,  # seconds per update
}


def main() -> None:
    run = lrsweep.attach(peak_lr=0.1, total_steps=40, settings=SETTINGS)
    given = run.settings
    saved = run.checkpoint_dir / "saved.json"
    done, x = json.loads(saved.read_text()) if saved.exists() else (0, 1.0)
    begun_at = done
    updates = given["updates"] or run.total_steps
    while done < updates:
        if run.should_stop or (done == given["leaves_at"] and begun_at == 0):
            saved.write_text(json.dumps([done, x]))
            if given["leaves_with"] < 0:
                os.kill(os.getpid(), -given["leaves_with"])
                signal.pause()
            sys.exit(given["leaves_with"])
        x -= float(run.rate(min(done, run.total_steps - 1))) * x
        done += 1
        time.sleep(given["pause"])
        if done % given["every"] == 0 or done == updates:
            value = x * x / 2 if given["value"] is None else given["value"]
            run.report(done, **{given["name"]: float(np.float64(value))})


if __name__ == "__main__":
    main()
