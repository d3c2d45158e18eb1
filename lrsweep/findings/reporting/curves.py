"""Which trainings' curves a report shows, and what each peak rate came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from lrsweep.records import Curve, Origin, Purpose, Status, TrainingRow, TrialRow
from lrsweep.report.content import CurveLine, PeakPoint
from lrsweep.report.thinning import averaged, evaluated, rounded, thinned
from lrsweep.scripts.command import OPTIMIZER
from lrsweep.selection import best_per_family
from lrsweep.space import peak_of
from lrsweep.store import Store
from lrsweep.study import ResolvedStudy

MOST_CURVES = 60
"""On a page: 60 curves of 120 points are about 400 kB, and more tell nobody anything."""


def shown_horizon(study: ResolvedStudy, trainings: Sequence[TrainingRow]) -> int:
    """The full one, or the longest that a training with a result has reached."""
    return max((row.horizon for row in trainings if row.steps), default=study.horizon)


def curve_lines(
    store: Store,
    study: ResolvedStudy,
    trials: Sequence[TrialRow],
    trainings: Sequence[TrainingRow],
    horizon: int,
    finalists: AbstractSet[int],
) -> tuple[tuple[CurveLine, ...], int]:
    """The strong ones first, and how many are left out. ``finalists`` are numbers of trials."""
    by_number = {trial.number: trial for trial in trials}
    rows = [row for row in trainings if row.horizon == horizon and row.steps and row.trial in by_number]
    strong = _strong(study, trials, rows, finalists)
    order = sorted(rows, key=lambda row: (row.training_id not in strong, row.purpose is Purpose.SEARCH, row.trial))
    lines = []
    for row in order[:MOST_CURVES]:
        if (curve := store.curve(row.training_id)) is not None and curve.steps:
            lines.append(_line(row, by_number[row.trial], curve, study.metric, strong.get(row.training_id)))
    return tuple(lines), len(order[MOST_CURVES:])


def _strong(
    study: ResolvedStudy, trials: Sequence[TrialRow], rows: Sequence[TrainingRow], finalists: AbstractSet[int]
) -> Mapping[str, str]:
    """By a training's id, why it is one to look at: one training per trial, the search's where there is one."""
    bests = {trial.number for trial in best_per_family(trials, study.sense)}
    baselines = {trial.number for trial in trials if trial.origin is Origin.BASELINE}
    whys = {
        **dict.fromkeys(finalists, "a finalist"),
        **dict.fromkeys(bests, "the search's best of its family"),
        **dict.fromkeys(baselines, "the baseline"),
    }
    if not whys:  # nothing has reached the full horizon: the best of those that came furthest
        whys = dict.fromkeys(_leading(study, trials, rows), "the best of its family so far")
    found: dict[int, TrainingRow] = {}
    for row in sorted(rows, key=lambda row: (row.purpose is not Purpose.SEARCH, row.rate_scale)):
        if row.trial in whys and row.purpose is not Purpose.FIT:
            found.setdefault(row.trial, row)
    return {row.training_id: whys[number] for number, row in found.items()}


def _leading(study: ResolvedStudy, trials: Sequence[TrialRow], rows: Sequence[TrainingRow]) -> Iterator[int]:
    values = {row.trial: row.metrics[study.value_key] for row in rows if study.value_key in row.metrics}
    sign = 1 if study.sense == "minimize" else -1
    families = {trial.number: str(trial.params["family"]) for trial in trials}
    seen = set()
    for number in sorted(values, key=lambda each: (sign * values[each], each)):
        if families[number] not in seen:
            seen.add(families[number])
            yield number


def _line(row: TrainingRow, trial: TrialRow, curve: Curve, metric: str, why: str | None) -> CurveLine:
    kind = {Purpose.FINAL: f", seed {row.seed} of the finals", Purpose.FIT: ", for the rate exponent"}
    ended = {Status.DIVERGED: ", diverged", Status.FAILED: ", failed", Status.STOPPED: ", stopped"}
    running = "" if row.status.is_outcome else ", not ended"
    peak = peak_of(trial.params) * row.rate_scale
    about = f"trial {row.trial}, peak {peak:.3g}{kind.get(row.purpose, '')}{ended.get(row.status, '')}{running}"
    reported = curve.evaluations.get(metric, np.empty(0))
    known = ~np.isnan(reported)
    return CurveLine(
        family=str(trial.params["family"]),
        about=f"{about}: {why}" if why else about,
        is_strong=why is not None,
        rates=thinned(curve.rates),
        values=evaluated(curve.evaluation_steps[known], reported[known]) if reported.size else (),
        train_losses=averaged(curve.train_losses),
    )


def peak_points(
    study: ResolvedStudy, trials: Sequence[TrialRow], trainings: Sequence[TrainingRow]
) -> tuple[PeakPoint, ...]:
    """Of the longest rung that was reached, where survivors are, and of the shortest, where all are. By optimizer."""
    by_number = {trial.number: trial for trial in trials}
    ended = [
        row
        for row in trainings
        if row.trial in by_number
        and row.purpose in (Purpose.SEARCH, Purpose.FIT)
        and row.status in (Status.COMPLETED, Status.DIVERGED)
    ]
    horizons = sorted({row.horizon for row in ended}, reverse=True)
    found = [
        _point(study, by_number[row.trial], row)
        for horizon in dict.fromkeys([*horizons[:1], *horizons[-1:]])
        for row in ended
        if row.horizon == horizon and not (row.status is Status.COMPLETED and study.value_key not in row.metrics)
    ]
    return tuple(sorted(found, key=lambda point: (-point.horizon, point.optimizer)))


def _point(study: ResolvedStudy, trial: TrialRow, row: TrainingRow) -> PeakPoint:
    optimizer = str(trial.params["optimizer"])
    scale = study.rate_scale(optimizer, row.horizon)
    value = row.metrics.get(study.value_key) if row.status is Status.COMPLETED else None
    design = ", for the rate exponent" if row.purpose is Purpose.FIT else ""
    return PeakPoint(
        family=str(trial.params["family"]),
        optimizer="" if optimizer == OPTIMIZER else optimizer,
        horizon=row.horizon,
        peak_lr=float(f"{peak_of(trial.params) * row.rate_scale / scale:.5g}"),
        value=None if value is None else rounded(value),
        about=f"trial {row.trial}{design}",
    )
