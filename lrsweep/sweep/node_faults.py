"""Whether a training failed by the machine that it ran on, or by its own code: read from what it was failed with.

A machine's fault may pass: a disk that was full, a GPU that lost its context, memory that another program had. Code
fails again in the same way. What no pattern knows is code: an attempt in vain costs a training, and hides its cause.
"""

from __future__ import annotations

import errno
import re

_ERRORS = """
    EIO ENOMEM ENODEV ENFILE EMFILE ENOSPC EROFS EPIPE ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOTCONN ETIMEDOUT
    ECONNREFUSED EHOSTDOWN EHOSTUNREACH ESTALE EREMOTEIO EDQUOT
"""
"""Of disk, network and handles; a file that is not there, or not allowed, is the code's."""
_NUMBERS = "|".join(str(getattr(errno, name)) for name in _ERRORS.split() if hasattr(errno, name))

PATTERNS = {
    "memory of the machine": r"^MemoryError\b|DefaultCPUAllocator: can't allocate memory|Cannot allocate memory"
    r"|std::bad_alloc|^out of memory on the CPU\b|Unable to allocate .+ for an array",
    "disk, network or handles": rf"\[Errno (?:{_NUMBERS}|-3)\]|No space left on device"
    r"|Disk quota exceeded|Stale file handle|Input/output error|Too many open files"
    r"|Temporary failure in name resolution",
    "a connection": r"^(?:\w+\.)*(?:BrokenPipe|Connection(?:Reset|Aborted|Refused))Error\b"
    r"|Connection reset by peer|Connection timed out",
    "the GPU or its driver": r"CUDA error: (?!out of memory|invalid (?:argument|configuration|device ordinal)"
    r"|no kernel image)|CUDA_ERROR_(?!OUT_OF_MEMORY|INVALID|NO_BINARY)|uncorrectable ECC|\bXid\b"
    r"|fallen off the bus|CUDNN_STATUS_(?:INTERNAL_ERROR|EXECUTION_FAILED|MAPPING_ERROR)"
    r"|CUBLAS_STATUS_(?:INTERNAL_ERROR|EXECUTION_FAILED|NOT_INITIALIZED)|CUDA unknown error"
    r"|CUDA driver initialization failed|Failed to initialize NVML",
    "the network between GPUs": r"\bNCCL [Ee]rror\b|\bncclSystemError\b|\bncclInternalError\b|\bncclRemoteError\b"
    r"|Watchdog caught collective operation timeout|DistNetworkError|DistBackendError",
    "a process that was killed": r"is killed by signal|DataLoader worker \(pid\S*.*\) exited unexpectedly"
    r"|\bSIG(?:KILL|BUS)\b|exitcode\s*: -(?:7|9|15)\b|[Bb]us error",
}
"""By what they tell of. A GPU's memory is not among them: a training that does not fit alone never will."""

_KNOWN = {name: re.compile(pattern) for name, pattern in PATTERNS.items()}


def node_fault(error: str) -> str | None:
    """What of the machine is at fault by this text, with the line that tells; None: the code is.

    Lines that are indented are those of a traceback's source, and say nothing of what happened.

    >>> node_fault("Traceback …\\n  raise OSError\\nOSError: [Errno 28] No space left on device")
    'disk, network or handles: OSError: [Errno 28] No space left on device'
    >>> node_fault("Traceback …\\n  open(path)\\nFileNotFoundError: [Errno 2] No such file or directory: 'a.csv'")
    """
    for line in error.splitlines():
        if line[:1].isspace():
            continue
        for name, pattern in _KNOWN.items():
            if pattern.search(line):
                return f"{name}: {line.strip()}"
    return None
