"""Which devices a training sees: disjoint sets of GPUs, and a port on which its processes find each other."""

from __future__ import annotations

import queue
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lrsweep.errors import InvalidInput
from lrsweep.scripts.command import Command

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER_LIST = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Place:
    """Where one training runs."""

    devices: tuple[str, ...] = ()
    port: int | None = None
    locks: tuple[Path, ...] = ()
    """a file for each device; who holds it has the device for itself"""

    @property
    def name(self) -> str:
        return f"cuda:{','.join(self.devices)}" if self.devices else "script"

    def variables(self) -> dict[str, str]:
        """Nothing without devices: a job on another machine has its own."""
        if not self.devices:
            return {}
        return {
            VISIBLE: ",".join(self.devices),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(self.port),
            "PET_MASTER_PORT": str(self.port),  # what torchrun reads where its --master-port is not given
        }


class Places:
    """The places of a command, each given to one training at a time."""

    def __init__(self, command: Command, environ: Mapping[str, str], locks: Path | None = None) -> None:
        """``locks``: a folder for the files that tell other engines which devices still have a script."""
        self._locks = locks
        self._free: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
        self._ports: set[int] = set()
        self._lock = threading.Lock()
        for devices in device_sets(command, environ):
            self._free.put(devices)

    @contextmanager
    def taken(self) -> Iterator[Place]:
        devices = self._free.get()
        port = self._new_port() if devices else None
        try:
            yield Place(devices, port, self._files(devices))
        finally:
            with self._lock:
                self._ports.discard(port or 0)
            self._free.put(devices)

    def _files(self, devices: Sequence[str]) -> tuple[Path, ...]:
        """In the order of their names, whatever that of the devices is: two who wait never wait for each other."""
        if self._locks is None or not devices:
            return ()
        self._locks.mkdir(parents=True, exist_ok=True)
        host = socket.gethostname()
        return tuple(self._locks / f"{host}-{device.replace('/', '_')}.lock" for device in sorted(devices))

    def _new_port(self) -> int:
        """The system gives out free ports, but one that is not yet bound may come twice."""
        with self._lock:
            while (port := _free_port()) in self._ports:
                pass
            self._ports.add(port)
            return port


def concurrency(command: Command, environ: Mapping[str, str]) -> int:
    """How many trainings of this command run at a time. Raises InvalidInput where there are too few GPUs."""
    return len(device_sets(command, environ))


def device_sets(command: Command, environ: Mapping[str, str]) -> list[tuple[str, ...]]:
    """One set per training that runs at the same time; empty ones where the command sees every device."""
    each = command.gpus_per_training
    if each == 0:
        return [()] * (command.concurrency or 1)
    there = visible_gpus(environ)
    wanted = each * (command.concurrency or 1)
    if wanted > len(there):
        at_a_time = f" for each of {command.concurrency} trainings at a time" if command.concurrency else ""
        raise InvalidInput(
            f"gpus_per_training is {each}{at_a_time}, {wanted} GPUs in all, and there are {len(there)}"
            f"{f' in {VISIBLE}' if VISIBLE in environ else ''}. Take fewer, or 0 where a batch system gives them out."
        )
    sets = [tuple(there[begin : begin + each]) for begin in range(0, len(there) - each + 1, each)]
    return sets[: command.concurrency]


def visible_gpus(environ: Mapping[str, str]) -> list[str]:
    """As CUDA names them: from CUDA_VISIBLE_DEVICES, in its order; else all that the driver lists."""
    if VISIBLE in environ:
        named = [name.strip() for name in environ[VISIBLE].split(",")]
        first_bad = next((place for place, name in enumerate(named) if name in ("", "-1")), len(named))
        return named[:first_bad]  # CUDA too sees only what stands before a device that does not exist
    if DRIVER_LIST.is_dir():
        return [str(index) for index, _ in enumerate(DRIVER_LIST.iterdir())]
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return []
    gpus = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]  # and parts of GPUs, indented
    return [str(index) for index, _ in enumerate(gpus)]


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
