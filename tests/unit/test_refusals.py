"""What keeps a sweep from beginning: the file's problems, the workload's, the sampler's and the pruner's together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lrsweep.cli.device_named import without_device
from lrsweep.engines.probing import Gpu, TorchProbed
from lrsweep.errors import InvalidInput, StudyError, SweepFailed
from lrsweep.records import WorkloadFacts, WorkloadSpec
from lrsweep.study.file import examine
from lrsweep.sweep.refusals import completed
from tests.studies import FACTS, resolved

FAULTY = """
[study]
name = "m"
workload = "nets.py:Net"
metric = "val_accc"
direction = "up"
[space]
optimizers = ["sgd", "nesterov"]
warmup = "400 steps"
settings.cosine.hold = 0.6
[search]
sampler = "no_such_module.Mine"
[search.pruner]
name = "median"
n_startup_trials = "x"
[budget]
trials = 3
"""


def keys(text: str, describe: Callable[[WorkloadSpec], WorkloadFacts]) -> list[tuple[int | None, str]]:
    with pytest.raises(StudyError) as raised:
        completed(examine(text, "s.toml"), describe)
    return [(problem.line, problem.key) for problem in raised.value.problems]


def never(workload: WorkloadSpec) -> WorkloadFacts:
    raise AssertionError(f"{workload} was asked")


def test_the_text_the_workload_and_the_search_are_told_together() -> None:
    """What the text shows to be wrong does not hide what only the workload knows, nor what Optuna refuses."""
    assert keys(FAULTY, lambda _: FACTS) == [
        (5, "study.metric"),
        (6, "study.direction"),
        (7, "space.peak_lr.nesterov"),
        (10, "space.settings.cosine"),
        (12, "search.sampler"),
        (13, "search.pruner"),
    ]


def test_a_wrong_workload_is_not_asked_and_hides_nothing_else() -> None:
    """Neither the metric nor the ranges are known then; the sampler and the pruner are."""
    text = FAULTY.replace("nets.py:Net", "nets")
    found = [(4, "study.workload"), (6, "study.direction"), (12, "search.sampler"), (13, "search.pruner")]
    assert keys(text, never) == found


def test_nothing_is_said_of_what_depends_on_a_wrong_part() -> None:
    """Without the optimizers nobody knows whose range is missing; without the warm-up, what a rung has room for."""
    text = FAULTY.replace('"nesterov"]', '"adm"]').replace('"400 steps"', "-1").replace("val_accc", "val acc")
    assert keys(text, lambda _: FACTS) == [
        (5, "study.metric"),
        (6, "study.direction"),
        (8, "space.optimizers"),
        (9, "space.warmup"),
        (12, "search.sampler"),
        (13, "search.pruner"),
    ]


@pytest.mark.parametrize("error", [InvalidInput("data/x is not there\nfetch it"), SweepFailed("Net: no such class")])
def test_a_workload_that_cannot_be_described_is_told_as_it_says(error: Exception) -> None:
    """By itself with its own text and exit code; what its code raised, always."""

    def refuses(_: WorkloadSpec) -> WorkloadFacts:
        raise error

    sound = '[study]\nname = "m"\nworkload = "nets.py:Net"\n[budget]\ntrials = 3'
    with pytest.raises(type(error)) as raised:
        completed(examine(sound, "s.toml"), refuses)
    assert raised.value is error


def test_an_input_that_a_workload_refuses_stands_beside_the_others() -> None:
    """At the line that names it."""

    def refuses(_: WorkloadSpec) -> WorkloadFacts:
        raise InvalidInput("data/x is not there")

    assert (4, "study.workload") in (found := keys(FAULTY, refuses))
    assert (12, "search.sampler") in found
    assert (5, "study.metric") not in found


def test_a_gpu_that_is_not_here_is_only_warned_of() -> None:
    """Another machine may have it; nobody is asked where no GPU is named."""

    def two() -> TorchProbed:
        return TorchProbed("2.15", "13.0", (Gpu("H", 1, 1), Gpu("H", 1, 1)))

    def nobody() -> TorchProbed:
        raise AssertionError("torch was imported")

    for named in ("cuda", "cuda:1", "cuda:0, cuda:1"):
        assert without_device(resolved(f'[run]\ndevice = "{named}"'), two) is None
    for named in ("auto", "cpu"):
        assert without_device(resolved(f'[run]\ndevice = "{named}"'), nobody) is None
    assert without_device(resolved('[run]\ndevice = "cuda:0,cuda:2"'), two) is not None
    third = without_device(resolved('[run]\ndevice = "cuda:2"'), two)
    assert third is not None
    assert third.startswith("run.device is 'cuda:2', which PyTorch does not find on this machine")
    assert third.endswith("There is: cpu, cuda:0, cuda:1.")
