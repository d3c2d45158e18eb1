"""The repository names no machine, no registry and nothing large."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LARGEST_BYTES = 1_000_000

# pip's own configuration says where packages come from; a host name in a file would overrule it.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs|--(?:extra-)?index-url", re.I
)
# A home or a working folder of somebody: /home/ada, /Users/ada, /root/project. A URL's path or `~/` is none.
MACHINE = re.compile(r"(?<![\w.:/~})-])/(?:home|Users|root|work|mnt)/\w")


@cache
def repository_files() -> tuple[Path, ...]:
    """What git tracks, and what it would take at the next ``git add``."""
    if not (REPOSITORY / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout; clone the repository to run this check")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return tuple(path for name in names.split("\0") if name and (path := REPOSITORY / name).is_file())


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """``file:line: text`` of every hit in a text file; this file itself holds the patterns."""
    hits = []
    for path in repository_files():
        content = path.read_bytes()
        if path == Path(__file__) or b"\0" in content[:8192]:
            continue
        for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
            if pattern.search(line):
                hits.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:120]}")
    return hits


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the user's choice, so no file says it."""
    assert lines_with(REGISTRY) == []


def test_no_file_names_a_folder_of_some_machine() -> None:
    """An absolute path of somebody's machine means nothing on another one."""
    assert lines_with(MACHINE) == []


def test_no_file_names_the_folder_of_this_checkout() -> None:
    """Nothing that a run wrote here, with this machine's paths in it, has slipped into the repository."""
    if len(REPOSITORY.parts) < 3:
        pytest.skip(f"{REPOSITORY} is too short a path to look for; clone the repository somewhere deeper")
    assert lines_with(re.compile(re.escape(str(REPOSITORY)) + r"(?![\w-])")) == []


def test_no_file_is_larger_than_one_megabyte() -> None:
    """A clone stays quick: pictures and results are kept small."""
    large = {str(path.relative_to(REPOSITORY)): path.stat().st_size for path in repository_files()}
    assert {name: size for name, size in large.items() if size > LARGEST_BYTES} == {}


def test_what_ci_runs_can_be_run() -> None:
    """``.ci/run`` is executable."""
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("line", ["see /home/ada/data", "(/Users/ada/x)", "path=/root/project"])
def test_a_folder_of_a_machine_is_recognised(line: str) -> None:
    """The check itself finds what it looks for."""
    assert MACHINE.search(line)


@pytest.mark.parametrize("line", ["https://example.org/home/page", "~/code/x", "home/ada", "GET /api/users/ada"])
def test_other_paths_are_left_alone(line: str) -> None:
    """A URL, a path below the user's home and a relative path belong to no machine."""
    assert not MACHINE.search(line)
