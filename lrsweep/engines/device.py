"""The device that an engine's process trains on."""

from __future__ import annotations

import os
import re

import torch

from lrsweep.errors import SettingsError

AUTO, CUDA = "auto", "cuda"

_GPU_LOST = re.compile(
    r"^\S.*CUDA error: (?!out of memory|invalid (?:argument|configuration|device ordinal)|no kernel image)",
    re.MULTILINE,
)


def open_device(name: str) -> torch.device:
    """``auto``: a GPU where there is one, else the CPU; of several the first. Raises SettingsError for a device that is
    not there.

    On a CPU one thread trains: small models gain nothing from more, and the driver and its writers need other cores.
    """
    if name == AUTO:
        name = CUDA if torch.cuda.is_available() else "cpu"
    if name == CUDA and torch.cuda.device_count() > 1:
        name = f"{CUDA}:0"  # that a training ran on this one is told, where another may run on the next
    torch.set_num_threads(1)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a PyTorch that was built without CUDA
        there = ["'cpu'", *(f"'cuda:{index}'" for index in range(torch.cuda.device_count()))]
        reason = str(error).partition("\n")[0]
        if reason.startswith("Expected one of"):  # a list of 20 kinds, most of them of no machine
            reason = "it knows no such device"
        raise SettingsError(
            f"--device is {name!r}, but PyTorch cannot use it ({reason}). There is: {', '.join(there)}."
        ) from error
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)  # streams and graphs belong to the current one
        _repeat_bits()
    return device


def is_gpu_lost(error: str) -> bool:
    """Whether a training failed in a way after which nothing works on the GPU in this process: CUDA tells the same of
    every call that follows."""
    return _GPU_LOST.search(error) is not None


def _repeat_bits() -> None:
    """On a GPU the same training gives other bits each time unless PyTorch is told not to let it."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used; 32 MiB less to share
    torch.use_deterministic_algorithms(True, warn_only=True)  # a warning: not every operation has such an algorithm
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # costs a kernel per tensor
    torch.backends.cudnn.benchmark = False  # it picks the convolution that is fastest just now
    # convolutions use TF32 unless told otherwise, matrix products do not: float32 is to mean one thing. By the older of
    # PyTorch's two interfaces, since programs that read that one fail after a write to the newer
    torch.backends.cudnn.allow_tf32 = False


def seed_generators(seed: int, device: torch.device) -> None:
    """PyTorch's own, for a model that draws from them. ``torch.manual_seed`` does it for kinds of devices that are not
    there as well, and takes a millisecond, as long as to make a small model."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
