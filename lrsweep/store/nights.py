"""Nights in the store: what each compares, what it has trained, and what came of it. Rows, rules, one contract.

A night is of one study, one generation and one key; whoever begins it a second time finds the one that is there. Its
trainings are written one by one as they end, so that a night that was killed goes on with the rest. A row refers to its
study by name alone: nights stay, whatever is removed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lrsweep.records import Json, Status

_NIGHT = " (night)"


@dataclass(frozen=True)
class NightRow:
    study: str
    generation: str
    key: str
    plan: Mapping[str, Json]
    """what it compares, settled when it begins"""
    result: Mapping[str, Json] | None = None
    """what came of it; None while it is under way"""
    ended_at: float | None = None
    id: int = 0
    """given by the store, in the order in which nights began"""
    at: float = 0.0
    """when it began, seconds since 1970 by the store's clock"""


@dataclass(frozen=True)
class NightTraining:
    """One that ended; one that did not is trained again."""

    night: int
    arm: str
    horizon: int
    seed: int
    status: Status
    """completed, diverged or failed"""
    value: float | None
    """by the study's objective; None where there is none"""
    steps: int = 0
    seconds: float = 0.0
    device: str | None = None
    engine: str | None = None
    error: str | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """Which of its night."""
        return self.arm, self.horizon, self.seed


class Nights(Protocol):
    """Every method is one transaction. Raises ``TryAgain`` and ``StoreUnavailable`` as the rest of the store does."""

    def rows(self, study: str | None = None) -> Sequence[NightRow]:
        """Oldest first; those under way too."""

    def newest(self, count: int) -> Sequence[NightRow]:
        """The last so many of all studies that began, the newest first."""

    def told(self, count: int, failing: str, studies: Collection[str] | None = None) -> Sequence[NightRow]:
        """Of each study the last so many that ended, or whose generation begins with ``failing``, oldest first. The
        latter, which never end, have their plans; of the others these are left out, for they take long to read."""

    def begin(self, study: str, generation: str, key: str, plan: Mapping[str, Json]) -> NightRow:
        """Adds the night, or finds the one of that key, with the plan that it began with."""

    def go_on(self, night: int, plan: Mapping[str, Json]) -> NightRow:
        """With a plan that says more than the one that it began with. Raises ValueError where it has ended, KeyError
        where there is no such night."""

    def trainings(self, night: int) -> Sequence[NightTraining]:
        """By arm, horizon and seed."""

    def add_training(self, training: NightTraining) -> None:
        """Raises ValueError where the night has it already or has ended, KeyError where there is no such night."""

    def end(self, night: int, result: Mapping[str, Json]) -> NightRow:
        """Raises ValueError where it has ended, KeyError where there is no such night."""


def night_lease(study: str) -> str:
    """Of the lease under which one process at a time drives a study's nights. It is no study's: a study's name has no
    blank."""
    return f"{study}{_NIGHT}"
