"""What trains, and what it has: devices, cores, memory, files that may be open, room on disks."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lrsweep.doctor.findings import Finding, fault, ok, warning
from lrsweep.engines.machine import available_bytes, available_cores, nvidia_driver
from lrsweep.engines.probing import TorchProbed

DEVICES, LIMITS, DISK = "devices", "limits", "disk"
GIB = 2**30
MIB = 2**20
LITTLE_MEMORY = GIB
FEW_FILES = 1024
"""A driver with two databases, its engines' pipes, and a script per device has some hundreds open at a time."""
LITTLE_ROOM = 5 * GIB
NO_ROOM = 500 * MIB

BYTES_PER_TRAINING = 150_000
BYTES_PER_STEP = 120
"""In SQL, in MLflow and in artifacts together: the demo's 86 trainings of 27,600 steps took 13 MB."""


def check_devices(torch: TorchProbed) -> list[Finding]:
    found = [_cores(), _memory()]
    driver = nvidia_driver()
    for gpu in torch.gpus:
        found.append(ok(DEVICES, f"{gpu.name}: {gpu.free_bytes / GIB:.1f} of {gpu.memory_bytes / GIB:.1f} GiB free"))
    if torch.gpus or torch.error is not None:
        return found
    if driver is not None:
        said = f"there is a GPU's driver ({driver}), but PyTorch {torch.torch} finds no GPU"
        if torch.cuda is None:
            found.append(
                warning(DEVICES, f"{said}: it was built without CUDA", "Install a build with CUDA: pip install torch")
            )
        else:
            found.append(
                warning(
                    DEVICES,
                    f"{said}: {torch.cuda_error or 'none is visible'}",
                    f"The build is for CUDA {torch.cuda}: update the driver, or check CUDA_VISIBLE_DEVICES and, in a "
                    "container, that it was started with its GPUs (--gpus all).",
                )
            )
    elif torch.cuda is not None:
        found.append(
            ok(
                DEVICES,
                f"no GPU and no driver of one: PyTorch {torch.torch}, built for CUDA {torch.cuda}, trains on the CPU",
            )
        )
    else:
        found.append(ok(DEVICES, f"no GPU: PyTorch {torch.torch} trains on the CPU"))
    return found


def check_limits(nofile: tuple[int, int] | None = None) -> list[Finding]:
    """``nofile``: soft and hard limit of open files, for tests; else this process's."""
    if nofile is None:
        if sys.platform == "win32":
            return []
        import resource

        nofile = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = nofile
    if 0 <= soft < FEW_FILES:
        most = "" if hard < 0 else f" (the most allowed here: {hard})"
        return [warning(LIMITS, f"{soft} files may be open at a time", f"ulimit -n {max(FEW_FILES, 4096)}{most}")]
    return [ok(LIMITS, f"{'any number of' if soft < 0 else soft} files may be open at a time")]


def check_disk(folders: Mapping[str, Path], needed_bytes: int | None = None) -> list[Finding]:
    """Room and the right to write, for each folder by what it is for; ``needed_bytes`` are for the first."""
    found: list[Finding] = []
    for place, (what, folder) in enumerate(folders.items()):
        there = _nearest(folder)
        found += _writable(what, folder, there)
        needed = needed_bytes if place == 0 else None
        found.append(_room(what, folder, shutil.disk_usage(there).free, needed))
    return found


def bytes_needed(trainings: float, steps: float) -> int:
    """That the results of so many trainings will take, without checkpoints."""
    return round(trainings * BYTES_PER_TRAINING + steps * BYTES_PER_STEP)


def _cores() -> Finding:
    cores, all_cores = available_cores(), os.cpu_count() or 1
    limited = f" (of {all_cores}: the container or its affinity gives no more)" if cores < all_cores else ""
    return ok(DEVICES, f"{cores} {'core' if cores == 1 else 'cores'}{limited}")


def _memory() -> Finding:
    free = available_bytes()
    if not free:
        return ok(DEVICES, "how much memory is free, nobody says here")
    said = f"{free / GIB:.1f} GiB of memory free"
    if free < LITTLE_MEMORY:
        return warning(
            DEVICES,
            said,
            "PyTorch takes half a GiB in each process: end other programs, or raise the container's limit.",
        )
    return ok(DEVICES, said)


def _writable(what: str, folder: Path, there: Path) -> list[Finding]:
    """Tried out where the folder is there: permissions do not show a disk that is mounted read-only, or a quota."""
    try:
        if there == folder:
            with tempfile.TemporaryFile(dir=folder):
                return []
    except OSError as error:
        reason = error.strerror or str(error)
        return [
            fault(DISK, f"{what} {folder} cannot be written: {reason}", "Make it writable, or name another folder.")
        ]
    if os.access(there, os.W_OK):
        return []
    return [fault(DISK, f"{what} {folder} cannot be made in {there}", "Make it, or name another folder.")]


def _room(what: str, folder: Path, free: int, needed: int | None) -> Finding:
    said = f"{what} {folder}: {_size(free)} free"
    if needed is not None and needed > free:
        return fault(DISK, f"{said}, and the study needs about {_size(needed)}", "Make room, or name another folder.")
    if free < NO_ROOM:
        return fault(DISK, said, "Make room: databases, checkpoints and artifacts are written there.")
    if free < LITTLE_ROOM:
        return warning(DISK, said, "Make room: checkpoints of a large model may fill it.")
    return ok(DISK, said if needed is None else f"{said}; the study needs about {_size(needed)} and checkpoints")


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())
