"""Champions from the store to MLflow's registry. The store is the truth; what MLflow lacks is sent by the next call.

    rows without a version ──> versions made, or found by what they hold ──> aliases as the store has it ──> marked

Rows are marked last, and the store is read again after that: of two processes that promote at once, the one that comes
last sees the other's row and sets the alias anew. A process that is killed anywhere leaves rows that are not marked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lrsweep.champion.history import evidence_of, in_short, said
from lrsweep.champion.registry import Registry, Version, digest_of
from lrsweep.errors import ScheduleError, Unavailable
from lrsweep.records import Json, SweepRow, SweepStatus
from lrsweep.store import Store
from lrsweep.store.champions import Alias, ChampionRow
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking import Tracker

NOTHING = "-"
"""The mark of a row that MLflow has heard of and holds no version for."""
NOT_KEPT = "MLflow's registry does not take it"
MOST_ROUNDS = 5
"""Of looks at what others have promoted meanwhile."""


@dataclass(frozen=True)
class Registered:
    versions: Mapping[int, str] = field(default_factory=dict)
    """by the row's id, what was sent now"""
    left: int = 0
    """rows that MLflow has not heard of"""
    outage: str | None = None
    """why rows are left"""

    @property
    def is_any(self) -> bool:
        return bool(self.versions or self.left)

    def to_json(self) -> dict[str, Json]:
        return {"sent": len(self.versions), "left": self.left, "outage": self.outage}

    def sentences(self) -> list[str]:
        if not self.is_any:
            return []
        left = f", {self.left} left" if self.left else ""
        return [f"champions: {len(self.versions)} sent to MLflow's registry{left}"]


def waiting(store: Store, name: str | None = None) -> list[ChampionRow]:
    """What MLflow has not heard of, oldest first."""
    return [row for row in store.champions.rows(name) if row.mlflow_version is None]


def register(homes: Homes, store: Store, name: str | None, *, say: Callable[[str], None]) -> Registered:
    """All that is waiting, of one name or of all; MLflow is not asked where nothing is."""
    names = list(dict.fromkeys(row.name for row in waiting(store, name)))
    if not names:
        return Registered()
    sent: dict[int, str] = {}
    try:
        registry = Registry.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)
        for each in names:
            sent |= _register_one(_Delivery(homes, store, registry, each, say))
    except Unavailable as error:
        return Registered(sent, len(waiting(store, name)), str(error))
    left = len(waiting(store, name))
    return Registered(sent, left, NOT_KEPT if left else None)


@dataclass(frozen=True)
class _Delivery:
    homes: Homes
    store: Store
    registry: Registry
    name: str
    say: Callable[[str], None]


def _register_one(at: _Delivery) -> dict[int, str]:
    sent: dict[int, str] = {}
    if not at.registry.open(at.name, _about(at.name)):
        return sent
    for _ in range(MOST_ROUNDS):
        rows = at.store.champions.rows(at.name)
        left = [row for row in rows if row.mlflow_version is None]
        known = at.registry.versions(at.name)
        newest = _newest(rows)
        for row in (*left, *newest.values()):  # also what another MLflow had, beside which results were restored
            if row.choice is not None and digest_of(row.choice) not in known:
                version = _made(at, row)
                if at.registry.is_denied:
                    return sent
                known |= {} if version is None else {digest_of(row.choice): version}
        at.registry.point(at.name, {alias.value: _version(row, known) for alias, row in newest.items()})
        if at.registry.is_denied:
            return sent
        for row in left:
            sent[row.id] = _version(row, known) or NOTHING
            at.store.champions.mark_registered(row.id, sent[row.id])
        now = _newest(at.store.champions.rows(at.name))
        if {alias: row.id for alias, row in now.items()} == {alias: row.id for alias, row in newest.items()}:
            break
    return sent


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
        at.say(f"the sweep {row.sweep_id} is not in the results any more: MLflow's registry does not get {said(row)}")
        return None
    choice = json.loads(row.choice)
    tags = {"lrsweep.study": row.study, "lrsweep.sweep": row.sweep_id, "lrsweep.evidence": evidence_of(choice)}
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
