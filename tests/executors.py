"""Every executor that there is, each opened by a factory, for the one contract that all of them hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.devices import Device
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.opening import open_executor
from lrsweep.executors.place import Place
from lrsweep.executors.ray.executor import RayExecutor
from tests.clusters import own_cluster


@dataclass(frozen=True)
class Factory:
    """How one is opened, and which processes train for it on this machine."""

    open: Callable[[], OpenedExecutor]
    pids: Callable[[OpenedExecutor], Sequence[int]]
    """of its engines that run now; a test kills one of them"""

    def __call__(self) -> OpenedExecutor:
        return self.open()


def _pids_here(executor: OpenedExecutor) -> Sequence[int]:
    return cast(LocalExecutor, executor).pids


def _on_a_cluster() -> OpenedExecutor:
    """Its own, with one station: others would join while a test counts what is free."""
    return open_executor(Place("cpu", own_cluster(stations=1)))


def _pids_there(executor: OpenedExecutor) -> Sequence[int]:
    return cast(RayExecutor, executor).pids


FACTORIES: dict[str, Factory] = {
    "local": Factory(lambda: LocalExecutor("cpu"), _pids_here),
    "local on two devices": Factory(lambda: LocalExecutor(devices=[Device("cpu")] * 2), _pids_here),
    "ray": Factory(_on_a_cluster, _pids_there),
}
