"""Where trainings run, as plain values: who only passes it on need not import an executor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrsweep.executors.executor_option import HERE, ExecutorOption


@dataclass(frozen=True)
class Place:
    """Where trainings run, and what they may use there."""

    device: str = "auto"
    executor: ExecutorOption = HERE
    data: Path | None = None
    scratch: Path | None = None
    engines: Path | None = None
    """a file of what was measured to choose an engine; None: nothing is kept"""
    checkpoints: str | None = None
    """the folder or URL that plans name folders in; other machines say whether they see it"""
