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
from lrsweep.executors.choosing import Rest
from lrsweep.executors.chosen import crew_for
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.local import LocalExecutor
from lrsweep.nightly.contenders import BASELINE, CHAMPION, Contender
from lrsweep.nightly.evidence import (
    NIGHT,
    Found,
    challengers,
    contender_named,
    earlier_nights,
    judged,
    night_of,
    rules_of,
)
from lrsweep.nightly.outcome import CHANGED, StudyNight
from lrsweep.nightly.planning import FORMAT, Plan, in_sweep
from lrsweep.nightly.promoting import Promotion, put_in_force
from lrsweep.nightly.training import Bench, Job, folder_of, train
from lrsweep.nightly.workplace import Workplace
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
    executor: LocalExecutor
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
    found = judged(before, night_of(night.row.key, plan, night.study, alone), rules)
    if found.judgement.needs_challengers:
        named = challengers(found.judgement, plan, night.rows, night.nightly.challengers)
        if named:
            trainings = _trained(night, full(plan, named), "challengers at the full horizon")
            found = judged(before, night_of(night.row.key, plan, night.study, trainings), rules)
    promotion, alias = _followed(night, plan, found)
    ended = _study_night(night, plan, found, trainings, promotion, alias)
    night.confirm()
    result = {"format": FORMAT, "night": ended.to_json(), NIGHT: found.night.to_json()}
    store.nights.end(night.row.id, result)
    return ended


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
        checkpoints=folder_of(night.at.homes.folder),
        confirm=night.confirm,
        check=night.check,
    )
    return train(bench, jobs)


def _use(night: Night, left: Sequence[Job]) -> None:
    """As many at a time as are left, where that is faster."""
    rest = Rest(sum(job.horizon for job in left), len(left), night.seconds_left())
    study, homes = night.study, night.at.homes
    crew = crew_for(night.engine, study, rest, night.executor, homes.engines, tick=night.check, say=night.at.say)
    night.executor.use(crew)


# ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _followed(night: Night, plan: Plan, found: Found) -> tuple[Promotion | None, Alias | None]:
    """Who was shown tonight; where the study promotes by itself also who was shown before and waits."""
    name = found.shown
    if name is None and night.nightly.promote:
        name = found.judgement.standing
    contender = None if name is None else contender_named(name, night.rows, plan)
    if contender is None:
        return None, None
    now = in_force(night.at.store.champions.rows(night.row.study), night.row.study, Alias.CHAMPION)
    alias = Alias.CHAMPION if night.nightly.promote else Alias.CANDIDATE
    if now is None or (alias is Alias.CHAMPION and now.id != plan.row):
        night.at.say(f"{night.row.study}: another choice came into force meanwhile, so that nothing is promoted")
        return None, None
    study = in_sweep(night.at.store, night.study)
    night.confirm()
    made = put_in_force(night.at.store, night.at.homes, study, contender, found.judgement, alias, night.at.say)
    return made, alias


def _study_night(
    night: Night,
    plan: Plan,
    found: Found,
    trainings: Sequence[NightTraining],
    promotion: Promotion | None,
    alias: Alias | None,
) -> StudyNight:
    judgement, name = found.judgement, night.row.study
    rows = night.at.store.champions.rows(name)
    is_promoted = promotion is not None and alias is Alias.CHAMPION
    sentences = [judgement.reason, night.remark]
    if promotion is not None:
        sentences.append(f"in force as the {alias} is now {promotion.words}")
    failed = sorted({row.arm for row in trainings if row.error is not None})
    if failed:
        sentences.append(f"trainings of {', '.join(failed)} failed, so that these are left out")
    return StudyNight(
        study=name,
        generation=night.row.generation,
        key=night.row.key,
        verdict=judgement.verdict.value,
        sentence="; ".join(filter(None, sentences)),
        next_step=_next_step(judgement.next_step, name, promotion, alias),
        exit_code=CHANGED if is_promoted else EXIT_CODES[judgement.verdict],
        champion=in_words(rows, name, Alias.CHAMPION) or plan.champion.words,
        candidate=in_words(rows, name, Alias.CANDIDATE),
        promoted=promotion.words if promotion is not None and is_promoted else None,
        trainings=len(trainings),
        steps=sum(row.steps for row in trainings),
        seconds=sum(row.seconds for row in trainings),
        judgement=judgement.to_json(),
        began_at=night.row.at,
        ended_at=night.at.clock(),
    )


def _next_step(said_of_it: str, study: str, promotion: Promotion | None, alias: Alias | None) -> str:
    if promotion is None:
        return said_of_it
    if alias is Alias.CHAMPION:
        return f"`lrsweep demote {study}` takes it back; with the next night limits start anew"
    return f"`lrsweep nightly promote {study}` makes it the champion; else set a larger nightly.worth"


def in_words(rows: Sequence[ChampionRow], study: str, alias: Alias) -> str | None:
    row = in_force(rows, study, alias)
    return None if row is None else said(row)
