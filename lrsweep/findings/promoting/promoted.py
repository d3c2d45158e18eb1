"""``lrsweep promote``: from a sweep of a study, the newest or one that was named, to a row, a file and a version."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from lrsweep.champion.comparing import why_worse
from lrsweep.champion.history import version_of
from lrsweep.champion.making import hidden_settings, with_test
from lrsweep.champion.reading import from_json, written
from lrsweep.champion.value import ChampionChoice
from lrsweep.errors import InvalidInput, SettingsError, TryAgain
from lrsweep.files import check_target, write_whole
from lrsweep.findings.choosing import choose_in
from lrsweep.findings.promoting.alone import reading_alone
from lrsweep.findings.promoting.held_out import MakeExecutor, Say, known_test, why_not_yet, with_test_set
from lrsweep.findings.promoting.value import value_of
from lrsweep.findings.reading import chosen_sweep, drivers, generation_of
from lrsweep.records import Json, Purpose, SweepRow, SweepStatus
from lrsweep.selection.choice import Choice
from lrsweep.selection.deciding import Evidence
from lrsweep.store import Store
from lrsweep.store.champions import Action, Alias, ChampionRow, in_force, is_same_choice
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.beginning import is_driven_out
from lrsweep.sweep.held_out import data_of
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.registering import register
from lrsweep.sweep.stored import resolved_from
from lrsweep.tracking.surroundings import Surroundings, look_around

_ALL_THE_SAME = "`--as champion` makes it the champion all the same"


@dataclass(frozen=True)
class Wanted:
    """What was typed."""

    study: str
    file: Path | None = None
    alias: Alias | None = None
    note: str | None = None
    reads_test: bool | None = None
    """None: where it is time, see ``why_not_yet``"""
    sweep: str | None = None
    """the beginning of an id; None: the newest"""


@dataclass(frozen=True)
class Promotion:
    row: ChampionRow
    is_new: bool
    was: ChampionRow | None
    """in force before it under that alias"""
    why_candidate: str | None
    """a sentence, where nobody asked for a candidate"""
    file: Path | None = None
    outage: str | None = None
    """why MLflow has not got it"""
    reads: int = 0
    """of the study's test set, by now"""

    def to_json(self) -> dict[str, Json]:
        assert self.row.choice is not None
        choice = json.loads(self.row.choice)
        return {
            "name": self.row.name,
            "alias": self.row.alias.value,
            "is_new": self.is_new,
            "was": None if self.was is None or self.was.choice is None else json.loads(self.was.choice),
            "evidence": choice["evidence"].get("evidence"),
            "why_candidate": self.why_candidate,
            "choice": choice,
            "test": choice["test"],
            "test_reads": self.reads,
            "file": None if self.file is None else str(self.file),
            "mlflow_version": version_of(self.row),
            "mlflow_outage": self.outage,
        }


# ── promote ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def promote(store: Store, homes: Homes, wanted: Wanted, make_executor: MakeExecutor, say: Say) -> Promotion:
    """Raises SettingsError where there is nothing to promote, and TryAgain while the sweep is not over."""
    if wanted.file is not None:
        check_target(wanted.file, "--to")  # before the trainings for the test set
    sweep = chosen_sweep(store, wanted.study, wanted.sweep)
    _refuse_unfinished(store, sweep)
    metric, choice = choose_in(store, wanted.study, worth=None, sweep_id=sweep.sweep_id)
    study = resolved_from(generation_of(store, sweep), sweep)
    here = look_around(with_user=study.tracking.user)
    value = _value(store, study, sweep, choice, metric, here, say)
    with ExitStack() as reading:
        known = known_test(store, value)
        if known is None and wanted.reads_test is None and (why_not := why_not_yet(choice)):
            say(f"the test set is not read: {why_not}")
        elif known is None and wanted.reads_test is not False:
            # until the row is there: whoever comes second finds in it what was read
            claim = reading.enter_context(reading_alone(store, value.name, say))
            known = known_test(store, value)
            if known is None:
                value = with_test_set(claim, study, sweep, value, make_executor, say)
        if known is not None:
            value = with_test(value, known)  # a choice is not tested twice
        rows = store.champions.rows(value.name)
        alias, why = _alias(rows, value, wanted.alias, choice)
        was = in_force(rows, value.name, alias)
        row, is_new = store.champions.promote(
            ChampionRow(
                name=value.name,
                alias=alias,
                action=Action.PROMOTE,
                choice=written(value),
                study=sweep.study,
                sweep_id=sweep.sweep_id,
                trial=value.provenance.get("trial"),
                note=wanted.note,
                who=here.user,
            )
        )
    assert row.choice is not None
    if wanted.file is not None:
        _write(wanted.file, row.choice)
    outage = register(homes, store, row.name, say=say).outage
    now = next(each for each in store.champions.rows(row.name) if each.id == row.id)
    reads = len(store.champions.test_reads(data_of(study)))
    return Promotion(now, is_new, was, why, wanted.file, outage, reads)


def _refuse_unfinished(store: Store, sweep: SweepRow) -> None:
    if (driver := drivers(store).get(sweep.study)) is not None and sweep.status is SweepStatus.RUNNING:
        raise TryAgain(
            f"the sweep {sweep.sweep_id[:8]} of study {sweep.study!r} is still being driven ({driver}): its finals "
            f"decide. Promote it when it has ended; `lrsweep status {sweep.study}` says when that will be."
        )
    if sweep.status is not SweepStatus.RUNNING or sweep.is_cancelled:
        return  # what is left of one that was stopped or cancelled, nobody trains
    finals = [row for row in store.trainings(sweep.study, sweep_id=sweep.sweep_id) if row.purpose is Purpose.FINAL]
    if left := sum(not row.status.is_outcome for row in finals):
        raise TryAgain(
            f"{left} of the {len(finals)} finals of study {sweep.study!r} have not ended, and nobody trains them: "
            f"{_goes_on(store, sweep)}"
        )
    if not is_driven_out(sweep, generation_of(store, sweep).spec):
        raise TryAgain(
            f"the sweep {sweep.sweep_id[:8]} of study {sweep.study!r} has not come to its end, and nobody drives it: "
            f"{_goes_on(store, sweep)}"
        )


def _goes_on(store: Store, sweep: SweepRow) -> str:
    found = "`lrsweep run` with the study's file goes on, and then it can be promoted."
    is_newest = store.sweeps(sweep.study)[-1].sweep_id == sweep.sweep_id
    return f"{found} `lrsweep cancel` ends the sweep as it is." if is_newest else found


def _value(
    store: Store, study: ResolvedStudy, sweep: SweepRow, choice: Choice, metric: str, here: Surroundings, say: Say
) -> ChampionChoice:
    value = value_of(store, study, sweep, choice, metric, commit=here.commit, is_changed=here.is_changed)
    best = json.loads(choice.recommended.point.beside or "{}")
    if hidden := hidden_settings(best.get("extra", {}), value.extra):
        say(f"the JSON does not hold all of {', '.join(hidden)}: secrets and folders are left out of it")
    return value


def _alias(
    rows: Sequence[ChampionRow], value: ChampionChoice, asked: Alias | None, choice: Choice
) -> tuple[Alias, str | None]:
    """What is undecided leads perhaps by chance, and a sweep may find less than one before it: such a choice becomes a
    candidate, unless somebody says otherwise."""
    if asked is not None:
        return asked, None
    present = in_force(rows, value.name, Alias.CHAMPION)
    if present is not None and is_same_choice(written(value), present.choice):
        return Alias.CHAMPION, None
    if present is not None and (why := _why_worse(value, present)):
        return Alias.CANDIDATE, f"a candidate, and not the champion: {why}. {_ALL_THE_SAME}"
    if choice.evidence is not Evidence.UNDECIDED:
        return Alias.CHAMPION, None
    more = f" To know more: {choice.next_step}." if choice.next_step else ""
    return Alias.CANDIDATE, (f"a candidate, and not the champion: that it leads may be chance.{more} {_ALL_THE_SAME}")


def _why_worse(value: ChampionChoice, present: ChampionRow) -> str | None:
    try:
        return None if present.choice is None else why_worse(value, from_json(present.choice, value.name))
    except InvalidInput:
        return None  # of a release whose choices this one cannot read: nothing is known of it


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _write(file: Path, text: str) -> None:
    """A file that says the same already stays as it is."""
    with suppress(OSError):
        if file.is_file() and file.read_bytes() == text.encode():
            return
    try:
        write_whole(file, text, "--to")
    except SettingsError as error:
        raise SettingsError(
            f"the choice is promoted, but {error} The same command with another --to writes it."
        ) from error
