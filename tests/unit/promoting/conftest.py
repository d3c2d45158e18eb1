"""A home whose sweep has ended, an MLflow that is away, and an executor for the test set that is scripted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lrsweep.study import ResolvedStudy
from tests.looked import Typed, typed
from tests.promoted import AWAY, STUDY, Begin, OnTestSet, ended_in_a_home, noisy
from tests.scripted import Script


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> type[OnTestSet]:
    class Mine(OnTestSet):
        pass

    monkeypatch.setattr("lrsweep.executors.local.LocalExecutor", Mine)
    return Mine


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home to copy: its sweep takes a second."""
    return ended_in_a_home(tmp_path_factory.mktemp("swept") / "home", STUDY, noisy)


@pytest.fixture
def begin(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    executor: type[OnTestSet],
    swept: Path,
) -> Begin:
    """A home with a sweep that has ended, and the command in it."""
    monkeypatch.chdir(tmp_path)

    def begun(script: Script = noisy, study: ResolvedStudy = STUDY) -> Typed:
        home = tmp_path / "home"
        if script is noisy and study is STUDY:
            shutil.copytree(swept, home)
        else:
            ended_in_a_home(home, study, script)
        return typed(capsys, monkeypatch, home, AWAY)

    return begun
