"""Which errors leave nothing of a GPU in a process, and what a trainer then does with what waits."""

from __future__ import annotations

import pytest

from lrsweep.engines.device import is_gpu_lost


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: CUDA error: an illegal memory access was encountered",
        "torch.AcceleratorError: CUDA error: device-side assert triggered",
        "RuntimeError: CUDA error: uncorrectable ECC error encountered",
    ],
)
def test_what_spoils_the_process_is_known(line: str) -> None:
    """By the last line of a traceback."""
    assert is_gpu_lost(
        f"Traceback (most recent call last):\n  File 'a.py', line 1, in f\n    g()\n{line}\nCUDA kernel …"
    )


@pytest.mark.parametrize(
    "line",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "RuntimeError: CUDA error: out of memory",
        "RuntimeError: CUDA error: invalid device ordinal",
        "ValueError: no such batch",
        "    raise RuntimeError('CUDA error: unspecified launch failure')",
    ],
)
def test_after_all_else_the_next_training_may_run_there(line: str) -> None:
    """Also where the source of a traceback speaks of it."""
    assert not is_gpu_lost(f"Traceback (most recent call last):\n{line}")
