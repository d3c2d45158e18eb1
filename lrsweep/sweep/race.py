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
from lrsweep.selection.racing import Ended, claimed, next_seeds, planned_alpha
from lrsweep.selection.results import UNKNOWN, Point, complexity
from lrsweep.store.rules import Removed
from lrsweep.study import TIMED, ResolvedStudy
from lrsweep.study.budgets import FIRST_LOOK, looks, raced
from lrsweep.sweep.finals import (
    NOTHING_REMOVED,
    Plan,
    a_final,
    block_of,
    deciding,
    paid_steps,
    paid_trainings,
    plan,
    seeds_after,
    to_queue,
)
from lrsweep.sweep.stored import known_point

RACE_KEY = "race"
"""Where a sweep's settings hold its race, ``RaceState.to_json()``: ``looks`` and ``alpha`` are what ``decide`` is to be
given for what the finals say now."""

NOT_NEEDED = (Ended.WINNER, Ended.WITHIN, Ended.ALONE)
"""Ends after which more seeds for the same finalists would answer nothing."""


@dataclass(frozen=True)
class RaceState:
    """What was planned, what was ordered, and what the looks so far have said."""

    at: tuple[int, ...]
    """seeds of those still in the race at each look of this plan; the last may have fewer, where the budget ends it"""
    finalists: tuple[int, ...]
    """trials of this plan, by number"""
    ordered: Mapping[int, int]
    """by trial, also of earlier plans: how many of ``seeds``"""
    seeds: tuple[int, ...]
    """in this order for all: whoever has k of them has the first k"""
    asked: Mapping[str, Json]
    """the budget and the wishes that it was planned for"""
    taken: int = 0
    """looks of this plan"""
    out: tuple[int, ...] = ()
    """sent home"""
    spent: float = 0.0
    """of what may be claimed wrongly, by the looks of earlier plans"""
    ended: Ended | None = None

    @property
    def alpha(self) -> float:
        """What all looks of this plan may claim wrongly."""
        return planned_alpha(self.spent)

    @property
    def spent_now(self) -> float:
        return self.spent + self.taken * self.alpha / len(self.at)

    @property
    def running(self) -> tuple[int, ...]:
        return tuple(number for number in self.finalists if number not in self.out)

    @property
    def seeds_each(self) -> int:
        """Of those still in the race."""
        return max((self.ordered.get(number, 0) for number in self.running or self.finalists), default=0)

    def rows(self, study: ResolvedStudy, trials: Sequence[TrialRow]) -> list[TrainingRow]:
        """All that was ordered of these finalists, seed by seed; without trials that were removed."""
        by_number = {trial.number: trial for trial in trials}
        there = [number for number in self.finalists if number in by_number]
        return [
            a_final(study, by_number[number], seed)
            for place, seed in enumerate(self.seeds)
            for number in there
            if place < self.ordered.get(number, 0)
        ]

    def to_json(self) -> dict[str, Json]:
        return {
            "looks": len(self.at),
            "alpha": claimed(self.alpha, len(self.at)),
            "at": list(self.at),
            "taken": self.taken,
            "ended": None if self.ended is None else self.ended.name.lower(),
            "finalists": list(self.finalists),
            "out": list(self.out),
            "ordered": {str(number): count for number, count in self.ordered.items()},
            "seeds": list(self.seeds),
            "spent": self.spent,
            "asked": dict(self.asked),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Json]) -> RaceState:
        return cls(
            at=tuple(stored["at"]),
            finalists=tuple(stored["finalists"]),
            ordered={int(number): count for number, count in stored["ordered"].items()},
            seeds=tuple(stored["seeds"]),
            asked=stored["asked"],
            taken=stored["taken"],
            out=tuple(stored["out"]),
            spent=stored["spent"],
            ended=None if stored["ended"] is None else Ended[stored["ended"].upper()],
        )


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
        state = _begun(study, planned)
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
        longer = _extended(study, plan(study, trials, trainings, left=left, removed=removed), state)
        if longer is not None:
            more = sum(longer.ordered.values()) - sum(state.ordered.values())
            said.append(f"the finals go on: {more} trainings more of {len(longer.finalists)} finalists")
            state = longer
            rows = to_queue(state.rows(study, trials), trainings)
    return Step(state, tuple(rows), tuple(said))


def closed(
    study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow], state: RaceState
) -> RaceState:
    """The last look, where a clock has ended all: at what there is."""
    return state if state.ended is not None else _looked(study, trials, trainings, state, 0)[0]


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


def _begun(study: ResolvedStudy, planned: Plan) -> RaceState:
    at = raced(planned.trainings, len(planned.trials), study.selection.seeds)
    return RaceState(
        at=at,
        finalists=planned.trials,
        ordered=dict.fromkeys(planned.trials, at[0]),
        seeds=seeds_after(planned.seeds, study, at[0]),
        asked=asked(study),
    )


def _extended(study: ResolvedStudy, planned: Plan, state: RaceState) -> RaceState | None:
    """A plan that goes on with what is there; None where the budget pays for nothing that would answer anything."""
    if not planned.trials:
        return None
    held = {number: state.ordered.get(number, 0) for number in planned.trials}
    first = min(max(FIRST_LOOK, study.selection.seeds), planned.trainings // len(planned.trials))
    lacking = sum(max(0, first - count) for count in held.values())
    spare = planned.trainings - sum(held.values()) - lacking
    running = [number for number in planned.trials if number not in state.out]
    is_open = len(running) > 1 and state.ended not in NOT_NEEDED and spare >= len(running)
    if spare < 0 or not (lacking or is_open):
        return None
    start = first if lacking else min(held[number] for number in running)
    at = looks(start, start + spare // 2)
    if not lacking:  # they have been looked at with what they have
        at = at[1:]
    if len(at) < (2 if lacking else 1):
        at = (start + spare // max(1, len(running)),)
    now = {number: max(held[number], first) for number in planned.trials}
    if not lacking or len(at) == 1:
        most = min(at[0], start + spare // max(1, len(running)))
        now |= {number: max(held[number], most) for number in running}
    return RaceState(
        at=at,
        finalists=planned.trials,
        ordered={**state.ordered, **now},
        seeds=seeds_after(state.seeds, study, max(len(state.seeds), *now.values())),
        asked=asked(study),
        out=tuple(number for number in state.out if number in planned.trials),
        spent=state.spent_now,
    )


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
        seeds=seeds_after(state.seeds, study, max(ordered.values())),
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
                    complexity=_complexity(study, trial),
                )
            )
    return arms, Counter(block_of(row) for row in ended if row not in own)


def _complexity(study: ResolvedStudy, trial: TrialRow) -> float:
    point = known_point(trial.params, study)
    return UNKNOWN if point is None else complexity(Point(point.schedule.family, point.schedule.to_json()))


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
    seeds = before.seeds_each
    said = [f"after {seeds} seeds each: {', '.join(gone)} shown to be worse, and trained no more"] if gone else []
    if found.ended is None:
        more = sum(found.ordered.values()) - sum(before.ordered.values())
        running = f"{len(found.running)} of {len(found.finalists)} finalists"
        return [*said, f"after {seeds} seeds each: {running} go on, with {more} trainings more"]
    if len(found.at) == 1 and found.ended not in NOT_NEEDED:
        return said
    saved = f"; {left} training{'s were' if left > 1 else ' was'} not needed"
    is_saved = left and found.ended in NOT_NEEDED
    return [*said, f"the finals end: {found.ended}, after {seeds} seeds each{saved if is_saved else ''}"]


def _of_another_block(others: Mapping[str, int]) -> str:
    names = ", ".join(f"{count} by {block or 'an unknown engine'}" for block, count in others.items())
    return f"trainings of finalists by another engine or device are not compared with the rest: {names}"
