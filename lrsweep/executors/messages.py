"""What crosses the pipe between the driver and an engine's process, beside plans and records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrsweep.records import WorkloadSpec


@dataclass(frozen=True)
class Prepare:
    """What will be trained: the process may begin to load what that needs."""

    workload: WorkloadSpec


@dataclass(frozen=True)
class Describe:
    """Asks for the ``WorkloadFacts`` of a workload; the process loads it and keeps it for the plans to come."""

    workload: WorkloadSpec
    folder: Path
    """an empty one, for a script that is asked what it is"""


@dataclass(frozen=True)
class CannotDescribe:
    """The workload cannot be trained here, and why: a sentence where the input is wrong, else a traceback."""

    text: str
    is_input: bool


@dataclass(frozen=True)
class Alive:
    """The process lives although it has nothing to tell: a script may be silent for hours."""


@dataclass(frozen=True)
class Said:
    """A sentence for the user that is no record: a warning of the engine, or of what it runs."""

    text: str


@dataclass(frozen=True)
class Lost:
    """A training whose attempt ended before its outcome came.

    ``was_running`` is false where that is no death: it had not begun, or it was preempted.
    """

    training_id: str
    reason: str
    was_running: bool
