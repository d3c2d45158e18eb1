"""``[study.workload]`` with a ``command``: how a user's script is run. A frozen value, and its form in a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal, get_args

from lrsweep.records import Json, WorkloadSpec
from lrsweep.scripts.command_line import LR_TABLE, placeholders

NAME = "command"
"""What a ``WorkloadSpec`` with a command is called."""
OPTIMIZER = "script"
"""The optimizer of a script is its own; this is what it is called in tables and parameters."""

TableFormat = Literal["json", "csv", "npy"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)

TOO_LATE = "and the script reports none in time for it to react"
"""In the error of every training that failed for this: what goes for one reactive schedule goes for all of them."""

_RUNNING = ("concurrency", "time_limit", "stall_after", "stop_grace", "fork", "table_format")
"""How it is run, which changes no result: these belong to no meaning."""
_ELSEWHERE = ("steps", "version", "families", "rate_exponent")
"""The study's horizon, the workload's version, and what is searched."""


@dataclass(frozen=True)
class Command:
    """Times are in seconds."""

    command: str
    """a template (``lrsweep.scripts.command_line``)"""
    steps: int | None = None
    """of a full training; None: what the script says in ``attach``"""
    families: Mapping[str, str] = field(default_factory=dict)
    """by family the flags that are appended, a template too; empty: the script can follow any family"""
    table_format: TableFormat = "json"
    """of the file that {lr_table} names"""
    rate_exponent: float = 0.25
    """of the rung's correction: 0.5 fits SGD, 0 to 0.25 Adam and its like"""
    version: int = 1
    """raised by the user when the script trains differently: results before and after are not compared"""
    gpus_per_training: int = 0
    """0: the command sees every device"""
    concurrency: int | None = None
    """trainings at a time; None: as many as there are sets of ``gpus_per_training``, else 1"""
    time_limit: float | None = None
    """a training that takes longer is failed"""
    stall_after: float | None = 1800.0
    """one that says nothing for so long, neither a report nor a line of output, is killed and queued again"""
    stop_grace: float = 30.0
    """between the wish that a script stops, and the kill"""
    fork: bool = True
    """from a process that has imported the script's libraries, where that can be; else each training imports them"""

    @property
    def follows(self) -> Literal["attach", "table", "flags"]:
        """How the script gets its rates: from ``attach``, from a file of rates, or from flags of its own."""
        if self.families:
            return "flags"
        return "table" if LR_TABLE in placeholders(self.command) else "attach"

    def spec(self) -> WorkloadSpec:
        return WorkloadSpec(NAME, asdict(self))

    def meaning(self) -> dict[str, Json]:
        """The settings that two comparable values share, without the defaults: one that a release adds then changes no
        hash."""
        named = [each for each in fields(self) if each.name not in (*_RUNNING, *_ELSEWHERE)]
        return {each.name: value for each in named if (value := getattr(self, each.name)) != each.default}


def command_of(spec: WorkloadSpec) -> Command:
    """What ``Command.spec`` wrote."""
    return Command(**spec.settings)
