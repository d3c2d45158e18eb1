"""``--engine``: what can be asked for, and what is refused."""

from __future__ import annotations

import pytest

from lrsweep.errors import SettingsError
from lrsweep.executors.engine_option import EngineOption
from lrsweep.records import Crew, WorkloadSpec
from lrsweep.scripts.command import Command
from lrsweep.settings import read_settings

SCRIPT = Command("python train.py").spec()


@pytest.mark.parametrize(
    ("text", "engine", "crew"),
    [
        ("auto", "auto", None),
        ("sequential", "sequential", Crew()),
        ("sequential:3", "sequential", Crew(3)),
        ("fused", "fused", None),
        ("fused:16", "fused", Crew(1, 16)),
        ("fused:16x2", "fused", Crew(2, 16)),
    ],
)
def test_each_form_of_the_option_is_an_arrangement_or_a_question(text: str, engine: str, crew: Crew | None) -> None:
    """Without numbers, ``auto`` and ``fused`` leave it to a measurement."""
    assert EngineOption.parsed(text) == EngineOption(engine, crew)


@pytest.mark.parametrize(
    "text", ["", "fusd", "fused:", "fused:0", "fused:4x", "fused:4x0", "fused:x2", "fused:-1", "sequential:0",
             "sequential:2x2", "auto:2", "Fused:4 ", "fused:1.5"]
)  # fmt: skip
def test_anything_else_is_refused_with_all_forms(text: str) -> None:
    """What was given, what is wanted, and examples."""
    with pytest.raises(SettingsError) as caught:
        EngineOption.parsed(text)
    assert str(caught.value).startswith(
        f"--engine is {text!r}; wanted auto, sequential, sequential:PROCESSES, fused, fused:SLOTS or "
        "fused:SLOTSxPROCESSES with whole numbers from 1, as in 'sequential:2' or 'fused:16x2'."
    )
    assert ("Did you mean 'fused'?" in str(caught.value)) == (text in ("fusd", "Fused:4 "))


def test_the_variable_is_read_like_the_option_and_named_where_it_is_wrong() -> None:
    """Empty counts as not set: ``auto``."""
    assert read_settings({"LRSWEEP_ENGINE": "fused:4"}).engine.crew == Crew(1, 4)
    assert read_settings({"LRSWEEP_ENGINE": ""}).engine == EngineOption()
    with pytest.raises(SettingsError, match="LRSWEEP_ENGINE is 'fuse'"):
        read_settings({"LRSWEEP_ENGINE": "fuse"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sequential:2", "sequential in 2 processes"),
        ("fused", "fused"),
        ("fused:8", "fused with 8 slots in 1 process"),
    ],
)
def test_a_script_trains_by_itself(text: str, told: str) -> None:
    """Another engine for it is refused with what sets how many scripts run at a time."""
    with pytest.raises(SettingsError) as caught:
        EngineOption.parsed(text, "LRSWEEP_ENGINE").check(SCRIPT)
    assert str(caught.value).startswith(f"LRSWEEP_ENGINE asks for {told}, but the study's workload is a script")
    assert "`concurrency` under [study.workload]" in str(caught.value)


def test_what_asks_for_nothing_special_goes_with_scripts_and_everything_goes_with_workloads() -> None:
    """``auto`` and ``sequential`` are how scripts run anyway."""
    for text in ("auto", "sequential"):
        EngineOption.parsed(text).check(SCRIPT)
    for text in ("auto", "sequential:2", "fused", "fused:8"):
        EngineOption.parsed(text).check(WorkloadSpec("digits"))
