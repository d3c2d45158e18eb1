"""What a new sweep takes over from what the study found under other generations.

Same meaning, another space: the trials that lie in the new space are copied, values and all, outside counts and budget.
Another meaning: their values say nothing here, so only the best points are taken, and tried first.

A study that is new has neither: it first tries what other studies of its kind have found (``advising``).

All is settled when the sweep begins and kept by the store: copies as trials, points among the sweep's settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lrsweep.records import Json, Origin, SweepRow, TrialRow, TrialState
from lrsweep.selection import ranked
from lrsweep.space import distributions_at, distributions_to_json, params_of
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep import baseline
from lrsweep.sweep.advising import advice_for, points_for
from lrsweep.sweep.search import LARGEST_HISTORY, best_and_newest
from lrsweep.sweep.stored import known_point, resolved_from

POINTS_KEY = "points"
"""Where a sweep's settings hold the points that it tries first."""

OF_TRIAL = "trial "
"""How the name begins of what a trial was copied from; its number follows."""

SHARE_OF_POINTS = 5
"""One in so many trials of the budget at most is a point of another meaning."""


@dataclass(frozen=True)
class Earlier:
    """A generation of the study, and its trials."""

    study: ResolvedStudy
    trials: Sequence[TrialRow]

    @property
    def unknown(self) -> int:
        """Trials of its own whose points this release cannot read."""
        own = [trial for trial in self.trials if trial.origin.counts and trial.is_told]
        return sum(known_point(trial.params, self.study) is None for trial in own)


@dataclass(frozen=True)
class WarmStart:
    sweep: SweepRow
    copied: int = 0
    points: int = 0
    unknown: int = 0
    """trials that were passed over: this release cannot read their points"""
    advisers: tuple[str, ...] = ()
    """other studies, where the points are theirs"""

    def __str__(self) -> str:
        """For the user; empty where nothing was taken over."""
        told = []
        if self.copied:
            told.append(
                f"the search begins with {_counted(self.copied, 'trial')} of the study's earlier space, outside the "
                "budget"
            )
        elif self.advisers:
            points = _counted(self.points, "point")
            told.append(
                f"the search first tries {points} that studies of the same kind found good "
                f"({', '.join(self.advisers)}); `search.advice = false` leaves them out"
            )
        elif self.points:
            points = _counted(self.points, "best point")
            told.append(f"the search first tries the {points} of the study's earlier meaning")
        if self.unknown:
            told.append(
                f"{_counted(self.unknown, 'trial')} of an earlier release left out: they lack settings that this one "
                "draws"
            )
        return "; ".join(told)


def warm_start(store: Store, lease: Lease, study: ResolvedStudy, sweep: SweepRow) -> WarmStart:
    """To be called once, for a sweep that has just been created; the rows are written under its lease.

    Trials that the generation has copied already are not copied again, so a second call adds none. ``study`` is with
    the exponents that the sweep has frozen: where something is copied the baseline gets its number before.
    """
    earlier = [
        Earlier(resolved_from(row), store.trials(study.name, generation=row.generation))
        for row in store.studies(study.name)
        if row.generation != study.generation and row.spec
    ]
    present = store.trials(study.name, generation=study.generation)
    unknown = sum(one.unknown for one in earlier)
    rows = copies(study, sweep.sweep_id, earlier, present)
    if rows:
        baseline.put_first(store, lease, study, sweep)
    number = store.next_trial_number(study.name)
    for place, row in enumerate(rows):
        store.add_trial(lease, replace(row, number=number + place), [])
    if rows or any(trial.is_told for trial in present):
        return WarmStart(sweep, copied=len(rows), unknown=unknown)
    advisers: tuple[str, ...] = ()
    points = best_points(study, earlier)
    if not points:
        points, advisers = advised_points(study, store)
    if points:
        sweep = store.update_sweep(lease, sweep.sweep_id, settings={POINTS_KEY: points})
    return WarmStart(sweep, points=len(points), unknown=unknown, advisers=advisers)


def advised_points(study: ResolvedStudy, store: Store) -> tuple[list[dict[str, Json]], tuple[str, ...]]:
    """What a first sweep of the study tries first, and whose hints these are; nothing where it wants none."""
    if not study.search.advice:
        return [], ()
    advised = points_for(study, advice_for(study, store, without=study.name), _most(study))
    return [point for _, point in advised], tuple(dict.fromkeys(each.past.study for each, _ in advised))


def points_of(sweep: SweepRow) -> Sequence[Mapping[str, Json]]:
    """What the sweep tries first, as it was settled when it began."""
    found: Sequence[Mapping[str, Json]] = sweep.settings.get(POINTS_KEY, ())
    return found


def copies(
    study: ResolvedStudy, sweep_id: str, earlier: Iterable[Earlier], present: Iterable[TrialRow]
) -> list[TrialRow]:
    """Rows for the trials of other spaces and the same meaning that lie in this one, without their numbers.

    Only what a sweep trained is copied, and nothing twice. A failure says nothing of its point.
    """
    had = {trial.copied_from for trial in present}
    found: list[TrialRow] = []
    for one in earlier:
        if one.study.meaning != study.meaning:
            continue
        for trial in one.trials:
            is_known = trial.origin.counts and trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            point = known_point(trial.params, one.study) if is_known else None
            params = None if point is None else params_of(point, study)
            if params is not None and (name := copy_name(trial)) not in had:
                found.append(
                    replace(
                        trial,
                        sweep_id=sweep_id,
                        params=params,
                        distributions=distributions_to_json(distributions_at(params, study)),
                        origin=Origin.COPIED,
                        copied_from=name,
                    )
                )
    values = [row.value if row.state is TrialState.COMPLETE else None for row in found]
    return [found[place] for place in best_and_newest(values, study.sense, LARGEST_HISTORY)]


def best_points(study: ResolvedStudy, earlier: Iterable[Earlier]) -> list[dict[str, Json]]:
    """Of the newest other meaning that has any: the best of each family, then the next best, at most a fifth of the
    budget. They lie in the space; their values are not looked at but to put them in order."""
    for one in reversed(list(earlier)):
        if one.study.meaning == study.meaning:
            continue
        complete = ranked([trial for trial in one.trials if trial.origin.counts], one.study.sense)
        known = [point for trial in complete if (point := known_point(trial.params, one.study)) is not None]
        points = [params_of(point, study) for point in known]
        if found := first_of_each_family([point for point in points if point is not None]):
            return found[: _most(study)]
    return []


def _most(study: ResolvedStudy) -> int:
    return max(1, study.trials // SHARE_OF_POINTS)


def first_of_each_family(points: Sequence[dict[str, Json]]) -> list[dict[str, Json]]:
    """The same points, each once, those first that are the first of their family."""
    once: dict[object, dict[str, Json]] = {}
    for point in points:
        once.setdefault(frozenset(point.items()), point)
    firsts = {point["family"]: point for point in reversed(once.values())}
    return sorted(once.values(), key=lambda point: firsts[point["family"]] is not point)


def copy_name(trial: TrialRow) -> str:
    return f"{OF_TRIAL}{trial.number}"


def original_of(copy: TrialRow) -> int:
    """The number of the trial that it was copied from."""
    assert copy.copied_from is not None
    return int(copy.copied_from.removeprefix(OF_TRIAL))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
