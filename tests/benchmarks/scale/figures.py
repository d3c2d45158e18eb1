"""What all parts share: a home and a database for each measurement, a child process, and the file that it ends in."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.sweep.machine import machine, versions
from tests.benchmarks.sweep.process import ENVIRONMENT, NOT_INHERITED
from tests.databases import a_postgres_server

DATABASES = ("SQLite", "PostgreSQL")
RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Home:
    folder: Path
    database_url: str | None
    """None: SQLite files in the folder"""

    @property
    def results_url(self) -> str:
        from lrsweep.settings import read_settings, results_url

        given = {"LRSWEEP_HOME": str(self.folder)}
        return results_url(read_settings(given if self.database_url is None else self.environ))

    @property
    def environ(self) -> dict[str, str]:
        """Of a command or a child in this home: nothing of the outer settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        database = {} if self.database_url is None else {"LRSWEEP_DATABASE_URL": self.database_url}
        return kept | ENVIRONMENT | {"LRSWEEP_HOME": str(self.folder)} | database


@contextlib.contextmanager
def a_home(database: str) -> Iterator[Home]:
    """With a server of its own where it is PostgreSQL."""
    with contextlib.ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="lrsweep-bench-", ignore_cleanup_errors=True)
        url = stack.enter_context(a_postgres_server()).get_uri() if database == "PostgreSQL" else None
        yield Home(Path(stack.enter_context(folder)), url)


def child(module: str, *words: str, home: Home, environ: Mapping[str, str] | None = None) -> Any:
    """What the last line of its output says. Raises RuntimeError where it fails."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.scale.{module}", *words],
        cwd=home.folder,
        env=home.environ | dict(environ or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if process.returncode != 0:
        raise RuntimeError(f"{module} ended with exit code {process.returncode}:\n{process.stderr[-4000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def write(part: str, found: Mapping[str, Any], folder: Path, *, is_quick: bool, began: float) -> Path:
    """``began``: the load of the machine before the part, which is none of its own."""
    result = {
        "benchmark": f"scale: {part}",
        "quick": is_quick,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load_before": round(began, 2),
        "machine": machine(),
        "versions": versions(),
        **found,
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"scale_{part}.json"
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def thinned(samples: list[Any], most: int = 60) -> list[Any]:
    """Evenly, the first and the last among them.

    >>> thinned([0, 1, 2, 3, 4], 3)
    [0, 2, 4]
    """
    if len(samples) <= most:
        return samples
    return [samples[round(place * (len(samples) - 1) / (most - 1))] for place in range(most)]
