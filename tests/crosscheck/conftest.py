"""The libraries that our schedules are compared with: no network, no GPU, 64-bit numbers, nothing written to the home.

They read these variables when they are first imported, and pytest reads this file before it imports a test beside it.

CI installs all of them, so under CI a test that skips for want of one fails.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.CollectReport, pytest.TestReport)

OWN_HOME = tempfile.mkdtemp(prefix="keras-")
atexit.register(shutil.rmtree, OWN_HOME, ignore_errors=True)

os.environ.update(
    HF_HUB_OFFLINE="1",
    JAX_ENABLE_X64="1",
    JAX_PLATFORMS="cpu",
    KERAS_BACKEND="torch",  # on JAX and NumPy some of Keras's schedules stay in 32 bits
    KERAS_HOME=OWN_HOME,  # otherwise ~/.keras
    KERAS_TORCH_DEVICE="cpu",
)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _failed_if_skipped_under_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _failed_if_skipped_under_ci((yield))


def _failed_if_skipped_under_ci(report: Report) -> Report:
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{reason}; under CI nothing here may skip"
    return report
