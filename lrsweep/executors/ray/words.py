"""What crosses the network between the driver and a station: plain values, those of the pipe among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.executors.messages import Busy, Lost
from lrsweep.records import Record, TrainingPlan, WorkloadSpec


@dataclass(frozen=True)
class Posting:
    """What a station is to be."""

    device: str
    cores: int | None
    """that its engines may use at once; None: what the node has"""
    folder: str
    """where the driver works: scripts and workloads of one's own are named from there"""
    data: str | None
    checkpoints: str | None
    """a file in the folder of checkpoints, by which a node shows that it sees it; None: they are at a URL"""
    workload: WorkloadSpec | None
    """that it may begin to load"""


@dataclass(frozen=True)
class Hello:
    """What a station says of itself when it begins, and when it begins again."""

    node: str
    """the name of its machine"""
    node_id: str
    pid: int
    lrsweep: str
    python: str
    torch: str
    sees_folder: bool
    sees_checkpoints: bool
    capacity: int


@dataclass(frozen=True)
class Asked:
    """What the driver has for the station; it answers when it has heard something, or after so many seconds."""

    plans: Sequence[TrainingPlan]
    stops: Sequence[str]
    """training ids, of which none is among the plans behind it"""
    seconds: float


@dataclass(frozen=True)
class Told:
    """What has come since it was asked before, and how it stands."""

    messages: Sequence[Record | Lost]
    said: Sequence[str]
    """sentences for the user"""
    capacity: int
    """how many trainings it takes in all"""
    busy: Busy | None
    arrangement: str
    pids: Sequence[int]
    """of its engines' processes"""


@dataclass(frozen=True)
class Fitted:
    """The station is ready for plans; or what is wrong with it, and then it is not used."""

    told: Told
    refusal: str | None = None
