"""The tables of scikit-learn are read without it, to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn import datasets

from lrsweep.workloads import tables
from lrsweep.workloads.facts import hash_of_arrays


@pytest.mark.parametrize("name", tables.FILES)
def test_a_table_is_the_one_that_scikit_learn_reads(name: str) -> None:
    columns, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    settings = {"model": "mlp"} if name == "digits" else {"table": name}
    table = tables.digits(settings) if name == "digits" else tables.logistic(settings)
    assert table.columns.shape == columns.shape
    assert (table.columns == columns).all()
    assert (table.labels == labels).all()
    assert table.facts.data_hash == hash_of_arrays(columns.astype("<f8"), labels.astype("<i8"))


def test_where_its_files_have_moved_it_is_asked_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release may keep them elsewhere."""
    as_ever = tables.logistic({"table": "iris"}).facts
    monkeypatch.setattr(tables, "_folder", lambda: tmp_path)
    assert tables.logistic({"table": "iris"}).facts == as_ever
