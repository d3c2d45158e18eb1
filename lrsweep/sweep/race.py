"""The race of a sweep's finalists: seeds are given out in rounds, and after each the finalists are compared.

    finals.plan ──> who takes part ──> the first seeds of all ──> a look ──> more for those still open ──> … ──> it ends

What a look says (see ``selection.racing``) depends on what the budget still pays for, and on how many looks there were.
So what was ordered stands in the sweep's settings before it is queued: a driver that is killed between the two, or
later, queues what is missing of it, and looks again only at what was ordered when all of it has ended.

How many looks there are is settled before the first final, by the budget (``budgets.raced``), and so is the level of
each. A race that has ended goes on where a larger budget brings other finalists, more ``selection.seeds``, or more
seeds for a question that is still open. That is another plan with looks of its own, whose level comes from what the
looks taken so far have left (``racing.planned_alpha``): whoever gives a larger budget has seen what they found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from lrsweep.records import Json, Origin, Purpose, Status, TrainingRow, TrialRow
from lrsweep.selection import cost
from lrsweep.selection.arms import Arm
from lrsweep.selection.racing import Ended, next_seeds
from lrsweep.store.rules import Removed
from lrsweep.study import TIMED, ResolvedStudy
from lrsweep.study.budgets import FIRST_LOOK, looks, raced
from lrsweep.sweep.finals import (
    NOTHING_REMOVED,
    Plan,
    begun_at,
    block_of,
    complexity_of,
    deciding,
    paid_steps,
    paid_trainings,
    plan,
    seeds_after,
    to_queue,
)
from lrsweep.sweep.race_state import RaceState

RACE_KEY = "race"
"""Where a sweep's settings hold its race, ``RaceState.to_json()``: ``looks`` and ``alpha`` are what ``decide`` is to be
given for what the finals say now."""

NOT_NEEDED = (Ended.WINNER, Ended.WITHIN, Ended.ALONE)
"""Ends after which more seeds for the same finalists would answer nothing."""


@dataclass(frozen=True)
class Step:
    """What comes next."""

    state: RaceState | None
    """to be stored before anything is queued; None where there is no race"""
    rows: tuple[TrainingRow, ...] = ()
    """to be queued; none where the race has ended"""
    said: tuple[str, ...] = ()
    """for the user"""


def step(
    study: ResolvedStudy,
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    state: RaceState | None,
    *,
    left: int | None = None,
    removed: Removed = NOTHING_REMOVED,
) -> Step:
    """When nothing of the sweep runs or waits. ``left`` and ``removed`` are what ``finals.plan`` takes."""
    said: list[str] = []
    if state is None:
        planned = plan(study, trials, trainings, left=left, removed=removed)
        if not planned.trials:
            return Step(None, (), () if planned.why_none is None else (planned.why_none,))
        state = _begun(study, trials, planned)
        said.append(_begins(state))
    rows = to_queue(state.rows(study, trials), trainings)
    if rows and state.ended is not None:  # a clock had stopped them
        state = replace(state, at=(state.seeds_each,), taken=0, spent=state.spent_now, ended=None)
    paid = paid_steps(study, trainings, left=left, removed=removed)
    if not rows and state.ended is None:
        state, sentences = _looked(study, trials, trainings, state, paid)
        said += sentences
        rows = to_queue(state.rows(study, trials), trainings)
    if not rows and state.asked != asked(study):
        planned = plan(study, trials, trainings, left=left, removed=removed)
        longer = _extended(study, trials, planned, state)
        said += _too_little(study, trials, planned, state)
        if longer is not None:
            more = sum(longer.ordered.values()) - sum(state.ordered.values())
            said.append(f"the finals go on: {more} trainings more of {len(longer.finalists)} finalists")
            state = longer
            rows = to_queue(state.rows(study, trials), trainings)
    return Step(state, tuple(rows), tuple(said))


def to_order(
    study: ResolvedStudy,
    trainings: Sequence[TrainingRow],
    state: RaceState,
    *,
    left: int | None = None,
    removed: Removed = NOTHING_REMOVED,
) -> int:
    """The most trainings that it still orders, beside those that it has ordered: all that are in the race now come to
    its last look, or the budget ends it before. What it will come to is less, for a look sends finalists home and may
    end it; by how much, only their values say."""
    if state.ended is not None:
        return 0
    have = sum(state.ordered.get(number, 0) for number in state.finalists)
    paid = paid_trainings(study, trainings, state.finalists, paid_steps(study, trainings, left=left, removed=removed))
    lacking = sum(max(0, state.at[-1] - state.ordered.get(number, 0)) for number in state.running)
    return max(0, min(lacking, paid - have))


def closed(
    study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow], state: RaceState
) -> RaceState:
    """The last look, where a clock has ended all, or nothing more is wanted: at what there is."""
    return state if state.ended is not None else _looked(study, trials, trainings, state, 0)[0]


def evened(
    study: ResolvedStudy,
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    state: RaceState,
    planned: Plan,
) -> Step:
    """What comes next where racing is not wanted any more: all of ``planned`` get as many seeds as is paid for at once,
    who was sent home too, and are looked at when they have them. That look has a level of its own."""
    held = {number: state.ordered.get(number, 0) for number in planned.trials}
    most = range(len(planned.seeds), 0, -1)
    each = next((n for n in most if sum(max(n, count) for count in held.values()) <= planned.trainings), 0)
    even = replace(
        state,
        at=(max(1, each),),
        finalists=planned.trials,
        ordered={**state.ordered, **{number: max(each, count) for number, count in held.items()}},
        seeds=seeds_after(state.seeds, study, max(each, len(state.seeds)), begun_at(trials)),
        asked=asked(study),
        taken=0,
        out=(),
        spent=state.spent_now,
        ended=None,
    )
    if rows := to_queue(even.rows(study, trials), trainings):
        count = len(even.finalists)
        said = f"the finals go on without a race: {len(rows)} trainings more of {count} finalists, {each} seeds each"
        return Step(even, tuple(rows), (said,))
    if state.ended is not None:
        return Step(state)
    found, sentences = _looked(study, trials, trainings, state, 0)
    return Step(found, (), tuple(sentences))


def asked(study: ResolvedStudy) -> dict[str, Json]:
    """Of the study's file, what a race depends on. What a clock pays for is a guess that changes as the sweep goes on.
    Comes back from JSON as it is."""
    spec = study.spec()
    unsure = ("trials", "total_steps") if study.budget.kind in TIMED else ()
    return {
        "budget": {name: value for name, value in spec["budget"].items() if name not in unsure},
        "selection": spec["selection"],
    }


# ── plans ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _begun(study: ResolvedStudy, trials: Sequence[TrialRow], planned: Plan) -> RaceState:
    at = raced(planned.trainings, len(planned.trials), study.selection.seeds)
    return RaceState(
        at=at,
        finalists=planned.trials,
        ordered=dict.fromkeys(planned.trials, at[0]),
        seeds=seeds_after(planned.seeds, study, at[0], begun_at(trials)),
        asked=asked(study),
    )


def _extended(study: ResolvedStudy, trials: Sequence[TrialRow], planned: Plan, state: RaceState) -> RaceState | None:
    """A plan that goes on with what is there; None where the budget pays for nothing that would answer anything."""
    if not planned.trials:
        return None
    held = {number: state.ordered.get(number, 0) for number in planned.trials}
    first = _first_seeds(study, planned)
    lacking = sum(max(0, first - count) for count in held.values())
    spare = planned.trainings - sum(held.values()) - lacking
    running = [number for number in planned.trials if number not in state.out]
    is_open = len(running) > 1 and state.ended not in NOT_NEEDED and spare >= len(running)
    if spare < 0 or not (lacking or is_open):
        return None
    start = first if lacking else min(held[number] for number in running)
    now = {number: max(held[number], first) for number in planned.trials}
    at = looks(start, start + spare // 2)
    if len(at) > 1:  # those who have more than the others may come further
        at = looks(start, (sum(sorted(now[number] for number in running)[-2:]) + spare) // 2)
    if not lacking:  # they have been looked at with what they have
        at = at[1:]
    if len(at) < (2 if lacking else 1):
        at = (start + spare // max(1, len(running)),)
    if not lacking or len(at) == 1:
        most = min(at[0], start + spare // max(1, len(running)))
        now |= {number: max(held[number], most) for number in running}
    return RaceState(
        at=at,
        finalists=planned.trials,
        ordered={**state.ordered, **now},
        seeds=seeds_after(state.seeds, study, max(len(state.seeds), *now.values()), begun_at(trials)),
        asked=asked(study),
        out=tuple(number for number in state.out if number in planned.trials),
        spent=state.spent_now,
    )


def _first_seeds(study: ResolvedStudy, planned: Plan) -> int:
    return min(max(FIRST_LOOK, study.selection.seeds), planned.trainings // len(planned.trials))


# ── looks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _looked(
    study: ResolvedStudy,
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    state: RaceState,
    paid: int,
) -> tuple[RaceState, list[str]]:
    """With the next round ordered, or ended. ``paid``: updates of all finals, those that exist included."""
    finals = [row for row in trainings if row.purpose is Purpose.FINAL]
    arms, others = arms_of(study, trials, finals)
    said = [_of_another_block(others)] if others else []
    if not any(arm.n for arm in arms):
        return replace(state, taken=state.taken + 1, ended=Ended.NOBODY), [*said, f"the finals end: {Ended.NOBODY}"]
    have = sum(state.ordered.get(number, 0) for number in state.finalists)
    left = max(0, paid_trainings(study, trainings, state.finalists, paid) - have)
    at_home = {arm.name for arm in arms} - {str(number) for number in state.running}
    race = next_seeds(
        *(arms, state.taken, left),
        out=at_home,
        worth=study.selection.worth,
        alpha=state.alpha,
        looks=state.at,
        is_for_a_winner=True,
    )
    more = {int(name): count for name, count in race.seeds.items()}
    ordered = {number: count + more.get(number, 0) for number, count in state.ordered.items()}
    found = replace(
        state,
        ordered=ordered,
        seeds=seeds_after(state.seeds, study, max(ordered.values()), begun_at(trials)),
        taken=state.taken + 1,
        out=tuple(number for number in state.finalists if str(number) in race.out),
        ended=race.ended,
    )
    families = {trial.number: str(trial.params["family"]) for trial in trials}
    gone = [f"trial {number} ({families[number]})" for number in found.out if number not in state.out]
    return found, said + _told(state, found, gone, left)


def arms_of(
    study: ResolvedStudy, trials: Sequence[TrialRow], finals: Sequence[TrainingRow]
) -> tuple[list[Arm], Counter[str]]:
    """Of the trainings of the largest block that came to a value or diverged; and how many others there are, by theirs.
    A failure says nothing of a schedule."""
    ended = [row for row in finals if row.status in (Status.COMPLETED, Status.DIVERGED)]
    counts = Counter(block_of(row) for row in ended if row.status is Status.COMPLETED)
    largest = counts.most_common(1)[0][0] if counts else None
    own = [row for row in ended if largest in (None, block_of(row))]
    metric, _ = deciding(study, own)
    baseline = max((trial.number for trial in trials if trial.origin is Origin.BASELINE), default=None)
    arms = []
    for trial in trials:
        rows = [row for row in own if row.trial == trial.number]
        if any(row.trial == trial.number for row in finals):
            values = [row.metrics[metric] for row in rows if row.status is Status.COMPLETED and metric in row.metrics]
            arms.append(
                Arm(
                    name=str(trial.number),
                    family=str(trial.params["family"]),
                    costs=tuple(cost(value, study.sense) for value in values),
                    diverged=len(rows) - len(values),
                    is_baseline=trial.number == baseline,
                    complexity=complexity_of(study, trial),
                    order=trial.number,
                )
            )
    return arms, Counter(block_of(row) for row in ended if row not in own)


# ── sentences ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _begins(state: RaceState) -> str:
    count = len(state.finalists)
    if len(state.at) == 1:
        return f"the search has ended; {count} finalists are trained with {state.seeds_each} fresh seeds each"
    return (
        f"the search has ended; {count} finalists are trained with {state.seeds_each} fresh seeds each, and those that "
        f"are still open to be best with up to {max(state.at[-1], state.seeds_each)}"
    )


def _told(before: RaceState, found: RaceState, gone: Collection[str], left: int) -> list[str]:
    seeds = before.seeds_shown
    said = [f"after {seeds}: {', '.join(gone)} shown to be worse, and trained no more"] if gone else []
    if found.ended is None:
        more = sum(found.ordered.values()) - sum(before.ordered.values())
        running = f"{len(found.running)} of {len(found.finalists)} finalists"
        return [*said, f"after {seeds}: {running} go on, with {more} trainings more"]
    if len(found.at) == 1 and found.ended not in NOT_NEEDED:
        return said
    saved = f"; {left} training{'s were' if left > 1 else ' was'} not needed"
    is_saved = left and found.ended in NOT_NEEDED
    return [*said, f"the finals end: {found.ended}, after {seeds}{saved if is_saved else ''}"]


def _too_little(study: ResolvedStudy, trials: Sequence[TrialRow], planned: Plan, state: RaceState) -> list[str]:
    """Where others take part now, or all are to begin with more seeds, and a larger budget does not pay for that."""
    if not planned.trials:
        return []
    first = _first_seeds(study, planned)
    held = {number: state.ordered.get(number, 0) for number in planned.trials}
    lacking = sum(max(0, first - count) for count in held.values())
    paid = max(0, planned.trainings - sum(held.values()))
    if paid >= lacking:
        return []
    families = {trial.number: str(trial.params["family"]) for trial in trials}
    names = ", ".join(f"trial {number} ({families[number]})" for number, count in held.items() if count < first)
    return [
        f"the finals do not go on: to give {names} the {first} seeds that finalists begin with takes "
        f"{lacking} training{'s' if lacking > 1 else ''}, and the budget pays for {paid} more. Give a larger budget"
    ]


def _of_another_block(others: Mapping[str, int]) -> str:
    names = ", ".join(f"{count} by {block or 'an unknown engine'}" for block, count in others.items())
    return f"trainings of finalists by another engine or device are not compared with the rest: {names}"
