"""Without the other libraries these tests skip, but under CI, where all are installed, they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
WITHOUT_PEERS = """
import sys
sys.modules.update(dict.fromkeys(("accelerate", "jax", "keras", "optax", "timm", "transformers")))
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def run_without_peers(**environment: str) -> subprocess.CompletedProcess[str]:
    """Four whole files, and a test of a fifth, in which each test asks for its library."""
    files = [str(FOLDER / f"test_{name}.py") for name in ("keras", "optax", "timm", "trainer_names", "transformers")]
    one_test = f"{FOLDER / 'test_emitted_code.py'}::test_keras_refuses_a_config_for_another_horizon"
    own = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_PEERS,
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            *files,
            one_test,
        ],
        cwd=FOLDER.parent.parent,
        env={**own, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_without_the_peers_every_comparison_skips_with_its_reason() -> None:
    """Whoever installs ``.[dev]`` alone sees what is missing and how to get it, and no error."""
    run = run_without_peers()
    assert run.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), run.stdout
    for name in ("jax", "keras", "timm", "transformers"):
        assert f"{name} is not installed; it comes with the extra 'peers'" in run.stdout
    assert "error" not in run.stdout.splitlines()[-1]


def test_under_ci_a_missing_peer_fails() -> None:
    """A comparison that is silently left out would look like one that passed."""
    run = run_without_peers(CI="true")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
    last = run.stdout.splitlines()[-1]
    assert "skipped" not in last
    assert "1 failed" in last
    assert "under CI nothing here may skip" in run.stdout
