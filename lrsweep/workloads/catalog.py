"""What a study file may write about each workload, and where its class lives; loads neither torch nor any data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lrsweep.errors import InvalidInput, did_you_mean
from lrsweep.records import Json, WorkloadSpec


@dataclass(frozen=True)
class WorkloadSetting:
    """One setting: a word out of ``choices``, or where there are none a number from ``low`` to ``high``."""

    name: str
    about: str
    default: str | float
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0

    @property
    def kind(self) -> str:
        return "choice" if self.choices else "number"

    def problem(self, given: Json) -> str | None:
        """What is wrong with the value, or None."""
        if self.choices:
            if given in self.choices:
                return None
            guess = did_you_mean(given.lower(), self.choices) if isinstance(given, str) else ""
            return f"{given!r} is not one of {_listed(self.choices)}.{guess} This is {self.about}."
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        if is_number and self.low <= given <= self.high:
            return None
        return f"{given!r} is not a number from {self.low:g} to {self.high:g}. This is {self.about}."

    def normal(self, given: Json) -> Json:
        """The one form that a value is stored and hashed in: 0, 0.0 and -0.0 are one setting."""
        return given if self.choices else float(given) + 0.0


@dataclass(frozen=True)
class Entry:
    """A workload as the catalog knows it. ``home`` is ``"module:Class"``, imported only where it is trained."""

    name: str
    home: str
    about: str
    settings: tuple[WorkloadSetting, ...] = ()


_ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        found.name: found
        for found in (
            Entry(
                "digits",
                home="lrsweep.workloads.digits:Digits",
                about="1,797 handwritten digits of 8x8 pixels from scikit-learn; trains on a CPU in seconds",
                settings=(
                    WorkloadSetting(
                        "model",
                        about="the network: an MLP of 64-64-10 units, or a small convolutional one",
                        default="mlp",
                        choices=("mlp", "cnn"),
                    ),
                    WorkloadSetting(
                        "noise",
                        about="the standard deviation of Gaussian noise added to pixels between 0 and 1",
                        default=0.0,
                    ),
                ),
            ),
        )
    }
)


def workload_names() -> tuple[str, ...]:
    return tuple(_ENTRIES)


def entry(name: str) -> Entry:
    """Raises InvalidInput when there is no such workload."""
    found = _ENTRIES.get(name)
    if found is None:
        raise InvalidInput(_unknown_workload(name))
    return found


def home(name: str) -> str:
    """``"module:Class"`` of the workload. Raises InvalidInput when there is none of that name."""
    return entry(name).home


def check(spec: WorkloadSpec) -> list[tuple[str, str]]:
    """Everything that is wrong, as (key, text): the key is ``"name"`` or a setting's."""
    found = _ENTRIES.get(spec.name)
    if found is None:
        return [("name", _unknown_workload(spec.name))]
    known = {setting.name: setting for setting in found.settings}
    problems = []
    for key, given in spec.settings.items():
        if key not in known:
            text = f"unknown setting of the workload {spec.name!r}.{did_you_mean(key.lower(), known)}"
            problems.append((key, f"{text} It has {_listed(known)}."))
        elif problem := known[key].problem(given):
            problems.append((key, problem))
    return problems


def complete(spec: WorkloadSpec) -> WorkloadSpec:
    """The same workload with every setting written out. Raises InvalidInput with all that ``check`` finds."""
    problems = check(spec)
    if problems:
        raise InvalidInput("; ".join(f"workload {key}: {text}" for key, text in problems))
    settings = entry(spec.name).settings
    return WorkloadSpec(
        spec.name,
        {setting.name: setting.normal(spec.settings.get(setting.name, setting.default)) for setting in settings},
    )


def _unknown_workload(name: str) -> str:
    return f"unknown workload {name!r}.{did_you_mean(name.lower(), _ENTRIES)} Known: {_listed(_ENTRIES)}."


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(names)
