"""Which process of a script this is. Several may train together, and others help them: loaders, pools.

PyTorch is asked only where the script has loaded it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

RANK = "RANK"
"""torchrun's; it counts over all machines, and so decides alone where it is set."""
OTHER_RANKS = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "NODE_RANK", "LOCAL_RANK")
"""Lightning starts its processes with the last two alone."""
SIZES = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def is_first() -> bool:
    """Of those that train together; also where it is alone."""
    if (distributed := _distributed()) is not None:
        return bool(distributed.get_rank() == 0)
    rank = _number(RANK)
    return rank == 0 if rank is not None else not any(map(_number, OTHER_RANKS))


def trains_with_others() -> bool:
    """Whether several processes make each update together."""
    if (distributed := _distributed()) is not None:
        return bool(distributed.get_world_size() > 1)
    return any((_number(name) or 1) > 1 for name in SIZES)


def is_helper() -> bool:
    """A loader's or a pool's worker, forked or spawned. A process that ``torch.multiprocessing.spawn`` starts to train
    is none, nor is the first process of a script."""
    own = _of_multiprocessing()
    return own is not None and bool(own.daemon)


def is_started_by_script() -> bool:
    """Whether this is a process that the script has started with ``multiprocessing``, be it to help or to train; also
    while a spawned one still imports the script."""
    own = _of_multiprocessing()
    return own is not None and own.name != "MainProcess"


def _distributed() -> Any:
    module = sys.modules.get("torch.distributed")
    return module if module is not None and module.is_available() and module.is_initialized() else None


def _of_multiprocessing() -> Any:
    """Every process that multiprocessing starts has the module loaded; others need not load it for this."""
    module = sys.modules.get("multiprocessing.process")
    return None if module is None else module.current_process()


def _number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None
