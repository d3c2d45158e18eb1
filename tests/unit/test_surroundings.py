"""What runs say of where they were made: real repositories, and what is no repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lrsweep.tracking.surroundings import Surroundings, look_around


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit, with a tag that describes it; the working folder."""
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("lr = 0.1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "a script")
    git(tmp_path, "tag", "v1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commit_is_told_and_whether_files_differ_from_it(repository: Path) -> None:
    """The whole hash, whatever tags there are; a changed file makes the commit a half truth."""
    commit = git(repository, "rev-parse", "HEAD")
    assert look_around(with_user=False).commit_tags() == {"mlflow.source.git.commit": commit}
    (repository / "train.py").write_text("lr = 0.2\n")
    changed = look_around(with_user=False)
    assert (changed.commit, changed.is_changed) == (commit, True)
    assert Surroundings.from_tags(changed.tags()) == Surroundings(commit, is_changed=True)


def test_outside_of_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where there is no git at all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert look_around(with_user=False).commit_tags() == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look_around(with_user=False).commit is None


def test_versions_are_told_and_nobody_is_named(repository: Path) -> None:
    """User and host stand in the tags only where that was asked for."""
    tags = look_around(with_user=False).tags()
    assert {"lrsweep.version.lrsweep", "lrsweep.version.torch", "lrsweep.version.mlflow"} <= tags.keys()
    assert not {"mlflow.user", "lrsweep.host"} & tags.keys()
    assert {"mlflow.user", "lrsweep.host"} <= look_around(with_user=True).tags().keys()
