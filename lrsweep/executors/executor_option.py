"""``--executor``: where the engines of a sweep live, as a user asks for it.

local            on this machine
ray              on a Ray cluster: by ``RAY_ADDRESS``, else the one that runs on this machine, else one of its own
ray:auto         the same, but none of its own
ray:HOST:PORT    on the cluster whose head is there
ray:local        on a cluster of its own on this machine, which ends with the sweep

Behind each form of ``ray``, separated by commas: ``gpus=`` and ``cpus=``, the share of a station (an actor that holds
engines), and ``stations=``, how many there are at most: ``ray:10.0.0.1:6379,gpus=0.5,stations=8``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from lrsweep.errors import SettingsError, did_you_mean

LOCAL: Final = "local"
RAY: Final = "ray"
OPTION = "--executor"

AUTO_ADDRESS = "auto"
OWN_CLUSTER = "local"
_NAMES = (LOCAL, RAY)
_LIMITS = ("gpus", "cpus", "stations")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class ExecutorOption:
    """What was asked for."""

    name: Literal["local", "ray"] = LOCAL
    address: str | None = None
    """of a Ray cluster; None: by ``RAY_ADDRESS``, else what runs here, else one of its own"""
    gpus: float | None = None
    """of a station; a part of one for several stations on a GPU. None: as the cluster and the device are"""
    cpus: float | None = None
    stations: int | None = None
    """at most; None: as many as the search can fill"""
    given_by: str = field(default=OPTION, compare=False)
    """the option or variable, for messages"""

    @classmethod
    def parsed(cls, text: str, given_by: str = OPTION) -> ExecutorOption:
        """Raises SettingsError for anything else.

        >>> ExecutorOption.parsed("ray:10.0.0.1:6379").address, ExecutorOption.parsed("local").name
        ('10.0.0.1:6379', 'local')
        >>> ExecutorOption.parsed("ray,gpus=0.5,stations=8")
        ExecutorOption(name='ray', address=None, gpus=0.5, cpus=None, stations=8, given_by='--executor')
        """
        where, *limits = text.split(",")
        name, separator, address = where.partition(":")
        if name == LOCAL and not separator and not limits:
            return cls(LOCAL, given_by=given_by)
        if name == RAY and (not separator or _is_address(address)):
            return _limited(cls(RAY, address or None, given_by=given_by), limits, text)
        guess = "" if name in _NAMES else did_you_mean(name, _NAMES)
        raise SettingsError(
            f"{given_by} is {text!r}; wanted local, ray, ray:auto, ray:local or ray:HOST:PORT, as in "
            f"'ray:10.0.0.1:6379'; behind one with ray also gpus=, cpus= and stations=, as in "
            f"'ray:auto,gpus=0.5,stations=8'.{guess}"
        )

    def __str__(self) -> str:
        where = self.name if self.address is None else f"{self.name}:{self.address}"
        limits = ((name, getattr(self, name)) for name in _LIMITS)
        return ",".join([where, *(f"{name}={value:g}" for name, value in limits if value is not None)])


HERE = ExecutorOption()


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return text in (AUTO_ADDRESS, OWN_CLUSTER) or bool(host and "/" not in host and port.isdigit())


def _limited(option: ExecutorOption, limits: list[str], text: str) -> ExecutorOption:
    for limit in limits:
        name, _, given = limit.partition("=")
        if name not in _LIMITS:
            raise SettingsError(
                f"{option.given_by} is {text!r}, where {limit!r} is not known; behind the address may stand gpus=, "
                f"cpus= and stations=.{did_you_mean(name, _LIMITS)}"
            )
        if getattr(option, name) is not None:
            raise SettingsError(f"{option.given_by} is {text!r}, where {name}= stands twice; keep one.")
        wanted = _wanted(name, given)
        if wanted is not None:
            raise SettingsError(f"{option.given_by} is {text!r}; {name}= wants {wanted}, not {given!r}.")
        match name:
            case "gpus":
                option = replace(option, gpus=float(given))
            case "cpus":
                option = replace(option, cpus=float(given))
            case _:
                option = replace(option, stations=int(given))
    if option.gpus == 0 and option.cpus == 0:
        raise SettingsError(f"{option.given_by} is {text!r}, a share of nothing; one of gpus= and cpus= must be more.")
    return option


def _wanted(name: str, given: str) -> str | None:
    """What the number has to be; None where it is. Ray gives several GPUs only whole."""
    number = float(given) if _NUMBER.fullmatch(given) else math.nan
    if name == "stations":
        return None if number >= 1 and number.is_integer() and given.isdigit() else "a whole number from 1"
    if name == "gpus":
        is_meant = 0 <= number <= 1 or (number > 1 and number.is_integer())
        return None if is_meant else "a whole number, or a part of 1 such as 0.5"
    return None if number >= 0 else "a number from 0"
