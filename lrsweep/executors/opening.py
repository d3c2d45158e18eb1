"""The executor that a user asked for."""

from __future__ import annotations

from collections.abc import Callable

from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.executor_option import RAY
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.place import Place


def open_executor(place: Place, say: Callable[[str], None] = lambda _: None) -> OpenedExecutor:
    """Raises SettingsError where it is not to be had. Nothing is started before it is first asked."""
    if place.executor.name == RAY:
        from lrsweep.executors.ray.connection import check_installed

        check_installed(place.executor)
        from lrsweep.executors.ray.executor import RayExecutor  # importing Ray takes a second

        return RayExecutor(place, say)
    return LocalExecutor(place.device, data=place.data, scratch=place.scratch, engines=place.engines, say=say)
