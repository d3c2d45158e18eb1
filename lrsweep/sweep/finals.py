"""The finals: a few trials of the search are trained again at the full horizon, with fresh seeds that all share.

The best of many noisy values is partly luck, so what the search said of a finalist counts only to choose it::

    plan(rows at the end of the search) ──> who, with which seeds ──> trainings(...) ──> standings(rows)

All are pure functions of committed rows: a driver that starts in the middle of the finals makes the same plan, and
queues what is missing of it. A larger budget that continues the sweep makes a larger plan out of the same seeds.
In a race (see ``race``) the plan says who takes part, and the seeds are given out in rounds.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lrsweep.records import Json, Origin, Purpose, Status, TrainingRow, TrialRow, stable_hash, training_id
from lrsweep.selection import best_per_family, cost, ranked
from lrsweep.selection.arms import Arm
from lrsweep.selection.coarse import with_least_spreads
from lrsweep.selection.results import UNKNOWN, Point, complexity
from lrsweep.selection.statistics import Interval, turned
from lrsweep.store.rules import Removed
from lrsweep.study import ResolvedStudy
from lrsweep.study.budgets import FEWEST_FINALISTS, finalists, kept_share, seed_deviation
from lrsweep.sweep.stored import known_point

NOTHING_REMOVED = Removed()
SLIGHTLY = 0.02
"""Of the budget: by so much a search may go past its share, as its last trials often do, before it costs a finalist."""
NEAR = 2.0
"""Standard errors of a difference, within which of the leader a family's best has to lie to take part in a race."""


@dataclass(frozen=True)
class Plan:
    """Who is trained again, and with which seeds; both empty where there are no finals."""

    trials: tuple[int, ...] = ()
    """by number: the search's leader, the baseline, then the other families' bests"""
    seeds: tuple[int, ...] = ()
    trainings: int = 0
    """that the budget pays for, of these and those that exist"""
    why_none: str | None = None
    """a sentence for the user, where finals were wanted"""


@dataclass(frozen=True)
class Finalist:
    """What the fresh seeds say of one trial."""

    trial: int
    family: str
    is_baseline: bool
    n: int
    """values: trainings that completed"""
    diverged: int
    failed: int
    left: int
    """that have not ended"""
    mean: float | None
    sd: float | None
    """from seed to seed"""
    interval: Interval | None
    """95 %, of the mean"""
    metric: str
    is_decide: bool
    """whether the values come from the half of the validation data that the search did not see"""

    def to_json(self) -> dict[str, Json]:
        return {
            "trial": self.trial,
            "family": self.family,
            "is_baseline": self.is_baseline,
            "n": self.n,
            "diverged": self.diverged,
            "failed": self.failed,
            "left": self.left,
            "mean": self.mean,
            "sd": self.sd,
            "interval": None if self.interval is None else [self.interval.low, self.interval.high],
            "metric": self.metric,
            "is_decide": self.is_decide,
        }


def plan(
    study: ResolvedStudy,
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    *,
    left: int | None = None,
    removed: Removed = NOTHING_REMOVED,
) -> Plan:
    """What the finals are, once the search (and a design) has ended; the rows are the sweep's.

    They get what the search has left of the budget. Where a share is kept, they get it of a budget in trials, on whose
    top they come, and of others too where the search has gone slightly past its own; where it has gone further, as with
    many trials at a time, as much as two finalists take. ``left`` is given where a clock says how many updates that is,
    those of finals that exist included.
    ``removed`` is what the sweep has spent on rows that are gone.
    """
    wanted = study.selection
    if not wanted.finalists or (left is None and not study.total_steps):
        return Plan()
    candidates = _candidates(trials, study, _spread(study, trainings) if wanted.racing else None)
    finals = [row for row in trainings if row.purpose is Purpose.FINAL]
    paid = paid_steps(study, trainings, left=left, removed=removed)
    if len(candidates) < FEWEST_FINALISTS:
        return Plan(
            why_none=f"no finals: it takes {FEWEST_FINALISTS} trials to compare, and {len(candidates)} of this sweep's "
            "reached the full horizon"
        )
    if wanted.finalists < FEWEST_FINALISTS:
        return Plan(
            why_none=f"no finals: selection.finalists is {wanted.finalists}, and it takes {FEWEST_FINALISTS} trials to "
            "compare. Write 0 where none are wanted"
        )
    for most in range(min(wanted.finalists, len(candidates)), FEWEST_FINALISTS - 1, -1):
        chosen = candidates[:most]
        of_chosen = paid - _gone(finals, chosen)
        count, seeds = finalists(of_chosen, study.horizon, wanted, candidates=most)
        if count == most:
            fresh = fresh_seeds(study, seeds, held=[row.seed for row in finals], begun=begun_at(trials))
            return Plan(tuple(chosen), fresh, _whole(of_chosen, study.horizon))
    return Plan(
        why_none=f"no finals: {FEWEST_FINALISTS} finalists with {wanted.seeds} seeds each take "
        f"{FEWEST_FINALISTS * wanted.seeds * study.horizon} updates, and {max(0, paid)} are left. Give a larger "
        "budget, a larger selection.share, or fewer selection.seeds"
    )


def paid_steps(
    study: ResolvedStudy,
    trainings: Sequence[TrainingRow],
    *,
    left: int | None = None,
    removed: Removed = NOTHING_REMOVED,
) -> int:
    """Updates of all finals that the budget pays for, those that exist included."""
    return _left(study, trainings, removed) if left is None else left


def paid_trainings(study: ResolvedStudy, trainings: Sequence[TrainingRow], chosen: Collection[int], paid: int) -> int:
    """Of these finalists, out of so many updates of all finals."""
    finals = [row for row in trainings if row.purpose is Purpose.FINAL]
    return _whole(paid - _gone(finals, chosen), study.horizon)


def _gone(finals: Sequence[TrainingRow], chosen: Collection[int]) -> int:
    """Updates of a plan that a smaller budget made, and that is not part of this one, or is trained again."""
    return sum(row.steps for row in finals if row.trial not in chosen or row.status is Status.STOPPED)


def _whole(steps: int, horizon: int) -> int:
    return max(0, math.floor(steps / horizon + 1e-9))


def fresh_seeds(study: ResolvedStudy, count: int, held: Collection[int] = (), begun: int = 0) -> tuple[int, ...]:
    """So many seeds for finals: the same for every finalist, and none of the search's.

    First those that the sweep's finals have, ``held``, the most used before the others: the study's own seed may have
    changed since. Then the next of a sweep that ``begun`` with that trial.
    """
    by_use = Counter(held).items()
    return seeds_after([seed for seed, _ in sorted(by_use, key=lambda each: (-each[1], each[0]))], study, count, begun)


def seeds_after(known: Sequence[int], study: ResolvedStudy, count: int, begun: int) -> tuple[int, ...]:
    """So many: those that are known, in their order, then the sweep's next."""
    which = [begun] if begun else []
    own = (int(stable_hash([study.seed, study.name, "final", *which, place])[:7], 16) for place in itertools.count())
    return tuple(itertools.islice(itertools.chain(known, (seed for seed in own if seed not in known)), count))


def begun_at(trials: Sequence[TrialRow]) -> int:
    """The sweep's first trial, whose number no other sweep of the study has: what an earlier one's finals have put
    first, a later one may begin with, and their seeds would not be fresh for it."""
    return min((trial.number for trial in trials), default=0)


def trainings(
    study: ResolvedStudy, planned: Plan, trials: Sequence[TrialRow], existing: Sequence[TrainingRow]
) -> list[TrainingRow]:
    """What is to be queued of the plan, seed by seed, so that all finalists have about as many when it is cut short.

    What the clock of a smaller budget has stopped is queued again, and comes as the row that it has.
    """
    by_number = {trial.number: trial for trial in trials}
    planned_rows = [a_final(study, by_number[number], seed) for seed in planned.seeds for number in planned.trials]
    return to_queue(planned_rows, existing)


def to_queue(planned: Sequence[TrainingRow], existing: Sequence[TrainingRow]) -> list[TrainingRow]:
    """What is not there yet, and what a clock has stopped, as the row that it has."""
    there = {row.training_id: row for row in existing}
    rows = [there.get(row.training_id, row) for row in planned]
    return [row for row in rows if row.training_id not in there or row.status is Status.STOPPED]


def standings(study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]) -> list[Finalist]:
    """Best first, in the order of ``Arm.place``, as in a choice among them; empty where the sweep has no finals.

    Of a script there is one validation metric, which the search has seen; ``is_decide`` is then False.
    """
    rows: dict[int, list[TrainingRow]] = defaultdict(list)
    for row in trainings:
        if row.purpose is Purpose.FINAL:
            rows[row.trial].append(row)
    metric, is_decide = deciding(study, [row for of_trial in rows.values() for row in of_trial])
    found = [_finalist(trial, rows[trial.number], metric, is_decide) for trial in trials if trial.number in rows]
    baseline = max((trial.number for trial in trials if trial.origin is Origin.BASELINE), default=None)
    # values that come in steps are less certain than they look, as in a choice among them
    arms = with_least_spreads(
        [
            Arm(
                name=str(each.trial),
                family=each.family,
                costs=tuple(cost(value, study.sense) for value in _values(rows[each.trial], metric)),
                diverged=each.diverged,
                is_baseline=each.trial == baseline,
                complexity=complexity_of(study, trial),
                order=each.trial,
            )
            for each, trial in zip(found, (trial for trial in trials if trial.number in rows), strict=True)
        ]
    )
    sign = cost(1.0, study.sense)
    by_name = {arm.name: arm for arm in arms}
    found = [replace(each, interval=turned(by_name[str(each.trial)].interval(), sign)) for each in found]
    return sorted(found, key=lambda each: by_name[str(each.trial)].place)


def complexity_of(study: ResolvedStudy, trial: TrialRow) -> float:
    """How much its schedule is made of, as far as this release can read its point."""
    point = known_point(trial.params, study)
    return UNKNOWN if point is None else complexity(Point(point.schedule.family, point.schedule.to_json()))


def leader(of: Sequence[Finalist]) -> Finalist | None:
    """The first of the standings, where it has a value."""
    return of[0] if of and of[0].mean is not None else None


def _candidates(trials: Sequence[TrialRow], study: ResolvedStudy, spread: float | None) -> list[int]:
    """The search's best, the baseline, each other family's best, and the leading family's second, in this order.

    The baseline is compared whatever its value, but not where it diverged. Families whose best is further behind the
    leader than ``NEAR`` standard errors of a difference of two seeds are left out, where the ``spread`` from seed to
    seed is known.
    """
    bests = best_per_family(trials, study.sense)
    if bests and spread is not None:
        first = cost(bests[0].value or 0.0, study.sense)
        reach = NEAR * math.sqrt(2) * spread
        bests = [each for each in bests if cost(each.value or 0.0, study.sense) - first <= reach]
    # the newest, where the study's file has named another one since
    baseline = [trial for trial in trials if trial.origin is Origin.BASELINE][-1:]
    baseline = [trial for trial in baseline if trial.value is not None]
    in_order = [trial.number for trial in [*bests[:1], *baseline, *bests[1:]]]
    leading = [trial.number for trial in ranked(trials, study.sense) if _is_of_family(trial, bests[0])]
    return list(dict.fromkeys([*in_order, *[number for number in leading if number not in in_order][:1]]))


def _spread(study: ResolvedStudy, trainings: Sequence[TrainingRow]) -> float | None:
    """From seed to seed at the full horizon, by the seeds that a design shares; None where they are one, or none.

    A search trains each point with one seed, which says nothing of it: then a race begins with all, and what its first
    look sends home is what a spread known before would have left out. What finals say of it is not asked, so that a
    plan does not change as they end. The best of many values is partly luck, and a design's largest rates have the
    largest spread: both leave rather too many in.
    """
    return seed_deviation(
        [row for row in trainings if row.purpose is Purpose.FIT and row.horizon == study.horizon], study.value_key
    )


def _is_of_family(trial: TrialRow, other: TrialRow) -> bool:
    return bool(trial.params["family"] == other.params["family"])


def _left(study: ResolvedStudy, trainings: Sequence[TrainingRow], removed: Removed) -> int:
    finals_removed = removed.steps.get(Purpose.FINAL, 0)
    spent = sum(row.steps for row in trainings if row.purpose is not Purpose.FINAL)
    left = study.total_steps - spent - removed.all_steps
    share = kept_share(study.selection, study.total_steps, study.horizon)
    kept = int(share * study.total_steps)
    if study.budget.trials is None and left < kept - SLIGHTLY * study.total_steps:
        fewest = FEWEST_FINALISTS * study.selection.seeds * study.horizon
        kept = min(kept, fewest) if left >= 0 else 0  # a smaller budget than before has nothing left to promise
    return max(left, kept - finals_removed)


def a_final(study: ResolvedStudy, trial: TrialRow, seed: int) -> TrainingRow:
    return TrainingRow(
        training_id=training_id(trial.sweep_id, trial.number, study.horizon, seed, 1.0),
        study=trial.study,
        trial=trial.number,
        sweep_id=trial.sweep_id,
        rung=len(study.rungs) - 1,
        horizon=study.horizon,
        seed=seed,
        rate_scale=1.0,
        purpose=Purpose.FINAL,
    )


def block_of(row: TrainingRow) -> str:
    """What trained it: an engine with its slots, and a kind of device. Finals of two blocks are not compared.

    >>> row = TrainingRow("t", "s", 0, "w", 1, 600, 1, 1.0, engine="fused/32", device="cuda:1")
    >>> block_of(row)
    'fused/32 on cuda'
    """
    kind = (row.device or "").partition(":")[0]
    return " on ".join(filter(None, [row.engine, kind]))


def deciding(study: ResolvedStudy, rows: Sequence[TrainingRow]) -> tuple[str, bool]:
    """By which metric finalists are compared, and whether the search did not see it: one for all of them.

    The best of the evaluations and the time to a target exist on the half that the search sees alone.
    """
    decide = f"decide_{study.metric.removeprefix('val_')}"
    completed = [row for row in rows if row.status is Status.COMPLETED]
    has_it = bool(completed) and all(decide in row.metrics for row in completed)
    return (decide, True) if study.objective.kind == "last" and has_it else (study.value_key, False)


def _values(rows: Sequence[TrainingRow], metric: str) -> tuple[float, ...]:
    completed = (row for row in rows if row.status is Status.COMPLETED)
    return tuple(row.metrics[metric] for row in completed if metric in row.metrics)


def _finalist(trial: TrialRow, rows: Sequence[TrainingRow], metric: str, is_decide: bool) -> Finalist:
    completed = [row for row in rows if row.status is Status.COMPLETED]
    values = _values(rows, metric)
    return Finalist(
        trial=trial.number,
        family=str(trial.params["family"]),
        is_baseline=trial.origin is Origin.BASELINE,
        n=len(values),
        diverged=sum(row.status is Status.DIVERGED for row in rows) + len(completed) - len(values),
        failed=sum(row.status is Status.FAILED for row in rows),
        left=sum(not row.status.is_outcome for row in rows),
        mean=float(np.mean(values)) if values else None,
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        interval=None,
        metric=metric,
        is_decide=is_decide,
    )
