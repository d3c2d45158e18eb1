"""``lrsweep prune`` and ``lrsweep delete``: old results, and results that nobody wants any more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import cast

from lrsweep.cli.db import size_of
from lrsweep.cli.sweep_drawing import counted
from lrsweep.errors import LeaseHeld, SettingsError, did_you_mean
from lrsweep.findings.reading import results
from lrsweep.settings import Settings, make_homes
from lrsweep.store import Lease, Store
from lrsweep.store.champions import stacks
from lrsweep.store.patience import very_patient
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.remembering import forget
from lrsweep.sweep.removing import (
    KEPT,
    Kept,
    Removal,
    all_results,
    alone,
    is_there,
    old_results,
    remove,
    remove_alone,
)
from lrsweep.tracking import Tracker

DAY = 24 * 3600.0
AGES = {"h": 3600.0, "d": DAY, "w": 7 * DAY}

Say = Callable[[str], None]


def seconds_of_age(given: str) -> float:
    """
    >>> seconds_of_age("90d")
    7776000.0
    """
    factor = AGES.get(given[-1:].lower())
    try:
        number = float(given[:-1])
    except ValueError:
        number = -1.0
    if factor is None or not 0 <= number < 1e6:
        raise SettingsError(f"--older-than is {given!r}; wanted an age such as '90d', '2w' or '12h'.")
    return number * factor


def kept_of(given: str) -> tuple[Kept, ...]:
    names = [name.strip() for name in given.split(",") if name.strip() not in ("", "none")]
    for name in names:
        if name not in KEPT:
            raise SettingsError(f"--keep is {given!r}; wanted of {', '.join(KEPT)}, or none.{did_you_mean(name, KEPT)}")
    return tuple(cast(Kept, name) for name in names)


def prune(settings: Settings, *, older_than: str, keep: str, is_dry: bool, say: Say) -> list[Removal]:
    """What went, or would go."""
    seconds, kept = seconds_of_age(older_than), kept_of(keep)
    with results(settings, very_patient) as store:  # one DELETE may take minutes
        removals = old_results(store, before=time.time() - seconds, keep=kept)
        if not removals:
            say(f"nothing is older than {older_than} but what is kept")
        _show(removals, say)
        if is_dry or not removals:
            return removals
        return _carry_out(store, _connected(settings, say), removals, say)


def delete(settings: Settings, study: str, sweep: str | None, *, is_sure: bool, say: Say) -> list[Removal]:
    """Of a whole study, which then is not registered any more either, or of one sweep; asks first.

    Raises LeaseHeld where somebody drives the study, TryAgain where a worker has it or it went on meanwhile: nothing
    has changed then, nor where MLflow does not answer from the start.
    """
    with results(settings, very_patient) as store:  # one DELETE may take minutes
        registered = store.queue.registered(study) if sweep is None else []
        removals = all_results(store, study, sweep) if store.sweeps(study) or not registered else []
        _show(removals, say)
        _warn_of_champions(store, removals, say)
        if sweep is None:
            _tell_of_nights(store, study, say)
        for row in registered:
            say(f"its registration, of {row.source} in {row.folder}: it is started over HTTP no more")
        if not is_sure:
            _ask(study)
        places = _connected(settings, say) if removals else None  # before anything changes: MLflow may be away
        with alone(store, study) as lease:
            for each in removals:
                is_there(store, each)
            if sweep is None:  # first: else a worker could begin it anew
                forget(store, study)
            return [] if places is None else _carry_out(store, places, removals, say, lease=lease)


def _show(removals: Sequence[Removal], say: Say) -> None:
    for each in removals:
        kept = f"; kept: trials {', '.join(map(str, each.kept))}" if each.kept else ""
        say(
            f"study {each.sweep.study!r}, sweep {each.sweep.sweep_id}: {counted(len(each.trials), 'trial')}, "
            f"{counted(each.trainings, 'training')}, {counted(len(each.runs), 'run')} in MLflow, {size_of(each.size)} "
            f"of curves{kept}"
        )


def _warn_of_champions(store: Store, removals: Sequence[Removal], say: Say) -> None:
    gone = {each.sweep.sweep_id for each in removals}
    for row in (stack[-1] for stack in stacks(store.champions.rows()).values()):
        if row.sweep_id in gone:
            say(
                f"what the {row.alias.value} of {row.name!r} rests on is in it, and its file in MLflow's registry; the "
                f"choice itself stays in force until `lrsweep demote {row.name}`"
            )


def _tell_of_nights(store: Store, study: str, say: Say) -> None:
    """What was promoted, and what was told of it, rests on them."""
    if count := len(store.nights.rows(study)):
        say(
            f"what its nights came to stays, in `lrsweep nightly history {study}` and as runs of the kind night in "
            f"MLflow: {counted(count, 'night')}"
        )


def _ask(study: str) -> None:
    if not sys.stdin.isatty():
        raise SettingsError(f"nobody is there to ask whether results of {study!r} may go. Add --yes if they may.")
    if input("Delete all this, for good? Type yes: ").strip().lower() != "yes":
        raise SettingsError("nothing was deleted.")


def _connected(settings: Settings, say: Say) -> tuple[Homes, Tracker]:
    homes = make_homes(settings)
    return homes, Tracker.connect(homes.mlflow_uri, artifact_root=homes.artifact_root, say=say)


def _carry_out(
    store: Store,
    places: tuple[Homes, Tracker],
    removals: Sequence[Removal],
    say: Say,
    *,
    lease: Lease | None = None,
) -> list[Removal]:
    """Under the lease, where all are of one study; else each under its own, and what somebody drives is left."""
    homes, tracker = places
    done, stayed = [], 0
    for removal in removals:
        try:
            if lease is None:
                stayed += remove(store, removal, runs=tracker, optuna_url=homes.optuna_url)
            else:
                stayed += remove_alone(store, lease, removal, runs=tracker, optuna_url=homes.optuna_url)
        except LeaseHeld as error:
            say(f"left as it is: {error}")
            continue
        done.append(removal)
    left = f"; {stayed:,} runs stay in MLflow, tagged lrsweep.kind = superseded" if stayed else ""
    trials = counted(sum(len(each.trials) for each in done), "trial")
    say(f"removed: {trials} of {counted(len(done), 'sweep')}{left}")
    return done
