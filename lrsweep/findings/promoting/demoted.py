"""``lrsweep demote``: what was in force before is in force again, or nothing is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from lrsweep.champion.history import version_of
from lrsweep.champion.loading import not_promoted
from lrsweep.errors import SettingsError, did_you_mean
from lrsweep.findings.promoting.held_out import Say
from lrsweep.findings.reading import generation_of
from lrsweep.records import Json
from lrsweep.store import Store
from lrsweep.store.champions import Alias, ChampionRow, in_force
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.registering import register
from lrsweep.tracking.surroundings import look_around


@dataclass(frozen=True)
class Demotion:
    row: ChampionRow
    was: ChampionRow
    outage: str | None

    def to_json(self) -> dict[str, Json]:
        assert self.was.choice is not None
        return {
            "name": self.row.name,
            "alias": self.row.alias.value,
            "was": json.loads(self.was.choice),
            "choice": None if self.row.choice is None else json.loads(self.row.choice),
            "mlflow_version": version_of(self.row),
            "mlflow_outage": self.outage,
        }


def demote(store: Store, homes: Homes, name: str, alias: Alias, note: str | None, say: Say) -> Demotion:
    """Raises SettingsError where nothing of that name is in force under the alias."""
    try:
        row = store.champions.demote(name, alias, note=note, who=_who(store, name))
    except KeyError:
        raise SettingsError(_nothing(store.champions.rows(), name, alias)) from None
    # of the rows before this one: another process may have promoted a moment ago
    was = in_force([each for each in store.champions.rows(name) if each.id < row.id], name, alias)
    assert was is not None
    outage = register(homes, store, name, say=say).outage
    now = next(each for each in store.champions.rows(name) if each.id == row.id)
    return Demotion(now, was, outage)


def _who(store: Store, study: str) -> str | None:
    """The user's name, where the study's newest sweep asks for names."""
    sweeps = store.sweeps(study)
    if not sweeps or not generation_of(store, sweeps[-1]).spec.get("tracking", {}).get("user"):
        return None
    return look_around(with_user=True).user


def _nothing(rows: Sequence[ChampionRow], name: str, alias: Alias) -> str:
    if name not in (known := sorted({row.name for row in rows})):
        more = "" if known else " `lrsweep promote STUDY` puts a study's choice in force."
        return f"{not_promoted(name, known)}{more}"
    names = sorted({row.name for row in rows if in_force(rows, row.name, alias) is not None})
    other = next((each for each in Alias if each is not alias and in_force(rows, name, each) is not None), None)
    if other is not None:
        return (
            f"{name!r} has no {alias.value} in force, but a {other.value}: `lrsweep demote {name} --as {other.value}`."
        )
    there = f" There are: {', '.join(names)}." if names else " `lrsweep promote STUDY` puts one in force."
    return f"{name!r} has no {alias.value} in force.{did_you_mean(name, names)}{there}"
