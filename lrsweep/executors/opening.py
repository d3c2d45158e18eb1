"""The executor that a user asked for."""

from __future__ import annotations

from collections.abc import Callable

from lrsweep.errors import SettingsError
from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.executor_option import RAY
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.place import Place


def open_executor(place: Place, say: Callable[[str], None] = lambda _: None) -> OpenedExecutor:
    """Raises SettingsError where it is not to be had. Nothing is started before it is first asked."""
    if place.executor.name == RAY:
        raise SettingsError(f"{place.executor.given_by} is {str(place.executor)!r}, which is not there yet")
    return LocalExecutor(place.device, data=place.data, scratch=place.scratch, engines=place.engines, say=say)
