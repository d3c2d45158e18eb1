"""``run.device`` of a study that is planned here and perhaps run elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from lrsweep.engines.probing import TorchProbed, probe_torch
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.study import ResolvedStudy


def without_device(study: ResolvedStudy, probe: Callable[[], TorchProbed] = probe_torch) -> str | None:
    """What is said where the file names a GPU that this machine lacks: it is no fault of a file that another machine
    runs. The probe takes seconds, and is made only for a GPU; a script finds its devices by itself."""
    device = study.run.device
    if device is None or not device.startswith("cuda") or study.workload.name == COMMAND:
        return None
    gpus = [f"cuda:{index}" for index, _ in enumerate(probe().gpus)]
    if gpus and {name.strip() for name in device.split(",")} <= {"cuda", *gpus}:
        return None
    return (
        f"run.device is {device!r}, which PyTorch does not find on this machine: `lrsweep run` would be refused here "
        f"without --device. There is: {', '.join(['cpu', *gpus])}."
    )
