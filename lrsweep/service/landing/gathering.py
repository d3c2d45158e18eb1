"""What the page tells, from the store: of twenty studies, by name, all of it; of what runs, waits and ended at night,
the newest.

However many studies there are, a page reads those that it shows. Where a sweep stands is made of all its rows, and kept
until something about it has changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lrsweep.champion.history import Entry
from lrsweep.errors import LrsweepError, StoreUnavailable, TryAgain
from lrsweep.records import Json, SweepRow
from lrsweep.redaction import masked, public_text
from lrsweep.report.numbers import counted, number
from lrsweep.service.kept import Kept
from lrsweep.service.paging import page_of
from lrsweep.service.results import champions_of, state_of, study_names
from lrsweep.service.sources import Sources
from lrsweep.store import Store
from lrsweep.store.champions import Alias, ChampionRow
from lrsweep.store.nights import NightRow
from lrsweep.store.queue import Queued, QueueState
from lrsweep.sweep.owner import is_dead

STUDIES = 20
"""On a page."""
WORKING, NIGHTS = 20, 20
MOST_STANDINGS = 1000
BROKEN = "cannot be read: `lrsweep db check` says what is wrong"


@dataclass(frozen=True)
class StudyShown:
    name: str
    sweep: str | None
    """the newest; None where none is left"""
    state: str
    trials: str
    best: str
    """by fresh seeds where there are some, else in the search"""
    began_at: float | None


@dataclass(frozen=True)
class ChoiceShown:
    """What is in force."""

    name: str
    alias: str
    summary: str
    evidence: str | None
    n: int | None
    horizon: int | None
    peak_lr: float | None
    schedule: str | None
    """as JSON; None where the row cannot be read"""
    at: float


@dataclass(frozen=True)
class Working:
    """A sweep that runs, or waits for a worker."""

    study: str
    sweep: str | None
    state: str
    trials: str
    since: float | None


@dataclass(frozen=True)
class NightShown:
    study: str
    key: str
    verdict: str
    is_unchanged: bool
    """nothing was trained, since nothing had changed"""
    sentence: str
    at: float


@dataclass(frozen=True)
class Landing:
    studies: Sequence[StudyShown]
    choices: Sequence[ChoiceShown]
    working: Sequence[Working]
    nights: Sequence[NightShown]
    studies_in_all: int
    working_in_all: int
    next: str | None
    """the cursor of the page with the studies after these"""
    is_first: bool


class Gathering:
    """Safe in threads."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._standings = Kept[Mapping[str, Json]](MOST_STANDINGS, size=lambda _: 1)

    def landing(self, store: Store, cursor: str | None) -> Landing:
        """Raises Refused (422) for a cursor that no page has given."""
        names = study_names(store)
        shown, after = page_of(names, cursor, STUDIES)
        is_first = cursor is None
        driven = {name for name, holder in store.holders().items() if not is_dead(holder.owner)}
        working = self._working(store, driven) if is_first else []
        return Landing(
            studies=[self._study(store, name, driven) for name in shown],
            choices=[choice for name in shown for choice in _choices(store, name)],
            working=working[:WORKING],
            nights=[_night(row) for row in store.nights.newest(NIGHTS)] if is_first else [],
            studies_in_all=len(names),
            working_in_all=len(working),
            next=after,
            is_first=is_first,
        )

    def _study(self, store: Store, name: str, driven: Collection[str]) -> StudyShown:
        sweeps = store.sweeps(name)
        if not sweeps:
            return StudyShown(name, None, "no sweep is left", "", "", None)
        newest = sweeps[-1]
        try:
            found = self._standing(store, newest, is_driven=name in driven)
        except (TryAgain, StoreUnavailable):
            raise
        except LrsweepError:  # of one study that cannot be read, the others are shown
            return StudyShown(name, newest.sweep_id, BROKEN, "", "", newest.created_at)
        return StudyShown(
            name, newest.sweep_id, str(found["state"]), _trials(found), _best(found), float(found["began_at"])
        )

    def _standing(self, store: Store, sweep: SweepRow, *, is_driven: bool) -> Mapping[str, Json]:
        key = store, sweep.sweep_id, state_of(store, sweep.study, [sweep]), is_driven
        return self._standings.get(key, lambda: self._sources.standing(store, sweep))

    def _working(self, store: Store, driven: Collection[str]) -> list[Working]:
        """Those that run first, and those that wait in the order in which they will be begun."""
        running = [self._running(store, name, driven) for name in sorted(driven)[:WORKING]]
        beyond = [Working(name, None, "running", "", None) for name in sorted(driven)[WORKING:]]
        waiting = [_waiting(each) for each in store.queue.waiting() if each.study not in driven]
        return [*running, *beyond, *waiting]

    def _running(self, store: Store, name: str, driven: Collection[str]) -> Working:
        sweeps = store.sweeps(name)
        if not sweeps:
            return Working(name, None, "starting", "", None)
        study = self._study(store, name, driven)
        return Working(name, study.sweep, study.state, study.trials, study.began_at)


def _waiting(row: Queued) -> Working:
    state = "ending" if row.is_cancelled else "queued" if row.state is QueueState.QUEUED else "starting"
    return Working(row.study, None, state, "", row.at)


def _choices(store: Store, name: str) -> list[ChoiceShown]:
    found = champions_of(store, name)
    return [_choice(row) for alias in Alias if (row := found.get(alias)) is not None]


def _choice(row: ChampionRow) -> ChoiceShown:
    entry = Entry(row, is_in_force=True)
    try:
        choice = entry.choice or {}
        return ChoiceShown(
            name=row.name,
            alias=row.alias.value,
            summary=f"{choice['schedule']['family']} with {choice['optimizer']['name']}",
            evidence=entry.evidence,
            n=choice.get("evidence", {}).get("n"),
            horizon=int(choice["horizon"]),
            peak_lr=float(choice["peak_lr"]),
            schedule=json.dumps(choice["schedule"]),
            at=row.at,
        )
    except (LookupError, TypeError, ValueError, AttributeError):  # somebody has written to the table
        return ChoiceShown(row.name, row.alias.value, BROKEN, None, None, None, None, None, row.at)


def _night(row: NightRow) -> NightShown:
    """What it came to was written by ``lrsweep.nightly`` (``StudyNight``), which stands beside the service."""
    # of one that failed before it could begin, what came of it stands in its plan
    told: Any = row.plan if row.result is None else row.result
    found = told.get("night", {"verdict": "under way"})
    sentence = public_text(masked(str(found.get("sentence", ""))))
    return NightShown(
        row.study, row.key, str(found.get("verdict", "")), bool(found.get("is_unchanged")), sentence, row.at
    )


def _trials(found: Mapping[str, Json]) -> str:
    wanted = found["trials_wanted"]
    return f"{found['trials_told']:,}" if wanted is None else f"{found['trials_told']:,} of {wanted:,}"


def _best(found: Mapping[str, Json]) -> str:
    final = found["final"]
    if final is not None and final["mean"] is not None:
        seeds = counted(final["n"], "seed")
        return f"{final['family']}: {final['metric']} {number(final['mean'])}, mean of {seeds}"
    return "" if found["best"] is None else f"{found['family']}: {found['metric']} {number(found['best'])}"
