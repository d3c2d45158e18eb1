"""What a study file may write about a workload."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadSpec
from lrsweep.workloads import catalog


def test_the_catalog_loads_neither_torch_nor_data() -> None:
    """A study file is checked on a machine that cannot train."""
    code = "import sys, lrsweep.study, lrsweep.workloads.catalog\nprint({'torch', 'sklearn'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_complete_workload_has_every_setting() -> None:
    """Defaults are filled in, numbers become floats, and completing twice changes nothing."""
    complete = catalog.complete(WorkloadSpec("digits", {"noise": 1}))
    assert complete == WorkloadSpec("digits", {"model": "mlp", "noise": 1.0})
    assert isinstance(complete.settings["noise"], float)
    assert catalog.complete(complete) == complete


def test_an_impossible_workload_cannot_be_completed() -> None:
    """A program that builds its own spec gets all problems in one error, too."""
    with pytest.raises(InvalidInput) as raised:
        catalog.complete(WorkloadSpec("digits", {"model": "CNN", "noise": float("nan")}))
    assert str(raised.value) == (
        "workload model: 'CNN' is not one of mlp, cnn. Did you mean 'cnn'? "
        "This is the network: an MLP of 64-64-10 units, or a small convolutional one.; "
        "workload noise: nan is not a number from 0 to 1. "
        "This is the standard deviation of Gaussian noise added to pixels between 0 and 1."
    )


@pytest.mark.parametrize("name", catalog.workload_names())
def test_every_workload_has_a_home_and_valid_defaults(name: str) -> None:
    """The catalog's own defaults pass its own check, and the home has the form that is imported."""
    assert catalog.check(catalog.complete(WorkloadSpec(name))) == []
    module, _, class_name = catalog.home(name).partition(":")
    assert module.startswith("lrsweep.workloads.")
    assert class_name.isidentifier()


def test_an_unknown_workload_has_no_home() -> None:
    """The error says which there are."""
    with pytest.raises(InvalidInput, match=r"unknown workload 'digit'\. Did you mean 'digits'\? Known: digits\."):
        catalog.home("digit")
