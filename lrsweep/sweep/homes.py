"""Where a sweep keeps things, and how it is asked to run: plain values, made by settings and commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lrsweep.executors.engine_option import DEFAULT, EngineOption
from lrsweep.executors.executor_option import HERE, ExecutorOption
from lrsweep.executors.place import Place
from lrsweep.sweep.faults import Faults


@dataclass(frozen=True)
class Homes:
    """Where results, copies and artifacts live."""

    folder: Path
    results_url: str
    optuna_url: str
    mlflow_uri: str
    artifact_root: Path | None
    """None where a tracking server decides"""
    data: Path | None = None
    """the folder of data sets; None: the workloads' default"""

    checkpoints_at: Path | str | None = None
    """another folder of checkpoints than the home's, or a URL as text"""

    @property
    def checkpoints(self) -> Path | str:
        """A folder per training that has no result yet; a URL as text."""
        return self.folder / "checkpoints" if self.checkpoints_at is None else self.checkpoints_at

    @property
    def engines(self) -> Path:
        """A file: what was measured to choose an engine, for the next sweep that asks the same."""
        return self.folder / "engines.json"

    @property
    def scratch(self) -> Path:
        """A folder per script that is being asked what it is."""
        return self.folder / "scratch"

    def place(self, device: str, executor: ExecutorOption = HERE) -> Place:
        """Where trainings run that are driven from here."""
        return Place(
            device,
            executor,
            data=self.data,
            scratch=self.scratch,
            engines=self.engines,
            checkpoints=str(self.checkpoints),
        )


When = Literal["never", "when over", "always"]


@dataclass(frozen=True)
class Options:
    device: str = "auto"
    another: When = "never"
    """whether to start another sweep although one of the same generation exists"""
    deadline_seconds: float | None = None
    engine: EngineOption = DEFAULT
    executor: ExecutorOption = HERE
    sweep_id: str | None = None
    """of the sweep to drive, where it was settled before: it is continued, or a new one gets it"""
    generation: str | None = None
    """that the study was of when ``sweep_id`` was settled"""
    faults: Faults = field(default_factory=Faults)
