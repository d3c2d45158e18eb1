"""Champions in the store: who was promoted and demoted, and how often a test set was read. Rows, rules, one contract.

Rows are only ever added; the one thing that is written later is ``mlflow_version``, a mirror's mark. A name has a stack
per alias: a promotion lays a choice on top, a demotion takes the top away, and what is on top is in force::

    promote A · promote B · demote   ──>  A is in force again
    promote A · demote               ──>  nothing is

A promotion of what one trains already, which says more of it, takes the place of the top: whoever demotes gets another
training, or none.

A row refers to its study, sweep and trial by their names alone: it stays, with its choice, whatever is removed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

TRAINING = ("schedule", "peak_lr", "optimizer", "batch_size", "horizon", "rate_rule", "extra")
"""Keys of a choice's text that say what one trains with it."""
VERDICTS = ("undecided", "recommended", "proven")
"""Of its evidence, the weakest first."""


class Alias(StrEnum):
    """As which a choice is in force; MLflow's registry has it under the same word."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"


class Action(StrEnum):
    PROMOTE = "promote"
    DEMOTE = "demote"


@dataclass(frozen=True)
class ChampionRow:
    """One line of a name's history. The newest of a name and alias says what is in force."""

    name: str
    alias: Alias
    action: Action
    choice: str | None
    """the JSON text of what is in force from here on; None: nothing is"""
    study: str | None
    sweep_id: str | None
    trial: int | None
    """where that choice comes from"""
    note: str | None = None
    who: str | None = None
    """of whoever promoted, where the study asks for names"""
    mlflow_version: str | None = None
    """of the choice in MLflow's registry, ``-`` where nothing is in force; None until MLflow has heard of it"""
    id: int = 0
    """given by the store, in the order in which rows came"""
    at: float = 0.0
    """seconds since 1970 by the store's clock"""


@dataclass(frozen=True)
class TestRead:
    """That a test set is read, written down before it is."""

    __test__ = False  # no test of pytest's

    data: str
    """which: ``held_out.data_of``"""
    study: str
    sweep_id: str
    trials: Sequence[int]
    """whose trainings are evaluated on it"""
    trainings: int
    id: int = 0
    at: float = 0.0


class Champions(Protocol):
    """Every method is one transaction, and needs no lease: a promotion changes nothing that a driver writes.

    Raises ``TryAgain`` and ``StoreUnavailable`` as the rest of the store does.
    """

    def rows(self, name: str | None = None) -> Sequence[ChampionRow]:
        """Of one name or of all, oldest first."""

    def names(self) -> Sequence[str]:
        """In their order, each once."""

    def promote(self, row: ChampionRow) -> tuple[ChampionRow, bool]:
        """Lays the choice on top, or finds the same one there; whether it is new. See ``is_said_already``."""

    def demote(self, name: str, alias: Alias, *, note: str | None = None, who: str | None = None) -> ChampionRow:
        """Takes the top away; comes back with what is in force then. Raises KeyError where nothing is."""

    def mark_registered(self, row_id: int, mlflow_version: str) -> None:
        """Remembers under which version MLflow has the row's choice. Raises KeyError for a row that is not there."""

    def read_test(self, read: TestRead) -> int:
        """Counts a read before it happens; how many there are now of these data, this one included."""

    def test_reads(self, data: str | None = None) -> Sequence[TestRead]:
        """Of one test set or of all, oldest first."""


# ── who reads ────────────────────────────────────────────────────────────────────────────────────────────────────────
_READING = " (test set)"


def reading_lease(name: str) -> str:
    """Of the lease under which one promotion at a time reads a test set for choices of this name. It is no study's: a
    study's name has no blank."""
    return f"{name}{_READING}"


def is_of_a_study(leased: str) -> bool:
    """Whether who holds a lease of that name drives a study.

    >>> is_of_a_study("digits"), is_of_a_study(reading_lease("digits")), is_of_a_study("digits (night)")
    (True, False, False)
    """
    return " " not in leased


# ── the rules ────────────────────────────────────────────────────────────────────────────────────────────────────────
def stacks(rows: Sequence[ChampionRow]) -> Mapping[tuple[str, Alias], Sequence[ChampionRow]]:
    """By name and alias, the promotions that are not taken back, the one in force last; of those that follow each other
    with one training, the last."""
    found: dict[tuple[str, Alias], list[ChampionRow]] = defaultdict(list)
    for row in rows:
        stack = found[row.name, row.alias]
        if row.action is Action.PROMOTE:
            if stack and is_same_training(row.choice, stack[-1].choice):
                stack.pop()
            stack.append(row)
        elif stack:
            stack.pop()
    return {key: stack for key, stack in found.items() if stack}


def in_force(rows: Sequence[ChampionRow], name: str, alias: Alias) -> ChampionRow | None:
    """The promotion whose choice is in force; None where none is."""
    stack = stacks(rows).get((name, alias))
    return stack[-1] if stack else None


def is_same_training(one: str | None, other: str | None) -> bool:
    """Whether one trains the same with either; what is known of it may differ."""
    return one == other or _training(_read(one)) == _training(_read(other))


def is_same_choice(one: str, other: str | None) -> bool:
    """Whether two texts mean the same training, by as many seeds of the same trial. What the search has cost, how a
    release words its evidence and what was installed make no other choice."""
    one_read, other_read = _read(one), _read(other)
    return _training(one_read) == _training(other_read) and _origin(one_read) == _origin(other_read)


def is_said_already(new: str, known: str | None) -> bool:
    """Whether a choice's text says no more than a known one of the same choice, which would be a stronger verdict, or
    the test set's word where there was none. A weaker one comes from finals that were removed since."""
    one, other = _read(new), _read(known)
    is_tested = other.get("test") is not None or one.get("test") is None
    return is_same_choice(new, known) and _strength(one) <= _strength(other) and is_tested


def is_same_on_test(one: str, other: str) -> bool:
    """Whether what a test set has said of one it has said of the other: how rates go over to other horizons plays no
    part in it."""
    one_read, other_read = _read(one), _read(other)
    alike = _training(one_read) | {"rate_rule": None} == _training(other_read) | {"rate_rule": None}
    return alike and _origin(one_read) == _origin(other_read)


def promoted(row: ChampionRow, before: Sequence[ChampionRow]) -> ChampionRow | None:
    """The row to add; None where the one in force says it already. ``before`` are those of its name."""
    if row.action is not Action.PROMOTE or row.choice is None:
        raise ValueError(f"{row.name!r} cannot be promoted without a choice")
    present = in_force(before, row.name, row.alias)
    return None if present is not None and is_said_already(row.choice, present.choice) else row


def demoted(
    before: Sequence[ChampionRow], name: str, alias: Alias, *, note: str | None, who: str | None
) -> ChampionRow:
    """The row to add, with what is in force after it."""
    stack = stacks(before).get((name, alias))
    if not stack:
        raise KeyError(f"{name!r} has no {alias.value}")
    below = stack[-2] if len(stack) > 1 else None
    nothing = ChampionRow(name, alias, Action.DEMOTE, choice=None, study=None, sweep_id=None, trial=None)
    if below is not None:
        nothing = replace(below, action=Action.DEMOTE, mlflow_version=None)
    return replace(nothing, note=note, who=who)


def _training(choice: Mapping[str, Any]) -> dict[str, Any]:
    """What one trains with it."""
    return {key: choice.get(key) for key in TRAINING}


def _origin(choice: Mapping[str, Any]) -> tuple[Any, ...]:
    provenance = _part(choice, "provenance")
    return provenance.get("sweep"), provenance.get("trial"), _part(choice, "evidence").get("n")


def _strength(choice: Mapping[str, Any]) -> int:
    verdict = _part(choice, "evidence").get("evidence")
    return VERDICTS.index(verdict) if verdict in VERDICTS else -1


def _part(choice: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = choice.get(key)
    return found if isinstance(found, Mapping) else {}


def _read(text: str | None) -> Mapping[str, Any]:
    """One that cannot be read is like itself alone: `lrsweep db check` names it."""
    try:
        found = json.loads(text or "")
    except ValueError:
        found = None
    return found if isinstance(found, Mapping) else {TRAINING[0]: ("cannot be read", text)}
