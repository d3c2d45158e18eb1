"""The trainings of a sweep that is over, again, by an engine that nobody asks anything: no driver, no pipe, no other
process.

    python -m tests.benchmarks.driver.alone STUDY.toml ENGINE FOLDER

The last line of its output is a list as JSON: of each completed training its seconds by its updates. The plans are the
sweep's own, in its order, with their checkpoints in FOLDER: a new one, for a training goes on from what it finds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from lrsweep.engines.device import open_device
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.engines.sequential import train
from lrsweep.records import Outcome, Record, Status
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.study import load_study
from lrsweep.sweep.plans import next_plan
from lrsweep.workloads.base import load


def main(study_file: str, engine: str, folder: str) -> None:
    homes = make_homes(read_settings(os.environ))
    workload = load(load_study(Path(study_file)).workload, open_device("cpu"), homes.data)
    study = load_study(Path(study_file)).resolved(workload.facts)
    store = open_store(homes.results_url)
    trials = {trial.number: trial for trial in store.trials(study.name)}
    rows = [row for row in store.trainings(study.name) if row.status.is_outcome]
    store.close()
    plans = [
        next_plan(row, trials[row.trial], study, checkpoint_url=str(Path.cwd() / folder / row.training_id))
        for row in rows
    ]
    outcomes: list[Outcome] = []

    def hear(record: Record) -> None:
        if record.outcome is not None:
            outcomes.append(record.outcome)

    if engine == "sequential":
        for plan in plans:
            train(plan, workload, hear)
    else:
        fused = FusedEngine(workload, study.engine, int(engine.removeprefix("fused:")), hear)
        for plan in plans:
            fused.submit(plan)
        while not fused.is_idle:
            fused.advance()
    print(json.dumps([each.seconds / each.steps for each in outcomes if each.status is Status.COMPLETED]))


if __name__ == "__main__":
    main(*sys.argv[1:])
