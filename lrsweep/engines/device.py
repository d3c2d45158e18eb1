"""The device that an engine's process trains on."""

from __future__ import annotations

import torch

from lrsweep.errors import SettingsError

AUTO = "auto"


def open_device(name: str) -> torch.device:
    """``auto``: a GPU where there is one, else the CPU. Raises SettingsError for a device that is not there.

    On a CPU one thread trains: small models gain nothing from more, and the driver and its writers need other cores.
    """
    if name == AUTO:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a PyTorch that was built without CUDA
        there = ["'cpu'", *(f"'cuda:{index}'" for index in range(torch.cuda.device_count()))]
        reason = str(error).partition("\n")[0]
        raise SettingsError(
            f"--device is {name!r}, but PyTorch cannot use it ({reason}). There is: {', '.join(there)}."
        ) from error
    return device
