"""``--executor``: what can be asked for, and what is refused."""

from __future__ import annotations

import sys

import pytest

from lrsweep.errors import SettingsError
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.opening import open_executor
from lrsweep.executors.place import Place
from lrsweep.settings import read_settings


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("local", ExecutorOption()),
        ("ray", ExecutorOption("ray")),
        ("ray:auto", ExecutorOption("ray", "auto")),
        ("ray:local,cpus=2", ExecutorOption("ray", "local", cpus=2.0)),
        ("ray:10.0.0.1:6379", ExecutorOption("ray", "10.0.0.1:6379")),
        ("ray:[fd00::1]:6379,gpus=0.5", ExecutorOption("ray", "[fd00::1]:6379", gpus=0.5)),
        ("ray,gpus=2,cpus=0,stations=8", ExecutorOption("ray", None, gpus=2.0, cpus=0.0, stations=8)),
    ],
)
def test_each_form_of_the_option_is_read_and_written_alike(text: str, option: ExecutorOption) -> None:
    """As a user typed it, for messages and for the command that goes on."""
    assert ExecutorOption.parsed(text) == option
    assert str(option) == text


@pytest.mark.parametrize(
    "text", ["", "locl", "local:2", "local,cpus=2", "ray:", "ray:head", "ray:http://h:1", "ray:h:x"]
)
def test_what_names_no_place_is_refused_with_all_forms(text: str) -> None:
    """What was given, what is wanted, and examples."""
    with pytest.raises(SettingsError) as caught:
        ExecutorOption.parsed(text)
    assert str(caught.value).startswith(
        f"--executor is {text!r}; wanted local, ray, ray:auto, ray:local or ray:HOST:PORT, as in 'ray:10.0.0.1:6379'"
    )
    assert ("Did you mean 'local'?" in str(caught.value)) == (text == "locl")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ray,cpu=2", "'cpu=2' is not known; behind the address may stand gpus=, cpus= and stations=. Did you mean"),
        ("ray,", "'' is not known"),
        ("ray,gpus=1.5", "gpus= wants a whole number, or a part of 1 such as 0.5, not '1.5'"),
        ("ray,cpus=-1", "cpus= wants a number from 0, not '-1'"),
        ("ray,cpus=", "cpus= wants a number from 0, not ''"),
        ("ray,stations=0", "stations= wants a whole number from 1, not '0'"),
        ("ray,stations=2.0", "stations= wants a whole number from 1, not '2.0'"),
        ("ray,cpus=1,cpus=2", "cpus= stands twice"),
        ("ray,gpus=0,cpus=0", "a share of nothing"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_named(text: str, told: str) -> None:
    """With the whole option, as it was given."""
    with pytest.raises(SettingsError) as caught:
        ExecutorOption.parsed(text)
    assert str(caught.value).startswith(f"--executor is {text!r}")
    assert told in str(caught.value)


def test_the_variable_is_read_like_the_option_and_named_where_it_is_wrong() -> None:
    """Empty counts as not set: ``local``."""
    assert read_settings({"LRSWEEP_EXECUTOR": "ray:auto"}).executor.address == "auto"
    assert read_settings({"LRSWEEP_EXECUTOR": ""}).executor == ExecutorOption()
    with pytest.raises(SettingsError, match="LRSWEEP_EXECUTOR is 'rai'"):
        read_settings({"LRSWEEP_EXECUTOR": "rai"})


def test_without_ray_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"--executor is 'ray', but Ray cannot be imported .*'lrsweep\[ray\]'"):
        open_executor(Place("cpu", ExecutorOption("ray")))


def test_one_gpu_of_a_machine_means_nothing_on_a_cluster() -> None:
    """There Ray says which one a station gets."""
    with pytest.raises(SettingsError, match="--device is 'cuda:1', but on a Ray cluster"):
        open_executor(Place("cuda:1", ExecutorOption("ray")))
