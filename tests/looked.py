"""A sweep of scripted trainings in a store, with all that a look at it reads; and the command run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from lrsweep.cli.main import app
from lrsweep.errors import LrsweepError
from lrsweep.records import StudyRow
from lrsweep.store import MemoryStore, Store, open_store
from lrsweep.study import ResolvedStudy
from tests.commands import Ran
from tests.scripted import Bench, Script, completed


def a_bench(study: ResolvedStudy, store: Store | None = None) -> Bench:
    """Nothing has trained yet; its row says what the study is."""
    bench = Bench(study) if store is None else Bench(study, store=cast(MemoryStore, store))
    row = StudyRow(study.name, study.meaning, study.generation, json.loads(json.dumps(study.spec())))
    bench.store.register_study(bench.lease, row)
    return bench


def a_driven_bench(study: ResolvedStudy, script: Script = completed, store: Store | None = None) -> Bench:
    """The sweep's budget is used, and its driver still holds the lease."""
    bench = a_bench(study, store)
    bench.drive(script)
    return bench


def in_a_home(home: Path, study: ResolvedStudy, script: Script = completed) -> Path:
    """The same in an SQLite file, and its driver has left."""
    store = open_store(f"sqlite:///{home}/results.db")
    try:
        bench = a_driven_bench(study, script, store)
        store.release_lease(bench.lease)
    finally:
        store.close()
    return home


Typed = Callable[..., Ran]


def typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path, environ: Mapping[str, str]
) -> Typed:
    """The command in this process: what it prints, and its exit code."""
    for name in [name for name in os.environ if name.startswith(("LRSWEEP_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    for name, value in {"LRSWEEP_HOME": str(home), "COLUMNS": "200", **environ}.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Ran:
        capsys.readouterr()
        code, error = 0, ""
        try:
            app(list(words), standalone_mode=False)
        except LrsweepError as raised:
            code, error = raised.exit_code, str(raised)
        out, err = capsys.readouterr()
        return Ran(code, out, err + error)

    return run
