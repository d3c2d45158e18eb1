"""Which failures another attempt may not meet: by what machines, drivers and libraries have really said."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lrsweep.engines.memory import failure
from lrsweep.sweep.node_faults import node_fault

OF_THE_MACHINE = [
    "OSError: [Errno 28] No space left on device",
    "OSError: [Errno 122] Disk quota exceeded: '/data/run'",
    "OSError: [Errno 116] Stale file handle",
    "OSError: [Errno 24] Too many open files: '/proc/meminfo'",
    "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
    "BrokenPipeError: [Errno 32] Broken pipe",
    "urllib3.exceptions.ProtocolError: ('…', ConnectionResetError(104, 'Connection reset by peer'))",
    "MemoryError",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array with shape (1000000000,)",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: can't allocate memory: you tried …",
    "RuntimeError: CUDA error: uncorrectable ECC error encountered",
    "RuntimeError: CUDA error: unspecified launch failure",
    "RuntimeError: CUDA error: an illegal memory access was encountered",
    "RuntimeError: CUDA error: device-side assert triggered",
    "torch.AcceleratorError: CUDA error: the launch timed out and was terminated",
    "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment, …",
    "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.",
    "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1970, unhandled system error",
    "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.",
    "RuntimeError: DataLoader worker (pid 46794) is killed by signal: Bus error. It is possible that …",
    "RuntimeError: DataLoader worker (pid(s) 3216) exited unexpectedly",
    "RuntimeError: DataLoader worker (pid 13) is killed by signal: Killed.",
    "exitcode  : -9 (pid: 88)",
]
OF_THE_CODE = [
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x784 and 64x10)",
    "ModuleNotFoundError: No module named 'timm'",
    "FileNotFoundError: [Errno 2] No such file or directory: 'train.csv'",
    "PermissionError: [Errno 13] Permission denied: '/data'",
    "KeyError: 'val_acc'",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.89 GiB",
    "RuntimeError: CUDA error: out of memory",
    "RuntimeError: CUDA error: invalid device ordinal",
    "RuntimeError: CUDA error: no kernel image is available for execution on the device",
    "lrsweep.errors.InvalidInput: the metric is 'val_f1', and evaluate gives 'loss': wanted one of …",
    "AssertionError",
    "the script ended with exit code 2",
    "",
]


@pytest.mark.parametrize("line", OF_THE_MACHINE)
def test_a_machines_fault_is_known_by_its_words(line: str) -> None:
    """As the last line of a traceback, and as a line of what a script wrote; the line is in the answer."""
    for text in (
        f"Traceback (most recent call last):\n  File 'a.py', line 3, in f\n    g()\n{line}",
        f"the script ended with exit code 1; it wrote:\n{line}\nsome more",
    ):
        assert (node_fault(text) or "").endswith(line)


@pytest.mark.parametrize("line", OF_THE_CODE)
def test_all_else_is_the_codes(line: str) -> None:
    """Also where the source that a traceback shows speaks of disks and signals."""
    source = "    raise OSError('No space left on device')  # is killed by signal, NCCL error"
    assert node_fault(f"Traceback (most recent call last):\n  File 'a.py', line 3, in f\n{source}\n{line}") is None


def reads_nothing() -> None:
    Path("/proc/self/mem").read_bytes()


def asks_for_too_much() -> None:
    torch.empty(10**15)


def asks_python_for_too_much() -> None:
    bytearray(10**15)


@pytest.mark.parametrize("fails", [reads_nothing, asks_for_too_much, asks_python_for_too_much])
def test_what_this_machine_says_itself_is_known(fails: Callable[[], None]) -> None:
    """A read that fails, and memory that is not there, as an engine tells of them."""
    with pytest.raises((OSError, RuntimeError, MemoryError)) as caught:
        fails()
    assert node_fault(failure(caught.value, torch.device("cpu"))) is not None


def test_an_error_that_came_from_the_machine_is_the_machines() -> None:
    """A library that wraps it: the chain is told from its cause on."""
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as cause:
            raise ValueError("cannot save") from cause
    except ValueError:
        assert node_fault(traceback.format_exc()) is not None
