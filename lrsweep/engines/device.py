"""The device that an engine's process trains on."""

from __future__ import annotations

import torch

AUTO = "auto"


def open_device(name: str) -> torch.device:
    """``auto``: a GPU where there is one, else the CPU. On a CPU one thread trains: small models gain nothing from
    more, and the driver and its writers need the other cores.
    """
    if name == AUTO:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    return torch.device(name)
