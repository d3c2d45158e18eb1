"""What a sweep's runs say of where they were made: the commit and the versions; user and host where that is asked for.

The environment is not stored: it holds secrets. A command line is, with what looks like a secret masked.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from lrsweep.engines.versions import versions

UNKNOWN = "unknown"
DIRTY = "-dirty"
GIT_SECONDS = 2.0
"""A working tree on a slow network file system must not hold up a sweep."""


@dataclass(frozen=True)
class Surroundings:
    commit: str | None = None
    """of the working folder's repository; None where there is none"""
    is_changed: bool = False
    """whether files of that commit were changed and not committed"""
    versions: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    host: str | None = None

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Surroundings:
        """What the training runs of that sweep's run share with it."""
        return cls(commit=tags.get("mlflow.source.git.commit"), is_changed="lrsweep.git" in tags)

    def tags(self) -> dict[str, str]:
        """Of the sweep's own run."""
        return {
            **self.commit_tags(),
            **{f"lrsweep.version.{name}": text for name, text in self.versions.items()},
            **({"mlflow.user": self.user} if self.user else {}),
            **({"lrsweep.host": self.host} if self.host else {}),
        }

    def commit_tags(self) -> dict[str, str]:
        """Of every run: MLflow's table has a column for it."""
        if self.commit is None:
            return {}
        return {"mlflow.source.git.commit": self.commit, **({"lrsweep.git": "changed"} if self.is_changed else {})}


def look_around(*, with_user: bool) -> Surroundings:
    described = _described_commit()
    return Surroundings(
        commit=described.removesuffix(DIRTY) if described else None,
        is_changed=described.endswith(DIRTY),
        versions=versions(),
        user=_user() if with_user else None,
        host=socket.gethostname() if with_user else None,
    )


def _described_commit() -> str:
    """``9c0d…``, with ``-dirty`` where files were changed; nothing without git or outside of a repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    # no tag matches an empty pattern: what is left to describe is the commit itself
    asked = [git, "describe", "--always", "--abbrev=40", f"--dirty={DIRTY}", "--exclude=*"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return UNKNOWN
