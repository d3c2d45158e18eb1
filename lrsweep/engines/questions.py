"""What ``lrsweep check-workload`` asks a process of, and what comes back; loads no torch.

    Look  ──> Looked     the checks, the speed, the memory, and the trace of a training
    Again ──> Repeated   the traces of the same training in another process, whole and from a checkpoint of the first

A *trace* is a hash of every bit of a training's curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrsweep.records import EngineSettings, OptimizerSpec, WorkloadFacts, WorkloadSpec


@dataclass(frozen=True)
class Check:
    """One question; ``passed`` is None where nothing could be seen, and ``text`` says why."""

    name: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class Training:
    """What is trained: both processes do the same."""

    workload: WorkloadSpec
    optimizer: OptimizerSpec
    engine: EngineSettings
    steps: int
    device: str
    checkpoints: Path
    """an empty folder, for one process to leave half a training to the other"""
    data: Path | None = None


@dataclass(frozen=True)
class Look:
    training: Training


@dataclass(frozen=True)
class Again:
    training: Training


@dataclass(frozen=True)
class FusedSpeed:
    slots: int
    steps_per_second: float
    """of all slots together"""


@dataclass(frozen=True)
class Looked:
    facts: WorkloadFacts
    device: str
    checks: tuple[Check, ...]
    trace: str | None
    """None where it does not train"""
    steps_per_second: float | None
    fused: FusedSpeed | None
    """None where it cannot be fused"""
    process_bytes: int
    """the most that the process has held with one training at a time, PyTorch's libraries included"""
    device_bytes: int | None
    """the most that tensors have held on the GPU, also with one at a time"""


@dataclass(frozen=True)
class Repeated:
    whole: str
    resumed: str | None
    """None where no checkpoint was found"""
