"""Who reads what a sweep says may leave, as ``| head`` does, and a disk may be full: neither ends a sweep."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lrsweep.cli import sweeping
from lrsweep.cli.live import Display
from lrsweep.records import SweepRow
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.progress import Progress, SweepResult
from tests.sweeps import STUDY_FILE, a_progress

RESULT = SweepResult(SweepRow("s", "quick", "g"), [], [], [], None, "/data", 1.0)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_reader_that_leaves_ends_no_sweep(as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view goes to standard output, and with --json to standard error; the other one is written to the end."""
    told: list[str] = []

    def told_all_the_way(
        _study: object, _homes: object, _options: object, *, observe: Callable[[Progress], None], say: Any, **_: object
    ) -> SweepResult:
        for number in range(3):
            observe(a_progress())
            say(f"sentence {number}")
            told.append(f"sentence {number}")
        return RESULT

    monkeypatch.setattr(sweeping, "run_sweep", told_all_the_way)
    monkeypatch.setenv("LRSWEEP_HOME", str(tmp_path / "home"))
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as gone, (tmp_path / "heard").open("w") as heard:  # noqa: PTH123 (a descriptor)
        monkeypatch.setattr("sys.stdout", heard if as_json else gone)
        monkeypatch.setattr("sys.stderr", gone if as_json else heard)
        sweeping.sweep(STUDY_FILE, "never", "cpu", None, None, None, as_json=as_json, command="run quick")
        monkeypatch.undo()
    assert told == ["sentence 0", "sentence 1", "sentence 2"]
    lines = (tmp_path / "heard").read_text().splitlines()
    assert [line[:21] for line in lines[-1:]] == (['{"event": "finished",'] if as_json else [])


def test_a_sentence_that_cannot_be_written_ends_no_sweep() -> None:
    """The disk that the log is on is full."""

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("No space left on device")

    display = Display(Console(file=Full(), width=120), STUDY_FILE, Homes(Path("/data"), "", "", "", None))
    display.say("trial 3 is trained again")
    display.show(a_progress())
