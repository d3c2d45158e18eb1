"""A night with a champion in force: the canary, challengers where it asks for them, the verdict, and what follows.

    begun ──> champion and baseline at the rung ──> judged ──┬──────────────────────────────────────────┬──> ended
                                                             └─> challengers at the full horizon ─> judged ─┘

Everything up to the end may be killed: the plan is kept when the night begins and each training as it ends, and the
same night comes to the same verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lrsweep.champion.history import said
from lrsweep.executors.base import OpenedExecutor
from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.nightly.contenders import BASELINE, CHAMPION, Contender
from lrsweep.nightly.evidence import (
    FINGERPRINT,
    NIGHT,
    Found,
    challengers,
    contender_named,
    earlier_nights,
    judged,
    night_of,
    rules_of,
)
from lrsweep.nightly.following import Followed, Follows, who_follows
from lrsweep.nightly.outcome import CHANGED, StudyNight
from lrsweep.nightly.planning import FORMAT, Plan, in_sweep
from lrsweep.nightly.starts import mark_of, trained_in
from lrsweep.nightly.training import Bench, Job, attempts_of, folder_of, train
from lrsweep.nightly.workplace import Workplace
from lrsweep.selection.nights import Night as NightEvidence
from lrsweep.selection.nights import NightVerdict
from lrsweep.store.champions import Alias, ChampionRow, in_force
from lrsweep.store.nights import NightRow, NightTraining
from lrsweep.study import NightlySpec, ResolvedStudy

EXIT_CODES = {
    NightVerdict.HOLDS: 0,
    NightVerdict.UNDECIDED: 0,
    NightVerdict.CHALLENGER_BETTER: CHANGED,
    NightVerdict.WORKLOAD_DRIFTED: CHANGED,
}


@dataclass(frozen=True)
class Night:
    """One that has begun, and all that it takes to go on with it."""

    at: Workplace
    study: ResolvedStudy
    nightly: NightlySpec
    row: NightRow
    rows: Sequence[NightRow]
    """all of the study before it"""
    executor: OpenedExecutor
    engine: EngineOption
    confirm: Callable[[], None]
    check: Callable[[], None]
    seconds_left: Callable[[], float]
    remark: str = ""
    """a sentence that goes with the verdict"""


def compared(night: Night) -> StudyNight:
    """To its end, which is written. Raises what ends it early; then the same night goes on later."""
    store, plan = night.at.store, Plan.from_json(night.row.plan)
    rules = rules_of(night.study, night.nightly)
    before = earlier_nights(night.rows, night.row, plan.same)
    trainings = _trained(night, canary(plan), "canary")
    # of a night that goes on without its challengers, which have perhaps begun: whom it asks for stays the same
    asks = {job.key for job in canary(plan)}
    alone = [row for row in trainings if row.key in asks]
    found = judged(before, _row_of(night, plan, alone), rules)
    if found.judgement.needs_challengers:
        named = challengers(found.judgement, plan, night.rows, night.nightly.challengers)
        if named:
            trainings = _trained(night, full(plan, named), "challengers at the full horizon")
            found = judged(before, _row_of(night, plan, trainings), rules)
    ended = _study_night(night, found, trainings, _followed(night, plan, found))
    night.confirm()
    around = trained_in(night.row, len(trainings)).to_json()
    fingerprint = {**plan.fingerprint, "surroundings": around}
    result = {"format": FORMAT, "night": ended.to_json(), NIGHT: found.night.to_json(), FINGERPRINT: fingerprint}
    store.nights.end(night.row.id, result)
    return ended


def _row_of(night: Night, plan: Plan, trainings: Sequence[NightTraining]) -> NightEvidence:
    return night_of(night.row.key, plan, trained_in(night.row, len(trainings)), night.study, trainings)


# ── trainings ────────────────────────────────────────────────────────────────────────────────────────────────────────
def canary(plan: Plan) -> list[Job]:
    """Seed by seed, so that of a night that is ended early both arms have as many."""
    arms = [(CHAMPION, plan.champion), *([] if plan.baseline is None else [(BASELINE, plan.baseline)])]
    return [
        Job(arm, contender, plan.rung, plan.scales.get(contender.name, 1.0), seed)
        for seed in plan.seeds
        for arm, contender in arms
    ]


def full(plan: Plan, named: Sequence[Contender]) -> list[Job]:
    """The champion and its challengers with the same seeds, which are not the canary's: these have asked for them."""
    arms = [(CHAMPION, plan.champion), *((each.name, each) for each in named)]
    return [Job(arm, each, plan.horizon, 1.0, seed) for seed in plan.full_seeds for arm, each in arms]


def _trained(night: Night, jobs: Sequence[Job], what: str) -> list[NightTraining]:
    store = night.at.store
    done = {each.key for each in store.nights.trainings(night.row.id)}
    left = [job for job in jobs if job.key not in done]
    if left:
        night.at.say(f"{night.row.study}: {len(left)} of {len(jobs)} trainings: {what}")
        _use(night, left)
    bench = Bench(
        store=store,
        study=in_sweep(store, night.study),
        night=night.row,
        executor=night.executor,
        checkpoints=folder_of(night.at),
        attempts=attempts_of(night.at),
        confirm=night.confirm,
        check=night.check,
        mark=mark_of(night.row),
    )
    return train(bench, jobs)


def _use(night: Night, left: Sequence[Job]) -> None:
    """As many at a time as are left, where that is faster."""
    rest = Rest(sum(job.horizon for job in left), len(left), night.seconds_left())
    night.executor.fit(night.engine, night.study, rest, tick=night.check)


# ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _followed(night: Night, plan: Plan, found: Found) -> Followed:
    at, promotes = night.at, night.nightly.promote
    name = who_follows(found.judgement, promotes)
    contender = None if name is None else contender_named(name, night.rows, plan)
    study = in_sweep(at.store, night.study)
    follows = Follows(at.store, at.homes, study, plan, night.row.key, night.confirm, at.say)
    followed = follows.put_in_force(contender, found.judgement, Alias.CHAMPION if promotes else Alias.CANDIDATE)
    if followed.remark:
        at.say(f"{night.row.study}: {followed.remark}")
    return followed


def _study_night(night: Night, found: Found, trainings: Sequence[NightTraining], followed: Followed) -> StudyNight:
    judgement, name = found.judgement, night.row.study
    sentences = [judgement.reason, night.remark, followed.sentence]
    failed = sorted({row.arm for row in trainings if row.error is not None})
    if failed:
        sentences.append(f"trainings of {', '.join(failed)} failed, so that these are left out")
    return StudyNight(
        study=name,
        generation=night.row.generation,
        key=night.row.key,
        verdict=judgement.verdict.value,
        sentence="; ".join(filter(None, sentences)),
        next_step=followed.next_step(judgement, name),
        exit_code=CHANGED if followed.promoted else EXIT_CODES[judgement.verdict],
        champion=followed.champion,
        candidate=in_words(night.at.store.champions.rows(name), name, Alias.CANDIDATE),
        promoted=followed.promoted,
        trainings=len(trainings),
        steps=sum(row.steps for row in trainings),
        seconds=sum(row.seconds for row in trainings),
        judgement=judgement.to_json(),
        began_at=night.row.at,
        ended_at=night.at.clock(),
    )


def in_words(rows: Sequence[ChampionRow], study: str, alias: Alias) -> str | None:
    row = in_force(rows, study, alias)
    return None if row is None else said(row)
