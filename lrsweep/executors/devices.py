"""Which devices of this machine train a sweep, from what ``--device`` says.

auto, cuda       all GPUs; with ``auto`` the CPU where there is none
cuda:1           that one
cuda:0,cuda:2    these
cpu              the CPU

PyTorch says which there are. It takes seconds to import, so it is asked in a process of its own, while others start,
and only where there may be several: one device is found by the engine that trains on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from lrsweep.engines.command.devices import visible_gpus
from lrsweep.engines.probing import TorchProbed, probing_torch
from lrsweep.errors import SettingsError

AUTO, CUDA = "auto", "cuda"
_NUMBERED = re.compile(r"cuda:\d+")


@dataclass(frozen=True)
class Device:
    """What an engine's process is started with."""

    name: str
    kind: str = ""
    """equal ones are measured once: a GPU's own name"""


class Devices:
    """Those that were asked for, of which the first is known at once."""

    def __init__(self, asked: str, environ: Mapping[str, str]) -> None:
        """Raises SettingsError for a list that is none."""
        self._asked = asked
        self._environ = environ
        self._names = names_in(asked)
        self._found: Sequence[Device] | None = None
        self._asking = ExitStack()
        self._answer: Callable[[], TorchProbed] = TorchProbed
        self._is_begun = False

    @property
    def first(self) -> Device:
        return Device(self._names[0])

    @property
    def are_listed(self) -> bool:
        """Whether each was named."""
        return len(self._names) > 1

    def begin(self) -> None:
        """Begins to ask PyTorch, and returns at once."""
        if self._is_begun or self._found is not None:
            return
        self._is_begun = True
        if self.are_listed or (self._asked in (AUTO, CUDA) and len(visible_gpus(self._environ)) > 1):
            self._answer = self._asking.enter_context(probing_torch(environ=self._environ))
        else:
            self._found = (self.first,)

    def found(self) -> Sequence[Device]:
        """All of them, at least one. Raises SettingsError where one that was named is not there."""
        self.begin()
        if self._found is None:
            self._found = among(self._asked, self._answer())
            self.close()
        return self._found

    def close(self) -> None:
        """Ends what was begun."""
        self._asking.close()
        self._is_begun = False


def names_in(asked: str) -> Sequence[str]:
    """Raises SettingsError for a list of anything but GPUs by their numbers.

    >>> names_in("cuda:0, cuda:2"), names_in("auto")
    (('cuda:0', 'cuda:2'), ('auto',))
    """
    names = tuple(name.strip() for name in asked.split(","))
    if len(names) > 1 and (len(set(names)) < len(names) or not all(map(_NUMBERED.fullmatch, names))):
        raise SettingsError(
            f"--device is {asked!r}; a list wants GPUs by their numbers, each of them once, as in 'cuda:0,cuda:2'."
        )
    return names


def among(asked: str, there: TorchProbed) -> Sequence[Device]:
    """What was asked for, of what PyTorch finds. Raises SettingsError where a name is missing there.

    Where it finds no GPU, or cannot be asked, the first engine's process says by itself what is wrong.
    """
    gpus = {f"{CUDA}:{index}": Device(f"{CUDA}:{index}", gpu.name) for index, gpu in enumerate(there.gpus)}
    names = names_in(asked)
    if len(names) == 1:
        return tuple(gpus.values()) if asked in (AUTO, CUDA) and gpus else (Device(asked),)
    missing = [name for name in names if name not in gpus]
    if missing:
        why = there.error or there.cuda_error
        raise SettingsError(
            f"--device is {asked!r}, and PyTorch finds no {' and no '.join(missing)}{f' ({why})' if why else ''}. "
            f"There is: {', '.join(repr(name) for name in ('cpu', *gpus))}."
        )
    return tuple(gpus[name] for name in names)


def told(devices: Sequence[Device]) -> str:
    """``2 devices: cuda:0, cuda:2 (NVIDIA H200)``."""
    of_kind: dict[str, list[str]] = {}
    for device in devices:
        of_kind.setdefault(device.kind, []).append(device.name)
    parts = [f"{', '.join(names)}{f' ({kind})' if kind else ''}" for kind, names in of_kind.items()]
    return f"{len(devices)} devices: {', '.join(parts)}"
