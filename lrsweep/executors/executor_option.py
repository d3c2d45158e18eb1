"""``--executor``: where the engines of a sweep live, as a user asks for it.

local            on this machine
ray              on a Ray cluster: by ``RAY_ADDRESS``, else the one that runs on this machine, else one of its own
ray:auto         the same, but none of its own
ray:HOST:PORT    on the cluster whose head is there
ray:local        on a cluster of its own on this machine, which ends with the sweep
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from lrsweep.errors import SettingsError, did_you_mean

LOCAL: Final = "local"
RAY: Final = "ray"
OPTION = "--executor"

AUTO_ADDRESS = "auto"
OWN_CLUSTER = "local"
_NAMES = (LOCAL, RAY)


@dataclass(frozen=True)
class ExecutorOption:
    """What was asked for."""

    name: Literal["local", "ray"] = LOCAL
    address: str | None = None
    """of a Ray cluster; None: by ``RAY_ADDRESS``, else what runs here, else one of its own"""
    given_by: str = field(default=OPTION, compare=False)
    """the option or variable, for messages"""

    @classmethod
    def parsed(cls, text: str, given_by: str = OPTION) -> ExecutorOption:
        """Raises SettingsError for anything else.

        >>> ExecutorOption.parsed("ray:10.0.0.1:6379").address, ExecutorOption.parsed("local").name
        ('10.0.0.1:6379', 'local')
        """
        name, separator, address = text.partition(":")
        if name == LOCAL and not separator:
            return cls(LOCAL, None, given_by)
        if name == RAY and (not separator or _is_address(address)):
            return cls(RAY, address or None, given_by)
        guess = "" if name in _NAMES else did_you_mean(name, _NAMES)
        raise SettingsError(
            f"{given_by} is {text!r}; wanted local, ray, ray:auto, ray:local or ray:HOST:PORT, as in "
            f"'ray:10.0.0.1:6379'.{guess}"
        )

    def __str__(self) -> str:
        return self.name if self.address is None else f"{self.name}:{self.address}"


HERE = ExecutorOption()


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return text in (AUTO_ADDRESS, OWN_CLUSTER) or bool(host and "/" not in host and port.isdigit())
