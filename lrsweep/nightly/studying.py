"""One study's night, from its file to a value: an ended one is read, one under way goes on, else one begins.

no champion in force         the study's sweep                     sweeping
nothing has changed          nothing trains                        here
else                         canary, challengers, verdict          comparing
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from lrsweep.champion.history import said
from lrsweep.errors import SettingsError
from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.engine_option import EngineOption
from lrsweep.nightly.alone import Right, nights_alone
from lrsweep.nightly.around import device_of, device_on_ray, now_of
from lrsweep.nightly.asked import Asked
from lrsweep.nightly.attempts import tidy_attempts
from lrsweep.nightly.comparing import Night, compared, in_words
from lrsweep.nightly.contenders import of_row, why_not_trainable
from lrsweep.nightly.evidence import fingerprint_then, has_compared
from lrsweep.nightly.history import read_night
from lrsweep.nightly.outcome import StudyNight
from lrsweep.nightly.planning import FORMAT, SWEEPS, UNCHANGED, fingerprint_of, kind_of, planned
from lrsweep.nightly.recorded import beside_another, night_of_key, recorded_night
from lrsweep.nightly.starts import gone_on
from lrsweep.nightly.sweeping import swept
from lrsweep.nightly.training import attempts_of, folder_of
from lrsweep.nightly.workplace import Workplace
from lrsweep.records import Json
from lrsweep.scripts import command
from lrsweep.selection.nights import NightVerdict
from lrsweep.store.champions import Alias, ChampionRow, in_force
from lrsweep.store.nights import NightRow
from lrsweep.study import Examined, ResolvedStudy, Study
from lrsweep.sweep.checkpoints import refuse_remote
from lrsweep.sweep.homes import Options
from lrsweep.sweep.refusals import completed
from lrsweep.sweep.script_settings import with_agreed_settings
from lrsweep.sweep.stopping import Stop

MakeExecutor = Callable[[], OpenedExecutor]


@dataclass(frozen=True)
class Limit:
    """Of one study's share of the night."""

    at: float | None
    """by the monotonic clock"""

    @property
    def seconds_left(self) -> float | None:
        return None if self.at is None else max(1.0, self.at - time.monotonic())


def night_of_study(at: Workplace, study: Study, asked: Asked, limit: Limit) -> StudyNight:
    """Raises LeaseHeld where another process is at work, DeadlinePassed, Interrupted, and what makes the study fail."""
    stop = Stop(limit.at)
    at.stops.add(stop)
    stop.check()
    engine = _engine_of(at, study, asked)
    engine.check(study.workload)
    device = (study.run.device or "auto") if asked.device == "auto" else asked.device

    def resolve() -> ResolvedStudy:
        return _resolved(at, study, device, stop)

    recorded = recorded_night(at.store.nights.rows(study.name), asked.key, resolve, at.say)
    if recorded is not None:  # whoever runs another night of the study meanwhile
        return recorded
    refuse_remote(at.homes.checkpoints, study.workload)
    with ExitStack() as stack:
        right = stack.enter_context(nights_alone(at.store, study.name, asked.on_locked, stop.check, at.say))
        resolved = resolve()
        rows = at.store.nights.rows(study.name)
        row = night_of_key(rows, resolved.generation, asked.key)
        if row is not None and row.ended_at is not None:
            return replace(read_night(row), is_recorded=True)
        champion = in_force(at.store.champions.rows(study.name), study.name, Alias.CHAMPION)
        if row is None:
            row = _begun(at, study, resolved, asked, champion, device, rows)
        beside = beside_another(rows, row, resolved.facts.data_hash)
        if beside:
            at.say(f"{study.name}: {beside}")
        if kind_of(row) == UNCHANGED:
            return _ended_unchanged(at, row, right, beside)
        if kind_of(row) == SWEEPS and champion is not None:
            return _ended_overtaken(at, row, champion, right)
        if kind_of(row) == SWEEPS:
            at.describing.close()  # the sweep has its own
            options = Options(device, engine=engine, executor=at.where, faults=at.faults)

            def anew() -> OpenedExecutor:
                return at.executor(device, at.say)

            left, confirm = (lambda: limit.seconds_left), right.confirm
            return swept(at, study, row, asked, anew, options, left, stop.check, confirm, beside)
        row = gone_on(at.store, row, now_of(resolved, _told(at, device)).surroundings)
        folder_of(at).tidy(at.store)
        tidy_attempts(attempts_of(at))
        taken = at.describing.taken(device, study.workload, lambda: at.executor(device, at.say))
        executor = stack.enter_context(closing(taken))
        return compared(
            Night(
                at=at,
                study=resolved,
                nightly=study.nightly,
                row=row,
                rows=rows,
                executor=executor,
                engine=engine,
                confirm=right.confirm,
                check=stop.check,
                seconds_left=lambda: math.inf if limit.seconds_left is None else limit.seconds_left,
                remark="; ".join(filter(None, (beside, _remark(at, resolved)))),
            )
        )


def _engine_of(at: Workplace, study: Study, asked: Asked) -> EngineOption:
    """The command's, else the study's, else the environment's, as of a sweep."""
    if asked.engine is not None:
        return asked.engine
    return at.engine if study.run.engine is None else EngineOption.parsed(study.run.engine, "run.engine")


def _resolved(at: Workplace, study: Study, device: str, stop: Stop) -> ResolvedStudy:
    """As a sweep of it would have it."""

    def make() -> OpenedExecutor:
        return at.executor(device, at.say)

    resolved = completed(Examined(study), lambda workload: at.describing.facts(device, workload, make, stop.check))
    if study.workload.name == command.NAME:
        free = at.describing.free(device, study.workload, make)
        resolved = with_agreed_settings(at.store, replace(resolved, scripts_at_once=free), at.say)
    return resolved


def _told(at: Workplace, device: str) -> str:
    """Where it trains, as a change of it is told; the workload has been asked."""
    far = at.describing.far_device(device)
    return device_of(device) if far is None else device_on_ray(far)


# ── a night begins ───────────────────────────────────────────────────────────────────────────────────────────────────
def _begun(
    at: Workplace,
    study: Study,
    resolved: ResolvedStudy,
    asked: Asked,
    champion: ChampionRow | None,
    device: str,
    rows: Sequence[NightRow],
) -> NightRow:
    def begin(plan: dict[str, Json]) -> NightRow:
        return at.store.nights.begin(study.name, resolved.generation, asked.key, plan)

    if champion is None:
        return begin({"format": FORMAT, "kind": SWEEPS})
    contender = of_row(at.store, champion, resolved)
    if why := why_not_trainable(resolved, contender):
        raise SettingsError(f"{why}.")
    now = now_of(resolved, _told(at, device))
    before = next((row for row in reversed(rows) if has_compared(row)), None)
    if before is not None and not asked.is_always:
        age = at.clock() - (before.ended_at or 0.0)
        fingerprint = fingerprint_of(at.store, resolved, study.nightly, contender, now, rows)
        is_same = fingerprint_then(before) == fingerprint
        if is_same and age < study.nightly.max_age and not _wants_more(before):
            return begin({"format": FORMAT, "kind": UNCHANGED, "since": before.key, "night": before.id})
    plan = planned(at.store, resolved, study.nightly, contender, champion.id, now, asked.key, rows)
    return begin(plan.to_json())


def _wants_more(row: NightRow) -> bool:
    """A canary that left its limits, or a suspicion: the nights after it are to say what it was."""
    judgement = read_night(row).judgement or {}
    return bool(judgement.get("needs_challengers") or judgement.get("challengers"))


def _ended_unchanged(at: Workplace, row: NightRow, right: Right, beside: str) -> StudyNight:
    before = next(each for each in at.store.nights.rows(row.study) if each.id == row.plan["night"])
    last = read_night(before)
    standing = (last.judgement or {}).get("standing")
    waits = f"; {standing} waits for somebody to act on it" if standing else ""
    rows = at.store.champions.rows(row.study)
    ended = StudyNight(
        study=row.study,
        generation=row.generation,
        key=row.key,
        verdict=NightVerdict.HOLDS.value,
        sentence="commit, data, versions, device and champion are those of night "
        f"{before.key}, whose verdict was {last.verdict}{waits}{f'; {beside}' if beside else ''}",
        next_step=f"{last.next_step}; `--always` with another `--key` trains although nothing has changed",
        exit_code=0,
        is_unchanged=True,
        champion=in_words(rows, row.study, Alias.CHAMPION),
        candidate=in_words(rows, row.study, Alias.CANDIDATE),
        began_at=row.at,
        ended_at=at.clock(),
    )
    right.confirm()
    at.store.nights.end(row.id, {"format": FORMAT, "night": ended.to_json()})
    return ended


def _ended_overtaken(at: Workplace, row: NightRow, champion: ChampionRow, right: Right) -> StudyNight:
    """Of a night that was to run the sweep, and goes on after somebody has promoted: no candidate is put up beside a
    champion that it never met."""
    ended = StudyNight(
        study=row.study,
        generation=row.generation,
        key=row.key,
        verdict=NightVerdict.UNDECIDED.value,
        sentence=f"a champion came into force since the night began, {said(champion)}, so that its sweep does not go "
        "on and nothing was compared",
        next_step="a night with another `--key` compares with the champion; "
        f"`lrsweep run` of the study's file goes on with the sweep of {row.study}",
        exit_code=0,
        champion=said(champion),
        candidate=in_words(at.store.champions.rows(row.study), row.study, Alias.CANDIDATE),
        began_at=row.at,
        ended_at=at.clock(),
    )
    right.confirm()
    at.store.nights.end(row.id, {"format": FORMAT, "night": ended.to_json()})
    return ended


def _remark(at: Workplace, study: ResolvedStudy) -> str:
    sweeps = at.store.sweeps(study.name)
    if any(sweep.generation == study.generation for sweep in sweeps):
        return ""
    if not sweeps:
        return "the results hold no sweep of the study"
    return "no sweep of the study as it is now was run: the champion comes from an earlier generation of it"
