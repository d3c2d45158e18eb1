"""What is said when memory runs out: a training that does not fit alone cannot be mended by trying again."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

NO_GPU_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How it is told by those who do not ask PyTorch for memory: the driver, a library's workspace."""


OUT_OF_MEMORY = "out of memory"
"""How everything begins that tells of it."""


def shortage(error: BaseException, device: torch.device) -> str | None:
    """The numbers and what to do, for an allocation that failed; None for any other error.

    It may be what the error came from: a library tells of its own failure, and a graph of its broken recording.
    """
    return next((told for each in chain(error) if (told := _shortage(each, device))), None)


def failure(error: BaseException, device: torch.device) -> str:
    """What a failed training is told with: the traceback, and before it what to do where memory was short."""
    told = [shortage(error, device), "".join(traceback.format_exception(error))]
    return "\n\n".join(each for each in told if each)


def chain(error: BaseException) -> Sequence[BaseException]:
    """The error, what it came from, and so on to the first."""
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in found:  # an error may be raised from itself
        found.append(each)
        each = each.__cause__ or each.__context__
    return found


def _shortage(error: BaseException, device: torch.device) -> str | None:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(told in text for told in NO_GPU_MEMORY):
        if device.type != "cuda":  # without a GPU's driver its numbers cannot be asked for
            first, _, _ = text.partition("\n")
            return (
                f"{OUT_OF_MEMORY}: {first} This training is on {device}, so the workload itself "
                "uses the device whose memory is meant: take a smaller batch or model there."
            )
        asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
        total = torch.cuda.get_device_properties(device).total_memory
        return (
            f"{OUT_OF_MEMORY} on {device}: {_asked(asked)}; this process has "
            f"{_size(torch.cuda.memory_allocated(device))} allocated and {_size(torch.cuda.memory_reserved(device))} "
            f"reserved of {_size(total)}. The training does not fit although it is alone on its device in this sweep: "
            'take a smaller batch or model, precision = "bfloat16" under [study.engine], or a larger device; '
            "nvidia-smi shows whether another program has the memory."
        )
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:
        asked = re.search(r"tried to allocate (\d+) bytes", text)
        told = f"{_size(int(asked[1]))} were asked for" if asked else _asked(re.search(r"allocate ([\d.]+ \w+)", text))
        return (
            f"{OUT_OF_MEMORY} on the CPU: {told}; this process has {_size(_resident())} allocated, and the machine "
            f"{_size(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))} in total. Take a smaller batch, model "
            "or data set, or a larger machine; a container or ulimit -v may allow less than the machine has."
        )
    return None


def _asked(found: re.Match[str] | None) -> str:
    return f"{found[1]} were asked for" if found else "an allocation failed"


def _resident() -> int:
    """Bytes of this process in memory, as Linux says it; 0 where nobody says it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _size(count: int) -> str:
    """
    >>> _size(512), _size(3 * 2**30)
    ('512 B', '3.00 GiB')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = min(max(count.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{count} B" if power == 0 else f"{count / 1024**power:.2f} {units[power]}"
