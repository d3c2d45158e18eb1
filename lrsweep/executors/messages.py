"""What crosses the pipe between the driver and an engine's process, beside plans and records."""

from __future__ import annotations

from dataclasses import dataclass

from lrsweep.records import WorkloadSpec


@dataclass(frozen=True)
class Describe:
    """Asks for the ``WorkloadFacts`` of a workload; the process loads it and keeps it for the plans to come."""

    workload: WorkloadSpec


@dataclass(frozen=True)
class CannotDescribe:
    """The workload cannot be trained here, and why: a sentence where the input is wrong, else a traceback."""

    text: str
    is_input: bool


@dataclass(frozen=True)
class Lost:
    """A training whose process ended before its outcome came; ``was_running`` is false where it had not begun."""

    training_id: str
    reason: str
    was_running: bool
