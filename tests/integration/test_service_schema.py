"""schemathesis over the whole OpenAPI: what it draws, sends and looks at, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrsweep.store.tokens import Scope
from tests.served import SWEEP, SWEPT, Served, fill, give, register, served

pytest.importorskip("schemathesis", reason="pip install schemathesis")

EXAMPLES = 8
"""Drawn for each operation, beside those that cover each rule of its schema."""
KNOWN = f'[parameters]\n"path.name" = "{SWEPT}"\n"path.sweep_id" = "{SWEEP}"\n'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    home = tmp_path_factory.mktemp("schema") / "home"
    fill(f"sqlite:///{home}/results.db")
    register(f"sqlite:///{home}/results.db", SWEPT)
    token = give(f"sqlite:///{home}/results.db", "all", Scope.ADMIN)
    with served(home, "--rate", "100000") as service:
        yield service, token


@pytest.mark.parametrize("config", ["", KNOWN], ids=["any names", "names that are there"])
def test_nothing_that_the_schema_allows_or_forbids_breaks_the_service(
    guarded: tuple[Served, str], tmp_path: Path, config: str
) -> None:
    """No 5xx; every status, media type and body is one that the schema names; what it forbids is refused; no route is
    open without its token. (One check is left out: that a cursor was given by a page, no schema can say.)"""
    service, token = guarded
    (tmp_path / "schemathesis.toml").write_text(config)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml")),
        *("run", f"{service.url}/openapi.json", "--header", f"Authorization: Bearer {token}"),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color"),
    ]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "13 passed" in ran.stdout or "Tested: 13" in ran.stdout, ran.stdout
    assert service.get("/healthz").status == 200
