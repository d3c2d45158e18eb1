"""What a training of 1,000 steps with three curves takes in the store: its row, its curve, its events, its indices.

Two kinds: evaluated twenty times, as lrsweep's own engines do, and after each update, as a script may report. The size
is that of the database, divided by the trainings that it grew by.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import sqlalchemy as sa

from lrsweep.records import Curve, Outcome, Status, StudyRow, SweepRow, TrialState
from lrsweep.store import open_store
from lrsweep.store.base import TrialEnd
from lrsweep.store.sql import SqlStore
from lrsweep.sweep.plans import first_training, next_plan
from tests.benchmarks.scale.curves import curve_of
from tests.benchmarks.scale.figures import DATABASES, Home, a_home
from tests.benchmarks.scale.filled import points_of
from tests.sweeps import a_study

STEPS = 1000
SWEEP = "0123456789abcdef"


def measure(trainings: int) -> dict[str, Any]:
    """Half of them is there before anything is measured: a database grows in pages."""
    return {
        "trainings": trainings,
        "steps": STEPS,
        **{
            database: {
                "evaluated 20 times": _on(database, trainings, every_step=False),
                "evaluated at each step": _on(database, trainings, every_step=True),
            }
            for database in DATABASES
        },
    }


def _on(database: str, trainings: int, *, every_step: bool) -> dict[str, float]:
    with a_home(database) as home:
        store = open_store(home.results_url)
        assert isinstance(store, SqlStore)
        sizes: list[int] = []
        curve_bytes = _train(store, trainings, every_step=every_step, half=lambda: sizes.append(_bytes(store, home)))
        sizes.append(_bytes(store, home))
        store.close()
    return {
        "bytes_per_training": round((sizes[1] - sizes[0]) / (trainings - trainings // 2)),
        "bytes_of_curve": round(curve_bytes / trainings),
    }


def _train(store: SqlStore, trainings: int, *, every_step: bool, half: Any) -> int:
    """One training for each trial, through the store's own methods; comes back with what the curves take."""
    study = replace(a_study(trials=trainings, horizon=STEPS), name="sizes", search=a_study().search)
    lease = store.acquire_lease("sizes", "a benchmark", seconds=3600)
    store.register_study(lease, StudyRow("sizes", study.meaning, study.generation, {}))
    store.create_sweep(lease, SweepRow(SWEEP, "sizes", study.generation))
    taken = 0
    for number, trial in enumerate(points_of(study, SWEEP, trainings)):
        if number == trainings // 2:
            half()
        row = first_training(study, SWEEP, number, trial.params, len(study.rungs) - 1)
        store.add_trial(lease, trial, [row])
        store.start_training(lease, row.training_id, device="cpu", engine="fused/16")
        curve = curve_of(next_plan(row, trial, study, checkpoint_url=""))
        if every_step:
            curve = _at_each_step(curve, np.random.default_rng(number))
        value = float(curve.evaluations["val_loss"][-1])
        outcome = Outcome(Status.COMPLETED, STEPS, 1.0, {"val_loss": value, "decide_loss": value})
        told = TrialEnd(TrialState.COMPLETE, value)
        store.end_training(lease, row.training_id, 1, outcome, curve, engine="fused/16", tell=told)
        taken += len(curve.to_bytes())
    return taken


def _at_each_step(curve: Curve, drawn: np.random.Generator) -> Curve:
    """With noise of its own, for the third curve is no copy of the second; in single precision, as models give it."""
    losses = (curve.train_losses * (1 + 0.05 * drawn.standard_normal(curve.steps))).astype(np.float32)
    evaluations = {"val_loss": losses.astype(np.float64)}
    return replace(curve, evaluation_steps=np.arange(1, curve.steps + 1), evaluations=evaluations)


def _bytes(store: SqlStore, home: Home) -> int:
    with store._engine.execution_options(writing=True).connect() as connection:
        if home.database_url is not None:
            sums = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname ~ '^lrs_' AND relkind = 'r'"
            return int(connection.scalar(sa.text(sums)) or 0)
        pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        return int(connection.scalar(sa.text(pages)) or 0)


def told(found: dict[str, Any]) -> str:
    return "\n".join(
        f"{database:10} {kind:24} {each['bytes_per_training']:,} bytes a training, its curve {each['bytes_of_curve']:,}"
        for database in DATABASES
        for kind, each in found[database].items()
    )
