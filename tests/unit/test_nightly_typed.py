"""`lrsweep nightly run`: in which order a night that has ended is told, and what waits for what."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import lrsweep.cli.nightly_running as nightly_running
from lrsweep.cli.nightly_running import SHOWING, Typed, carry_out
from lrsweep.nightly.outcome import NightRun
from lrsweep.nightly.showing import Shown
from tests.nightly_runs import STUDY
from tests.nights_by_hand import night
from tests.nights_told import run_of, told

ENDED = run_of(*told([night(0)]))
"""A night that trained."""


def typed(folder: Path, deadline: str | None = None) -> Typed:
    return Typed(
        [str(folder / "quick.toml")], "k", deadline, "skip", False, False, "cpu", None, {"summary": folder / "s"}, True
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a study, whose nights end at once."""
    (tmp_path / "quick.toml").write_text(STUDY.format(name="quick", nightly=""))
    monkeypatch.setenv("LRSWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(nightly_running, "obey", lambda _: None)
    monkeypatch.setattr(nightly_running, "run_nights", lambda *_: ENDED)
    return tmp_path


def test_nobody_waits_for_mlflow_who_wants_to_hear_of_the_night(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary is written and the answer printed before MLflow is asked for anything."""
    heard: list[tuple[str, str]] = []

    def show_nights(*_: object) -> Shown:
        heard.append(((folder / "s").read_text(), capsys.readouterr().out))
        return Shown(0, "It is away.")

    monkeypatch.setattr(nightly_running, "show_nights", show_nights)
    assert ENDED.studies[0].judgement is not None
    assert carry_out(typed(folder)) == ENDED.exit_code
    [(summary, printed)] = heard
    assert NightRun.from_json(json.loads(summary)) == NightRun.from_json(json.loads(printed)) == ENDED
    assert "MLflow has not got the night" in capsys.readouterr().err


def test_mlflow_gets_nights_until_a_while_behind_the_deadline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or until a signal; without a deadline as long as it takes."""
    clock = [1000.0]
    found: list[tuple[bool, bool]] = []

    def show_nights(*given: object) -> Shown:
        is_over: Callable[[], bool] = given[-1]  # type: ignore[assignment]
        clock[0] = 1000.0 + 90.0 + SHOWING
        before = is_over()
        clock[0] += 1.0
        found.append((before, is_over()))
        return Shown(1)

    monkeypatch.setattr(nightly_running, "show_nights", show_nights)
    monkeypatch.setattr(nightly_running, "time", SimpleNamespace(time=time.time, monotonic=lambda: clock[0]))
    for deadline in ("90s", None):
        clock[0] = 1000.0
        carry_out(typed(folder, deadline))
    assert found == [(False, True), (False, False)]
