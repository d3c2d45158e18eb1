"""How full the slots of the fused engines are, as people and programs see it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lrsweep.cli.live import Display
from lrsweep.executors.messages import Busy
from lrsweep.records import Status, SweepRow, WorkloadSpec
from lrsweep.study import BudgetSpec, SpaceSpec, Study
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.progress import Progress, Running, SweepResult, occupancy
from tests.sweeps import a_progress, a_training, a_trial

FOURTEEN = [Running(a_training(number, status=Status.RUNNING), a_trial(number)) for number in range(14)]
BEHIND = Running(a_training(14), a_trial(14))
"""waits in the engine's process"""
PROGRESS = a_progress(
    trials_told=3,
    trials_wanted=96,
    trainings_ended=4,
    steps_done=180,
    seconds=75.0,
    running=[*FOURTEEN, BEHIND],
    busy=Busy(slots=16, steps=1000, slot_steps=15_520),
)

RESULT = SweepResult(SweepRow("s", "quick", "g"), [], [], [], None, "/data", 1.0)


def shown(progress: Progress, *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), record=True, width=120, force_terminal=terminal)
    space = SpaceSpec(("cosine",), ("sgd",))
    study = Study("quick", WorkloadSpec("digits"), space, budget=BudgetSpec(trials=96), source="quick.toml")
    display = Display(console, study, Homes(Path("/data"), "", "", "", None))
    with display:
        display.show(progress)
        if terminal:
            assert display._live is not None
            console.print(display._live.renderable)
    return console.export_text()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_view_says_how_many_slots_are_busy_and_how_full_they_were(terminal: bool) -> None:
    """Fourteen train, and one that waits in the process has no slot; 15,520 of 16,000 places had a training."""
    assert "slots 14 of 16 busy, 97 % full" in shown(PROGRESS, terminal=terminal)


@pytest.mark.parametrize("terminal", [True, False])
def test_before_the_first_update_only_the_slots_are_told(terminal: bool) -> None:
    """Nothing can be said of how full they were."""
    text = shown(replace(PROGRESS, busy=Busy(16, 0, 0)), terminal=terminal)
    assert "slots 14 of 16 busy" in text
    assert "% full" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_slots_that_were_halved_are_never_overfull(terminal: bool) -> None:
    """Where memory ran out, trainings that have begun wait for one of the slots that are left."""
    assert "slots 8 of 8 busy" in shown(replace(PROGRESS, busy=Busy(8, 100, 800)), terminal=terminal)


@pytest.mark.parametrize("terminal", [True, False])
def test_one_after_the_other_there_is_no_word_of_slots(terminal: bool) -> None:
    """The sequential engine has none."""
    assert "slot" not in shown(replace(PROGRESS, busy=None), terminal=terminal)


def test_occupancy_is_a_part_of_one() -> None:
    """By hand; the steps of several processes are a rounded mean, and full is 1 all the same."""
    assert occupancy(Busy(slots=4, steps=10, slot_steps=30)) == 0.75
    assert occupancy(Busy(slots=3, steps=1, slot_steps=4)) == 1.0
    assert occupancy(Busy(slots=4, steps=0, slot_steps=0)) is None
    assert occupancy(None) is None


@pytest.mark.parametrize("full", [0.96875, None])
def test_a_program_reads_the_occupancy_in_the_result(full: float | None) -> None:
    """Null where trainings ran one after the other."""
    result = replace(RESULT, occupancy=full)
    assert result.to_json()["occupancy"] == full


@pytest.mark.parametrize("engine", ["fused:16x2", None])
def test_a_program_reads_in_the_result_how_trainings_ran(engine: str | None) -> None:
    """Null for scripts, and where the sweep was only read."""
    assert replace(RESULT, engine=engine).to_json()["engine"] == engine


def test_the_readme_names_every_field_of_the_result() -> None:
    """In the paragraph on the last line of ``--json``."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("`--json` ends with one line")
    paragraph, _, _ = rest.partition("\n\n")
    assert [name for name in RESULT.to_json() if f"`{name}`" not in paragraph] == []
