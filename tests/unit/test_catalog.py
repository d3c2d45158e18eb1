"""What a study file may write about a workload."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lrsweep.errors import InvalidInput
from lrsweep.records import WorkloadSpec
from lrsweep.workloads import catalog

NEEDED = {"char_lm": {"text": "book.txt"}}
BUILT_IN = ("digits", "logistic", "mnist", "fashion_mnist", "cifar10", "cifar100", "char_lm")


def test_the_catalog_loads_neither_torch_nor_data() -> None:
    """A study file is checked on a machine that cannot train."""
    code = "import sys, lrsweep.study, lrsweep.workloads.catalog\nprint({'torch', 'sklearn'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_these_workloads_are_built_in() -> None:
    """In this order they are listed."""
    assert catalog.workload_names() == BUILT_IN


def test_a_complete_workload_has_every_setting() -> None:
    """Defaults are filled in, numbers become floats, and completing twice changes nothing."""
    complete = catalog.complete(WorkloadSpec("digits", {"noise": 1}))
    assert complete == WorkloadSpec("digits", {"model": "mlp", "noise": 1.0})
    assert isinstance(complete.settings["noise"], float)
    assert catalog.complete(complete) == complete


def test_a_setting_that_came_later_is_written_only_where_it_is_used() -> None:
    """So that a release which adds one changes the hash of no study: written out or not, the default is the same."""
    written = {
        "batch_size": 64,
        "synthetic": False,
        "freeze": (),
        "layer_decay": 1,
        "head_rate": 1.0,
        "new_head": False,
    }
    assert catalog.complete(WorkloadSpec("mnist", written)) == WorkloadSpec("mnist", {"model": "cnn"})
    used = {"batch_size": 32, "synthetic": True, "freeze": ("conv1",), "layer_decay": 0.5, "init": "a.pt"}
    assert catalog.complete(WorkloadSpec("mnist", used)).settings == {
        "model": "cnn",
        "batch_size": 32,
        "synthetic": True,
        "init": "a.pt",
        "freeze": ["conv1"],
        "layer_decay": 0.5,
    }


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


@pytest.mark.parametrize(
    ("setting", "given", "wanted"),
    [
        ("model", ["cnn"], "one of cnn, mlp"),
        ("synthetic", "yes", "true or false"),
        ("synthetic", 1, "true or false"),
        ("batch_size", 0, "a whole number from 1 to 65536"),
        ("batch_size", 8.0, "a whole number from 1 to 65536"),
        ("batch_size", True, "a whole number from 1 to 65536"),
        ("init", "", "the path of a file, in quotes"),
        ("init", 3, "the path of a file, in quotes"),
        ("freeze", "conv1", 'a list of texts, such as ["layer1", "layer2"]'),
        ("freeze", ["conv1", 2], 'a list of texts, such as ["layer1", "layer2"]'),
        ("layer_decay", 0, "a number from 0.01 to 1"),
        ("layer_decay", True, "a number from 0.01 to 1"),
        ("head_rate", "10", "a number from 0 to 1000"),
    ],
)
def test_a_value_of_another_kind_is_refused(setting: str, given: object, wanted: str) -> None:
    """What was given, what is wanted, and what the setting is."""
    [(key, text)] = catalog.check(WorkloadSpec("mnist", {setting: given}))
    assert key == setting
    assert text.startswith(f"{given!r} is not {wanted}. This is ")


def test_a_setting_that_has_no_default_is_missed() -> None:
    """But for a synthetic workload, which reads no text."""
    assert catalog.check(WorkloadSpec("char_lm")) == [
        (
            "text",
            "missing: the workload 'char_lm' needs the text file to learn, the path of a file, in quotes.",
        )
    ]
    assert catalog.check(WorkloadSpec("char_lm", {"synthetic": True})) == []
    assert catalog.complete(WorkloadSpec("char_lm", {"synthetic": True})).settings == {
        "tokens": "bytes",
        "synthetic": True,
    }


@pytest.mark.parametrize("name", catalog.workload_names())
def test_every_workload_has_a_home_and_valid_defaults(name: str) -> None:
    """The catalog's own defaults pass its own check, and the home has the form that is imported."""
    assert catalog.check(catalog.complete(WorkloadSpec(name, NEEDED.get(name, {})))) == []
    module, _, class_name = catalog.home(name).partition(":")
    assert module.startswith("lrsweep.workloads.")
    assert class_name.isidentifier()


def test_workloads_that_need_data_from_elsewhere_can_be_synthetic() -> None:
    """The others bring their data with them."""
    assert [name for name in BUILT_IN if catalog.entry(name).has("synthetic")] == list(BUILT_IN[2:])


def test_an_unknown_workload_has_no_home() -> None:
    """The error says which there are, and that there may be one's own."""
    with pytest.raises(InvalidInput) as raised:
        catalog.home("digit")
    assert str(raised.value) == (
        f"unknown workload 'digit'. Did you mean 'digits'? Known: {', '.join(BUILT_IN)}; "
        'or your own as "file.py:Name" (from the working folder) or "package.module:Name".'
    )


@pytest.mark.parametrize(
    "name", ["mine.py:Net", "src/my nets/mine.py:Net", "../mine.py:Net", "package.module:Net", "m:N"]
)
def test_a_name_with_a_colon_is_ones_own(name: str) -> None:
    """Its settings are its class's to check: they stay as they are."""
    spec = WorkloadSpec(name, {"width": [1, 2], "depth": "two"})
    assert catalog.is_own(name)
    assert not catalog.check(spec)
    assert catalog.complete(spec) == spec


@pytest.mark.parametrize("name", ["mine.py:", ":Net", "mine.py:a.b", "nets/mine:Net", "my-package:Net", "a.py:b:c"])
def test_a_name_that_leads_nowhere_is_refused(name: str) -> None:
    """With both forms that there are."""
    assert catalog.check(WorkloadSpec(name)) == [
        (
            "name",
            f"{name!r} is not the name of your own workload, which is "
            '"file.py:Name" (from the working folder) or "package.module:Name".',
        )
    ]
