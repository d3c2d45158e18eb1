"""``lrsweep choose STUDY``: the finals of a study's newest sweep, or of one that was named, as results.

Finalists were trained with seeds of their own, on the half of the validation data that the search did not see. Where a
sweep has had none, its best trials stand for themselves, with the one seed that each of them has.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from lrsweep.errors import SettingsError
from lrsweep.findings.asked import NOTHING, block_of, read_target
from lrsweep.findings.reading import chosen_sweep, generation_of, is_superseded
from lrsweep.records import (
    Direction,
    Json,
    Losses,
    Origin,
    Purpose,
    Status,
    SweepRow,
    SweepStatus,
    TrainingRow,
)
from lrsweep.selection.choice import Choice, choose
from lrsweep.selection.comparing import ALPHA
from lrsweep.selection.ranking import cost
from lrsweep.selection.rates import kind_of, reach_of
from lrsweep.selection.results import Point, Result
from lrsweep.selection.targets import Target
from lrsweep.space import Candidate, peak_lr_name, peak_of
from lrsweep.store import Store
from lrsweep.store.extracts import Drawn
from lrsweep.store.rules import Removed
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.finals import deciding
from lrsweep.sweep.race import RACE_KEY
from lrsweep.sweep.stored import known_point, resolved_from

LOSS_OF_EXAMPLES = "decide_loss"
"""The metric of which the losses of single examples are kept: they are its parts."""

LEADING = 20
"""Trainings that are looked at for the best of a rung that this release can read."""


Kind = tuple[str, str | None, str]
"""Of a point: ``selection.rates.kind_of``."""


@dataclass(frozen=True)
class Studied:
    """What a study's rows say, ready to choose from."""

    study: str
    sweep: str
    metric: str
    direction: Direction
    horizon: int
    finals: tuple[Result, ...]
    searched: tuple[Result, ...]
    """the search's own values at the full horizon, a seed each"""
    searched_again: tuple[Result, ...]
    """the finals by the search's metric, on the half of validation that it saw"""
    picked: tuple[Result, ...]
    """of each rung, in each block, the trial that the search's metric put first, by the metric that decides"""
    rated: tuple[Result, ...]
    """the leading families' points at several peak rates, by the search's metric: what the rate exponent was fitted on
    says how much a rate may be off, too"""
    baseline: Point | None
    seconds: float
    """of all trainings of the sweep, added up: those that ran side by side too"""
    trainings: int
    """how many these are; those that wait have not begun"""
    searched_metric: str
    """by which the search went"""
    worth: float | None
    """the smallest gain that the study says is worth a change"""
    alpha: float = ALPHA
    """what all ``looks`` together may claim wrongly"""
    looks: int = 1
    """at growing finals, where they raced"""
    is_racing: bool = False
    """whether the race has not ended: then nothing is shown, for this look is none of those that it was planned with"""
    is_cancelled: bool = False
    """whether the sweep is not continued"""
    is_superseded: bool = False
    """whether it is not continued, as another one was started since"""
    is_of_an_earlier_file: bool = False
    """whether the newest sweep asks something else: another file than today's goes on with this one"""


def results_of(store: Store, given: str, sweep_id: str | None = None, *, is_whole: bool = False) -> Studied:
    """Of the study's newest sweep, or of the one whose id begins so. Where finals decide, of what was searched only
    what has a part in the choice is read, unless ``is_whole``: a sweep may have 33,000 trials. Raises SettingsError
    where none of its trainings reached the full horizon."""
    sweep = chosen_sweep(store, given, sweep_id)
    study = resolved_from(generation_of(store, sweep), sweep)
    rows = _Rows(store, sweep, study)
    finals, designed = rows.of(Purpose.FINAL), rows.of(Purpose.FIT)
    points = rows.points(row.trial for row in (*finals, *designed))
    metric, _ = deciding(study, finals)
    examples = store.example_losses(sweep.sweep_id) if metric == LOSS_OF_EXAMPLES else {}
    found = _results(finals, points, metric, examples)
    has_finals = any(not each.has_diverged for each in found)  # of finals that all diverged no choice is left
    of_search = rows.beside(points, designed) if has_finals and not is_whole else rows.of(Purpose.SEARCH)
    points |= rows.points(row.trial for row in of_search if row.trial not in points)
    searched = _results(of_search, points, study.value_key)
    if not any(each.value is not None for each in (*found, *searched)):
        raise SettingsError(
            f"no training of study {sweep.study!r} has come to a value at {study.horizon} steps yet: `lrsweep status "
            f"{sweep.study}` says where it stands."
        )
    counts = store.extracts.training_counts(sweep.sweep_id)
    race = sweep.settings.get(RACE_KEY, {})
    baselines = rows.baselines()
    return Studied(
        study=sweep.study,
        sweep=sweep.sweep_id,
        metric=metric if has_finals else study.value_key,
        direction=study.sense,
        horizon=study.horizon,
        finals=tuple(found) if has_finals else (),
        searched=tuple(searched),
        searched_again=tuple(_results(finals, points, study.value_key)) if has_finals else (),
        # of what was removed one may have been the best
        picked=() if Removed.of(sweep).trials else tuple(rows.picked(metric if has_finals else study.value_key)),
        rated=tuple(_as_trained(row, points, study.value_key) for row in designed if _is_of_design(row, points)),
        baseline=baselines[-1] if baselines else None,
        searched_metric=study.value_key,
        worth=study.selection.worth,
        seconds=sum(each.seconds for each in counts),
        trainings=sum(each.count for each in counts if each.has_run),
        alpha=race.get("alpha", ALPHA),
        looks=race.get("looks", 1),
        # of a finished sweep no look is to come: this one is among those that were planned
        is_racing=bool(race) and race.get("ended") is None and sweep.status is not SweepStatus.FINISHED,
        is_cancelled=sweep.is_cancelled or sweep.status is SweepStatus.CANCELLED,
        is_superseded=is_superseded(store, sweep),
        is_of_an_earlier_file=store.sweeps(sweep.study)[-1].generation != sweep.generation,
    )


class _Rows:
    """The rows of one sweep that have a part in a choice; of its points those that this release can read."""

    def __init__(self, store: Store, sweep: SweepRow, study: ResolvedStudy) -> None:
        self._store = store
        self._sweep = sweep
        self._study = study
        self._drawn: dict[int, Mapping[str, Json]] = {}
        """by number, as far as they were read"""

    def of(self, purpose: Purpose) -> Sequence[TrainingRow]:
        """All at the full horizon."""
        return self._trainings(purpose=purpose)

    def points(self, numbers: Iterable[int]) -> dict[int, Point]:
        wanted = sorted(set(numbers))
        missing = [number for number in wanted if number not in self._drawn]
        trials = self._store.extracts.trials(self._sweep.study, missing)
        self._drawn |= {trial.number: trial.params for trial in trials}
        return _points(self._study, {number: self._drawn[number] for number in wanted if number in self._drawn})

    def baselines(self) -> list[Point]:
        """The newest last."""
        trials = self._store.extracts.trials(self._sweep.study, origin=Origin.BASELINE)
        points = _points(
            self._study, {row.number: row.params for row in trials if row.sweep_id == self._sweep.sweep_id}
        )
        return [points[number] for number in sorted(points)]

    def beside(self, finalists: Mapping[int, Point], designed: Sequence[TrainingRow]) -> Sequence[TrainingRow]:
        """Of the search at the full horizon: the best, by whose value the argmin would choose, and what was trained at
        other peaks of a finalist's point, by which its rates are known."""
        best = self._store.extracts.best(self._sweep.sweep_id, self._study.sense)
        if best is None or not self.points([best.number]):  # the best that this release can read is another one
            return self.of(Purpose.SEARCH)
        theirs = {number: self._drawn[number] for number in finalists}
        like = {_kind(params): (_beside_the_peak(params), kind_of(finalists[n])) for n, params in theirs.items()}
        tried: dict[Kind, list[Drawn]] = defaultdict(list)
        for each in self._store.extracts.drawn(self._sweep.sweep_id, [params for params, _ in like.values()]):
            own = _beside_the_peak(each.params)  # compared as it is: to make text of thousands takes longer
            for params, kind in like.values():
                if own == params:
                    tried[kind].append(each)
        rated: dict[Kind, list[Result]] = defaultdict(list)
        for row in designed:
            if _is_of_design(row, finalists):
                rated[kind_of(finalists[row.trial])].append(_as_trained(row, finalists, self._study.value_key))
        near = [each for kind, of_kind in tried.items() for each in self._near_the_best(of_kind, rated[kind])]
        self._drawn |= {each.number: each.params for each in near}
        return self._trainings(purpose=Purpose.SEARCH, trials={best.number, *(each.number for each in near)})

    def _near_the_best(self, tried: Sequence[Drawn], rated: Sequence[Result]) -> list[Drawn]:
        """Of thousands of peaks those by which it is told how exactly the peak has to be met."""
        sense = self._study.sense
        costs: dict[float, list[float]] = defaultdict(list)
        peaks = [peak_of(each.params) for each in tried]
        for peak, each in zip(peaks, tried, strict=True):
            if each.is_whole or each.has_diverged:
                costs[peak].append(math.inf if each.value is None else cost(each.value, sense))
        for result in rated:
            if result.point.peak_lr is not None:
                costs[result.point.peak_lr].append(math.inf if result.value is None else cost(result.value, sense))
        low, high = reach_of(costs)
        return [each for peak, each in zip(peaks, tried, strict=True) if low <= peak <= high]

    def picked(self, metric: str) -> Iterator[Result]:
        """Of each shorter rung, in each block, the best by the search's metric, at the peak that it was trained at.

        What one training took says little of its cost beside finals, which ran under another load: its steps do.
        """
        study = self._study
        leading = self._store.extracts.leading(
            *(self._sweep.sweep_id, study.value_key, study.sense), beside=metric, below=study.horizon, places=LEADING
        )
        points = self.points(row.trial for row in leading)
        by_rung: dict[tuple[int, str], list[TrainingRow]] = defaultdict(list)
        for row in leading:
            if row.trial in points:
                by_rung[row.horizon, block_of(row.engine, row.device)].append(row)
        for of_rung in by_rung.values():
            best = min(of_rung, key=lambda row: cost(row.metrics[self._study.value_key], self._study.sense))
            yield replace(_as_trained(best, points, metric), cost=None)

    def _trainings(self, purpose: Purpose, trials: Collection[int] | None = None) -> Sequence[TrainingRow]:
        sweep = self._sweep
        return self._store.extracts.trainings(
            sweep.study, sweep_id=sweep.sweep_id, purpose=purpose, horizon=self._study.horizon, trials=trials
        )


def _points(study: ResolvedStudy, drawn: Mapping[int, Mapping[str, Json]]) -> dict[int, Point]:
    """By a trial's number; without those of an earlier release that name no schedule any more.

    Of a family without settings hundreds of trials differ by their peaks alone: their schedule is made once.
    """
    found: dict[int, Point] = {}
    made: dict[str, tuple[Candidate, str] | None] = {}
    for number, params in drawn.items():
        kind = _kind(params)
        if kind not in made:
            point = known_point(params, study)
            made[kind] = None if point is None else (point, point.schedule.to_json())
        if (known := made[kind]) is not None:
            point, schedule = known
            beside = {
                "trial": number,
                "optimizer": point.optimizer.name,
                "optimizer_settings": dict(point.optimizer.settings),
                "batch_size": study.facts.batch_size or None,
                **({"extra": dict(point.extra)} if point.extra else {}),
            }
            found[number] = Point(point.schedule.family, schedule, peak_of(params), json.dumps(beside))
    return found


def _kind(params: Mapping[str, Json]) -> str:
    """Trials of one kind differ by their peaks alone."""
    return json.dumps(_beside_the_peak(params), sort_keys=True)


def _beside_the_peak(params: Mapping[str, Json]) -> dict[str, Json]:
    """All that was drawn, and of the peak rate itself only that it was."""
    peaks = ("peak_lr", peak_lr_name(str(params["family"]), str(params.get("optimizer"))))
    return {**params, **{name: None for name in peaks if name in params}}


def _is_of_design(row: TrainingRow, points: Mapping[int, Point]) -> bool:
    """Whether it has ended and says something of a rate."""
    return row.purpose is Purpose.FIT and row.trial in points and row.status in (Status.COMPLETED, Status.DIVERGED)


def _as_trained(row: TrainingRow, points: Mapping[int, Point], metric: str) -> Result:
    """With the peak that it was trained at, which is another one than its trial's."""
    [found] = _results([row], points, metric)
    peak = found.point.peak_lr
    return replace(found, point=replace(found.point, peak_lr=None if peak is None else peak * row.rate_scale))


def _results(
    rows: Iterable[TrainingRow],
    points: Mapping[int, Point],
    metric: str,
    examples: Mapping[str, Losses] = MappingProxyType({}),
) -> list[Result]:
    """Of trainings that came to a value or diverged: a failure says nothing of a schedule. ``examples`` are losses by
    training."""
    return [
        Result(
            points[row.trial],
            row.horizon,
            str(row.seed),
            row.metrics.get(metric) if row.status is Status.COMPLETED else None,
            row.seconds,
            block_of(row.engine, row.device),
            examples.get(row.training_id),
        )
        for row in rows
        if row.trial in points and row.status in (Status.COMPLETED, Status.DIVERGED)
    ]


def choose_in(
    store: Store, given: str, *, worth: float | None, target: str | None = None, sweep_id: str | None = None
) -> tuple[str, Choice]:
    """The metric that decides, and the choice. Raises SettingsError for a target of another metric or direction."""
    found = results_of(store, given, sweep_id)
    return found.metric, choose_of(found, given, worth=worth, target=target)


def choose_of(found: Studied, given: str, *, worth: float | None, target: str | None = None) -> Choice:
    """As ``choose_in``, of what a study's rows say; ``given`` is how the study was named."""
    choice = choose(
        found.finals or found.searched,
        direction=found.direction,
        horizon=found.horizon,
        searched=found.searched,
        searched_again=found.searched_again,
        picked=found.picked,
        is_picked_by_itself=found.metric == found.searched_metric,
        rated=found.rated,
        baseline=found.baseline,
        worth=found.worth if worth is None else worth,
        target=None if target is None else _target(found, given, target, worth),
        alpha=NOTHING if found.is_racing else found.alpha,
        looks=found.looks,
    )
    if found.is_racing:
        choice = replace(choice, next_step=_to_end_the_race(found, given))
    return replace(choice, search_cost=found.seconds, cost_unit="s")


def _target(found: Studied, given: str, target: str, worth: float | None) -> Target:
    typed = (given, *(() if worth is None else ("--worth", str(worth))))
    return read_target(target, found.metric, found.direction, typed=typed, is_free=False)[0]


def _to_end_the_race(found: Studied, given: str) -> str:
    """Where the file of a study is that was named by its name, nobody knows."""
    if found.is_superseded:
        return (
            "the finals had not ended when another sweep was started, and this one will not go on: `lrsweep choose "
            f"{found.study}` is of the newest"
        )
    if found.is_of_an_earlier_file and not found.is_cancelled:
        return (
            "the finals have not ended, and a sweep of the study as it was changed was started since: `lrsweep run` "
            "with the file as it was before goes on with them"
        )
    how = f"`lrsweep run {given}`" if given.endswith(".toml") else "`lrsweep run` with the study's file"
    if found.is_cancelled:
        return f"the sweep was cancelled before its finals had ended: {how} starts another one"
    return f"the finals have not ended: {how} goes on with them"
