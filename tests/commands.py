"""The real command in a real process, as a person or a nightly job runs it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUDY = """\
[study]
name = "{name}"
workload = "digits"
horizon = {horizon}
[space]
families = ["constant", "cosine", "linear"]
[budget]
trials = {trials}
"""

LONGEST_SECONDS = 600
"""On a machine that others use too; where nothing is wrong nobody waits for it."""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """The object in the last line of standard output."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


def lrsweep(*arguments: str, home: Path, environ: Mapping[str, str] | None = None) -> Ran:
    """Runs the command in a home, with no setting of the outer environment but those given.

    One training after the other, unless the test says otherwise: what ``auto`` measures is another thing each time.
    """
    process = start_lrsweep(*arguments, home=home, environ=environ)
    out, err = process.communicate(timeout=LONGEST_SECONDS)
    return Ran(process.returncode, out, err)


def start_lrsweep(
    *arguments: str, home: Path, environ: Mapping[str, str] | None = None, in_own_group: bool = False
) -> subprocess.Popen[str]:
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("LRSWEEP_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "lrsweep.cli", *arguments],
        env=outer | {"LRSWEEP_HOME": str(home), "LRSWEEP_ENGINE": "sequential"} | dict(environ or {}),
        cwd=home.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0 if in_own_group else None,
    )


def write_study(folder: Path, *, name: str = "tiny", trials: int = 4, horizon: int = 60) -> Path:
    """A study of three families on the smallest workload."""
    file = folder / f"{name}.toml"
    file.write_text(STUDY.format(name=name, trials=trials, horizon=horizon))
    return file


def query(home: Path, sql: str) -> Any:
    """The first column of the first row that the results in that home give; 0 while there are no tables yet."""
    if not (home / "results.db").exists():
        return 0
    with closing(sqlite3.connect(f"file:{home / 'results.db'}?mode=ro", uri=True, timeout=20)) as database:
        try:
            return database.execute(sql).fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def wait_for(condition: Callable[[], bool], seconds: float = LONGEST_SECONDS / 2) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
