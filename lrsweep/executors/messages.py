"""What crosses the pipe between the driver and an engine's process, beside plans and records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrsweep.records import TrainingPlan, WorkloadSpec

BROKEN = 70
"""The exit code of a process that ends by itself, because the GPU does nothing more in it."""


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


@dataclass(frozen=True)
class Use:
    """How trainings run in this process from the next one on: ``slots`` at once, or one after the other with None.

    Sent back with None by a process that was asked for slots and cannot have them.
    """

    slots: int | None


@dataclass(frozen=True)
class Stop:
    """The training is to end as ``stopped``, whether it runs or waits in the process."""

    training_id: str


@dataclass(frozen=True)
class Drain:
    """All trainings are to save what they have, at their next step, and to give way; scripts within their grace."""


@dataclass(frozen=True)
class Drained:
    """The answer, after the last record: what has no outcome by now goes on in another attempt."""


@dataclass(frozen=True)
class Busy:
    """What slots have done, for who watches how full they are: those of a process since it said so last, or those of
    all processes together since the executor uses them."""

    slots: int
    steps: int
    """updates of a whole bank"""
    slot_steps: int
    """updates of trainings in it: at most ``slots`` for each of ``steps``"""


@dataclass(frozen=True)
class Measure:
    """Asks how fast the process trains: ``plans`` again and again for ``seconds``, ``slots`` at once, or one after the
    other with None. What comes once, such as loading, is not counted; for 0 seconds it is all that is done."""

    plans: tuple[TrainingPlan, ...]
    slots: int | None
    seconds: float


@dataclass(frozen=True)
class Measured:
    """The answer: updates of trainings in so many seconds, both 0 with the reason where it could not be done."""

    updates: int
    seconds: float
    peak_bytes: int
    """the most memory that the process (on a GPU: its tensors there) has held"""
    reason: str | None = None
    """why not, in a line: the model cannot be fused, or the memory is too small"""
    device: str = ""
    """``cpu``, or the GPU's own name"""
    free_bytes: int = 0
    """of memory there, as this is answered; 0 where nobody knows"""
    is_lasting: bool = True
    """whether another time is likely to show the same: no memory was short, and no process ended"""
