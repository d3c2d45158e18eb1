"""`lrsweep reproduce` on a real sweep: the same bits again, and what is told where the past has been changed.

And what the doctor asks of real parts: PyTorch in a process, an MLflow of the user's own.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lrsweep.cli.reproduce import Asked, executor_for, read_asked, reproduce
from lrsweep.engines.probing import probe_torch
from lrsweep.records import Curve
from lrsweep.store import open_store
from lrsweep.tracking import Tracker
from lrsweep.tracking.probing import EXPERIMENT, probe_tracking
from tests.commands import lrsweep, query, write_study


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a real sweep of two trials."""
    folder = tmp_path_factory.mktemp("swept")
    ran = lrsweep("run", str(write_study(folder, trials=2)), "--json", home=folder / "home")
    assert ran.code == 0, ran.err
    return folder / "home"


def change(home: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(home / "results.db")) as database, database:
        database.execute(sql, values)


def test_a_real_training_is_reproduced_bit_for_bit_and_a_changed_past_is_not(swept: Path) -> None:
    """As it is: all bits. With one loss changed and the value 100 larger: moved. With other data: cannot."""
    url = f"sqlite:///{swept}/results.db"
    before = query(swept, "SELECT count(*) FROM lrs_event")

    def asked() -> Asked:
        store = open_store(url)
        try:
            return read_asked(store, "tiny", "0:60")
        finally:
            store.close()

    identity = asked().row.training_id
    executor = executor_for(asked(), device=None, data=None)
    try:
        same = reproduce(asked(), executor, seeds=5)
        assert (same.verdict, same.fresh) == ("reproduced", ()), same
        assert same.bits is not None
        assert same.bits.equal == same.bits.values > 120
        assert not [each for each in same.differences if "engine" in each or "device" in each]

        curve = Curve.from_bytes(query(swept, f"SELECT data FROM lrs_curve WHERE training_id = '{identity}'"))
        curve.train_losses[7] *= 2
        change(swept, "UPDATE lrs_curve SET data = ? WHERE training_id = ?", curve.to_bytes(), identity)
        metrics = {**asked().row.metrics, "val_loss": 100.0}
        change(swept, "UPDATE lrs_training SET metrics = ? WHERE training_id = ?", json.dumps(metrics), identity)
        moved = reproduce(asked(), executor, seeds=2)
        assert (moved.verdict, len(moved.fresh)) == ("moved", 2), moved
        assert moved.bits is not None
        assert moved.bits.first == "the training loss number 8"

        spec = json.loads(query(swept, "SELECT spec FROM lrs_study"))
        spec["workload"]["data_hash"] = "0" * 64
        change(swept, "UPDATE lrs_study SET spec = ?", json.dumps(spec))
        cannot = reproduce(asked(), executor, seeds=0)
        assert cannot.verdict == "cannot"
        assert "the workload's data (by their hash) were 000000000000" in cannot.sentence
    finally:
        executor.close()
    assert query(swept, "SELECT count(*) FROM lrs_event") == before


def test_pytorch_is_asked_in_a_process_of_its_own() -> None:
    """Version and what it was built for; one that is too slow is an answer too."""
    probed = probe_torch()
    assert probed.error is None
    assert probed.torch is not None
    assert probed.torchvision_error is None
    assert "did not import within" in str(probe_torch(patience_seconds=0.01).error)


def test_rights_are_tried_out_on_a_run_that_is_deleted_again(tmp_path: Path) -> None:
    """In a database that permits everything, twice: nothing is denied, and one experiment is left, deleted."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    Tracker.connect(uri, artifact_root=tmp_path / "artifacts")
    for _ in range(2):
        assert probe_tracking(uri, try_rights=True).denied == {}
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        stages = database.execute("SELECT lifecycle_stage FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchall()
        runs = database.execute("SELECT DISTINCT lifecycle_stage FROM runs").fetchall()
    assert (stages, runs) == ([("deleted",)], [("deleted",)])
