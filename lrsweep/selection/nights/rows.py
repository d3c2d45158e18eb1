"""One night's evidence, as a driver stores it: what was trained with which fresh seeds, and in which surroundings.

    canary                    the champion at the shortest trusted rung; beside it the baseline, where there is one
    full, challengers         the champion and its challengers at the full horizon, by seeds that they share

Costs throughout: the smaller the better, whichever way the metric is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lrsweep.errors import InvalidInput
from lrsweep.records import Json

FORMAT = 1
"""Of a night's JSON; a reader refuses what is newer than it knows."""


@dataclass(frozen=True)
class Outcomes:
    """Of one arm on one horizon in one night."""

    costs: Mapping[int, float] = field(default_factory=dict)
    """by seed; of those that came to a value"""
    diverged: frozenset[int] = frozenset()
    """seeds that did not"""

    def __post_init__(self) -> None:
        odd = [f"{cost} of seed {seed}" for seed, cost in self.costs.items() if not math.isfinite(cost)]
        if odd:
            raise InvalidInput(f"a cost of a night is {odd[0]}; a seed that diverged is named in `diverged` instead")
        both = sorted(self.diverged & self.costs.keys())
        if both:
            raise InvalidInput(f"seed {both[0]} of a night has a cost and has diverged; it is one or the other")

    @property
    def seeds(self) -> frozenset[int]:
        return self.diverged | self.costs.keys()

    def without(self, seeds: frozenset[int] | set[int]) -> Outcomes:
        """
        >>> Outcomes({1: 0.5, 2: 0.25}, frozenset({3})).without({2, 3})
        Outcomes(costs={1: 0.5}, diverged=frozenset())
        """
        if seeds.isdisjoint(self.costs) and seeds.isdisjoint(self.diverged):
            return self
        return Outcomes({seed: cost for seed, cost in self.costs.items() if seed not in seeds}, self.diverged - seeds)

    def to_json(self) -> dict[str, Json]:
        return {"costs": [[seed, cost] for seed, cost in self.costs.items()], "diverged": sorted(self.diverged)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcomes:
        return cls({int(seed): float(cost) for seed, cost in value["costs"]}, frozenset(value["diverged"]))


NONE = Outcomes()


@dataclass(frozen=True)
class Surroundings:
    """What a night's values hang on beside the schedule. What is unknown is empty."""

    device: str
    versions: Mapping[str, str] = field(default_factory=dict)
    """by name, as ``engines.versions``"""
    data: str = ""
    """hash"""
    commit: str = ""

    def to_json(self) -> dict[str, Json]:
        return {
            "device": self.device,
            "versions": dict(self.versions),
            "data": self.data,
            "commit": self.commit,
        }


@dataclass(frozen=True)
class Night:
    """A night that trained something; one that did not, since nothing had changed, is no row."""

    key: str
    """a date, or any other label that is given once"""
    champion: str
    """which choice is in force"""
    rung: int
    """updates of a canary training"""
    surroundings: Surroundings
    canary: Outcomes
    baseline: str = ""
    """which one; empty where the study has none"""
    canary_baseline: Outcomes = NONE
    full: Outcomes = NONE
    challengers: Mapping[str, Outcomes] = field(default_factory=dict)
    """by name"""

    @property
    def same_training(self) -> tuple[str, str, int]:
        """Without these the same, values of two nights are not those of the same training."""
        return self.champion, self.baseline, self.rung

    @property
    def circumstances(self) -> dict[str, str]:
        """All that may change from night to night, in the order in which it is told."""
        around = self.surroundings
        versions = {f"version of {name}": version for name, version in sorted(around.versions.items())}
        return {
            "champion": self.champion,
            "baseline": self.baseline,
            "rung": str(self.rung),
            "device": around.device,
            **versions,
            "data": around.data,
            "commit": around.commit,
        }

    def to_json(self) -> dict[str, Json]:
        return {
            "format": FORMAT,
            "key": self.key,
            "champion": self.champion,
            "baseline": self.baseline,
            "rung": self.rung,
            "surroundings": self.surroundings.to_json(),
            "canary": self.canary.to_json(),
            "canary_baseline": self.canary_baseline.to_json(),
            "full": self.full.to_json(),
            "challengers": {name: arm.to_json() for name, arm in self.challengers.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Night:
        """Raises InvalidInput for one that a newer lrsweep wrote."""
        if value["format"] > FORMAT:
            raise InvalidInput(
                f"night {value.get('key')!r} has format {value['format']}, and this lrsweep reads up to {FORMAT}: "
                "a newer lrsweep wrote it, so use that one"
            )
        return cls(
            key=value["key"],
            champion=value["champion"],
            baseline=value["baseline"],
            rung=value["rung"],
            surroundings=Surroundings(**value["surroundings"]),
            canary=Outcomes.from_json(value["canary"]),
            canary_baseline=Outcomes.from_json(value["canary_baseline"]),
            full=Outcomes.from_json(value["full"]),
            challengers={name: Outcomes.from_json(arm) for name, arm in value["challengers"].items()},
        )


@dataclass(frozen=True)
class Change:
    """Of the surroundings, from the night before."""

    what: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"the {self.what} changed from {self.before or 'none'} to {self.now or 'none'}"

    def to_json(self) -> dict[str, Json]:
        return {"what": self.what, "before": self.before, "now": self.now}


def changes(before: Night, now: Night) -> tuple[Change, ...]:
    """
    >>> before = Night("1", "a", 200, Surroundings("cpu", {"torch": "2.14"}), NONE)
    >>> now = Night("2", "a", 200, Surroundings("cuda", {"torch": "2.15"}), NONE)
    >>> [str(change) for change in changes(before, now)]
    ['the device changed from cpu to cuda', 'the version of torch changed from 2.14 to 2.15']
    """
    if before.surroundings == now.surroundings and before.same_training == now.same_training:
        return ()  # as on most nights; the rest costs more than all else of a night
    old, new = before.circumstances, now.circumstances
    return tuple(
        Change(what, old.get(what, ""), new.get(what, ""))
        for what in {**new, **old}
        if old.get(what, "") != new.get(what, "")
    )
