"""Champions from the store to MLflow's registry. The store is the truth; what MLflow lacks is sent by the next call.

    rows without a version ──> versions made, or found by what they hold ──> aliases as the store has it ──> marked

Rows are marked last, and the store is read again after that: of two processes that promote at once, the one that comes
last sees the other's row and sets the alias anew. A process that is killed anywhere leaves rows that are not marked.

A mark says that MLflow had the row, and not which MLflow: ``lrsweep sync`` looks whether what is in force is there.

Two results may share one MLflow. Each has its versions; an alias is moved by those alone whose version it is on.

That MLflow will not take something is no outage: trying again changes nothing, so it is a sentence and no error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lrsweep.champion.history import evidence_of, in_short, said
from lrsweep.champion.registry import SWEEP_TAG, Registry, Version, Whose, digest_of
from lrsweep.errors import ScheduleError, Unavailable
from lrsweep.records import Json, SweepRow, SweepStatus
from lrsweep.store import Store
from lrsweep.store.champions import Alias, ChampionRow
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.owner import is_dead
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking import Tracker

NOTHING = "-"
"""The mark of a row that MLflow has heard of and holds no version for."""
MOST_ROUNDS = 5
"""Of looks at what others have promoted meanwhile."""


@dataclass(frozen=True)
class Registered:
    versions: Mapping[int, str] = field(default_factory=dict)
    """by the row's id, what was sent now"""
    left: int = 0
    """rows that MLflow has not heard of"""
    outage: str | None = None
    """why it is worth trying again"""
    refused: tuple[str, ...] = ()
    """what MLflow does not take, or has of somebody else's in its place: sentences, told already"""
    aliases: int = 0
    """set or taken away"""

    @property
    def is_any(self) -> bool:
        return bool(self.versions or self.left or self.aliases or self.refused or self.outage)

    def to_json(self) -> dict[str, Json]:
        return {
            "sent": len(self.versions),
            "left": self.left,
            "aliases": self.aliases,
            "outage": self.outage,
            "refused": list(self.refused),
        }

    def sentences(self) -> list[str]:
        left = f", {self.left} left" if self.left else ""
        if self.versions or self.left:
            return [f"champions: {len(self.versions)} sent to MLflow's registry{left}"]
        if self.aliases:
            return [f"champions: {self.aliases} alias{'es' * (self.aliases > 1)} set anew in MLflow's registry"]
        return []


def waiting(store: Store, name: str | None = None) -> list[ChampionRow]:
    """What MLflow has not heard of, oldest first."""
    return [row for row in store.champions.rows(name) if row.mlflow_version is None]


def register(
    homes: Homes, store: Store, name: str | None, *, say: Callable[[str], None], with_lost: bool = False
) -> Registered:
    """All that is waiting, of one name or of all; MLflow is not asked where nothing is.

    ``with_lost``: also what was sent, is in force, and is not there; a server that is away is then an outage only where
    something is known to be waiting.
    """
    names = _names(store, name, with_lost)
    if not names:
        return Registered()
    tally = _Tally()
    registry, outage = None, None
    try:
        registry = Registry.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
        for each in names:
            _register_one(_Delivery(homes, store, registry, each, say), tally)
            if registry.denied is not None:
                tally.refused.append(registry.denied)
                break
    except Unavailable as error:
        outage = str(error)
    left = len(waiting(store, name))
    if not left and (registry is None or not registry.has_answered):
        outage = None
    return Registered(tally.sent, left, outage, tuple(dict.fromkeys(tally.refused)), tally.aliases)


def _names(store: Store, name: str | None, with_lost: bool) -> list[str]:
    """Of a study that is driven only what is waiting: its driver makes the sweep's run where this MLflow lacks it."""
    rows = store.champions.rows(name)
    asked = [row.name for row in rows if row.mlflow_version is None]
    if with_lost:
        driven = {study for study, holder in store.holders().items() if not is_dead(holder.owner)}
        newest = {(row.name, row.alias): row for row in rows}.values()
        asked += [row.name for row in newest if row.choice is not None and row.study not in driven]
    return list(dict.fromkeys(asked))


@dataclass
class _Tally:
    """What was done so far, also where the server fails in between."""

    sent: dict[int, str] = field(default_factory=dict)
    aliases: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Delivery:
    homes: Homes
    store: Store
    registry: Registry
    name: str
    say: Callable[[str], None]


def _register_one(at: _Delivery, tally: _Tally) -> None:
    if (refusal := at.registry.open(at.name, _about(at.name))) is not None:
        tally.refused.append(refusal)
        return
    for _ in range(MOST_ROUNDS):
        rows = at.store.champions.rows(at.name)
        left = [row for row in rows if row.mlflow_version is None]
        known = at.registry.versions(at.name)
        newest = _newest(rows)
        made: set[str] = set()
        for row in (*left, *newest.values()):  # also what another MLflow had, beside which results were restored
            if row.choice is not None and digest_of(row.choice) not in known:
                version = _made(at, row)
                if at.registry.denied is not None:
                    return
                if version is not None:
                    known[digest_of(row.choice)] = version
                    made.add(version)
        wanted = {alias.value: _version(row, known) for alias, row in newest.items()}
        pointed = at.registry.point(at.name, wanted, _is_own(at.store, rows))
        tally.aliases += len(pointed.moved)
        if at.registry.denied is not None:
            return
        _mark(at, rows, known, made, tally)
        now = _newest(at.store.champions.rows(at.name))
        if {alias: row.id for alias, row in now.items()} == {alias: row.id for alias, row in newest.items()}:
            break
    for alias, version in pointed.left.items():
        tally.refused.append(_others(at.name, alias, version, wanted[alias]))
        at.say(tally.refused[-1])


def _mark(
    at: _Delivery, rows: Sequence[ChampionRow], known: Mapping[str, str], made: Collection[str], tally: _Tally
) -> None:
    """Every row by what this MLflow holds: numbers of another one go."""
    for row in rows:
        mark = _version(row, known) or NOTHING
        if mark != row.mlflow_version:
            at.store.champions.mark_registered(row.id, mark)
        if mark in made or row.mlflow_version is None or mark not in (NOTHING, row.mlflow_version):
            tally.sent[row.id] = mark


def _is_own(store: Store, rows: Sequence[ChampionRow]) -> Callable[[Whose], bool]:
    """Whether a version was made of these results. Rows that a restore took back are told by their sweep."""
    studies = {row.study for row in rows if row.study is not None}
    sweeps = {row.sweep_id for row in rows} | {sweep.sweep_id for study in studies for sweep in store.sweeps(study)}
    digests = {digest_of(row.choice) for row in rows if row.choice is not None}
    return lambda whose: whose.digest in digests or (whose.sweep is not None and whose.sweep in sweeps)


def _others(name: str, alias: str, version: str, wanted: str | None) -> str:
    found = (
        f"the {alias} of {name!r} in MLflow's registry is version {version}, which these results do not know: somebody "
        "else promoted it, and it stays"
    )
    if wanted is None:
        return found
    return f"{found}. Where it is to go, delete that alias in MLflow: `lrsweep sync` sets it to version {wanted}"


def _newest(rows: Iterable[ChampionRow]) -> dict[Alias, ChampionRow]:
    """By alias the row that says what is in force."""
    return {row.alias: row for row in rows}


def _version(row: ChampionRow, known: Mapping[str, str]) -> str | None:
    return None if row.choice is None else known.get(digest_of(row.choice))


def _made(at: _Delivery, row: ChampionRow) -> str | None:
    """None where no run is left to keep it under."""
    assert row.choice is not None
    run_id = _run_of(at, row)
    if run_id is None:
        if row.mlflow_version != NOTHING:  # else it was told before
            at.say(
                f"the sweep {row.sweep_id} is not in the results any more: MLflow's registry does not get {said(row)}"
            )
        return None
    choice = json.loads(row.choice)
    tags = {"lrsweep.study": row.study, SWEEP_TAG: row.sweep_id, "lrsweep.evidence": evidence_of(choice)}
    return at.registry.register(
        at.name,
        Version(
            text=row.choice,
            run_id=run_id,
            description=in_short(choice),
            tags={key: value for key, value in tags.items() if value},
        ),
    )


def _run_of(at: _Delivery, row: ChampionRow) -> str | None:
    """The sweep's own run; one that MLflow lacks is made, and ended, as `lrsweep sync` would find it by its tag."""
    sweep = _sweep(at.store, row)
    if sweep is None:
        return None
    if at.registry.is_living(sweep.mlflow_run_id):
        return sweep.mlflow_run_id
    [study] = [each for each in at.store.studies(sweep.study) if each.generation == sweep.generation]
    tracker = Tracker.connect(at.homes.mlflow_uri, artifact_root=at.homes.artifact_root, say=at.say)
    try:
        run_id = tracker.open_sweep(sweep, resolved_from(study, sweep), params={}, is_driven=False)
    except (KeyError, ScheduleError):  # of a release whose studies this one cannot read
        return None
    if sweep.status is not SweepStatus.RUNNING and tracker.is_open(run_id):
        tracker.close_sweep(run_id, status="FINISHED", metrics={}, tags={})
    return run_id


def _sweep(store: Store, row: ChampionRow) -> SweepRow | None:
    sweeps: Sequence[SweepRow] = store.sweeps(row.study) if row.study else ()
    return next((sweep for sweep in sweeps if sweep.sweep_id == row.sweep_id), None)


def _about(name: str) -> str:
    return (
        f"Learning-rate schedules of the study {name}, as `lrsweep promote` has put them in force. A version's "
        "choice.json says all that it takes to train with it: `lrsweep.load_choice`."
    )
