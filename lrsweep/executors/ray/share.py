"""How much of a node a station gets, and how many stations a cluster holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lrsweep.errors import SettingsError
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.records import WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import command_of

DEVICES = ("auto", "cpu", "cuda")
MODEL = "accelerator_type:"
"""With what Ray names a GPU's model among the resources of a node."""


@dataclass(frozen=True)
class Share:
    """Of a node; Ray counts it, and holds nobody to it but by the GPUs that it lets a process see."""

    gpus: float
    cpus: float

    @property
    def cores(self) -> int | None:
        """That engines may use at once; None where they train on a GPU, and wait for it."""
        return None if self.gpus else max(1, math.floor(self.cpus))

    def device(self, asked: str) -> str:
        """For the station's executor: without a GPU of its own it must not take one that it happens to see."""
        return asked if self.gpus else "cpu"

    def fits(self, nodes: Iterable[Mapping[str, float]]) -> int:
        """How many stations these nodes hold, by what each has in all."""
        return sum(self._fits(node) for node in nodes)

    def _fits(self, node: Mapping[str, float]) -> int:
        wanted = {"GPU": self.gpus, "CPU": self.cpus}
        return min((math.floor(node.get(kind, 0.0) / count) for kind, count in wanted.items() if count), default=0)

    def __str__(self) -> str:
        parts = [f"{count:g} {kind}" for kind, count in (("GPU", self.gpus), ("CPU", self.cpus)) if count]
        return " and ".join(parts)


def check_device(device: str) -> None:
    """Raises SettingsError for a device that means one of a machine's."""
    if device not in DEVICES:
        raise SettingsError(
            f"--device is {device!r}, but on a Ray cluster each station gets its GPU from Ray; wanted is auto, cpu "
            "or cuda."
        )


def share_of(
    option: ExecutorOption, device: str, workload: WorkloadSpec | None, nodes: Iterable[Mapping[str, float]]
) -> Share:
    """What was asked for, else one GPU where there are any, else one CPU; a script's training gets all its GPUs.

    Raises SettingsError where that is nothing.
    """
    if option.gpus is not None:
        gpus = option.gpus
    elif device == "cpu" or (option.cpus is not None and device == "auto"):
        gpus = 0.0
    elif device == "cuda" or any(node.get("GPU", 0.0) >= 1 for node in nodes):
        script = command_of(workload) if workload is not None and workload.name == COMMAND else None
        gpus = float(max(1, script.gpus_per_training)) if script is not None else 1.0
    else:
        gpus = 0.0
    cpus = 1.0 if option.cpus is None else option.cpus
    if not gpus and not cpus:
        raise SettingsError(
            f"{option.given_by} is {str(option)!r}, a share of nothing: give cpus= or gpus= more than 0."
        )
    return Share(gpus, cpus)


def device_in(share: Share, nodes: Iterable[Mapping[str, float]]) -> str:
    """What stations get of these nodes, with the models of GPUs where Ray knows them.

    >>> device_in(Share(1, 1), [{"CPU": 8.0, "GPU": 4.0, "accelerator_type:H200": 1.0}])
    'cuda (H200)'
    """
    if not share.gpus:
        return "cpu"
    holding = [node for node in nodes if share.fits([node])]
    models = sorted({name.removeprefix(MODEL) for node in holding for name in node if name.startswith(MODEL)})
    return f"cuda ({', '.join(models)})" if models else "cuda"
