"""``lrsweep show``: a study by families, one trial, or one training, out of what is stored."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from lrsweep.errors import ScheduleError, SettingsError
from lrsweep.findings.extracted import calibrating_in, families_in, leading_rows, told_in
from lrsweep.findings.look import Standing, standing_in, state_of, sweep_state
from lrsweep.findings.reading import chosen_sweep, generation_of
from lrsweep.records import Curve, Json, SweepRow, TrainingRow, TrialRow
from lrsweep.selection import FamilyStanding
from lrsweep.store.base import Holder, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.finals import Finalist, standings
from lrsweep.sweep.halting import OtherRules
from lrsweep.sweep.owner import is_dead
from lrsweep.sweep.progress import Best, as_best, heard_in, leading, left_alone
from lrsweep.sweep.stored import known_point, resolved_from
from lrsweep.sweep.trust import RungTrust, rung_trusts

ID_SHOWN = 8
MOST_LISTED = 20
RATES_SHOWN = 200
"""Of a training's rates in ``--json``: the whole curve is in the artifact that MLflow holds, and in SQL."""


@dataclass(frozen=True)
class OtherSweep:
    """Enough to tell it from the others."""

    sweep: str
    state: str
    generation: str
    trials: int
    """that it was told of and still has"""
    began_at: float


@dataclass(frozen=True)
class StudyShown:
    standing: Standing
    study: ResolvedStudy
    families: Sequence[FamilyStanding]
    best: Best | None
    """None where no training reached the full horizon, or where this release cannot read its point"""
    finals: Sequence[Finalist]
    rungs: Sequence[RungTrust]
    others: Sequence[OtherSweep] = ()
    """of the same study, the newest first"""

    def to_json(self) -> dict[str, Json]:
        return {
            **self.standing.to_json(),
            "families": [
                {
                    "family": each.family,
                    "trials": each.trials,
                    "full": each.complete,
                    "halted": each.pruned,
                    "diverged": each.diverged,
                    "failed": each.failed,
                    "best": None if each.best is None else each.best.value,
                    "best_trial": None if each.best is None else each.best.number,
                }
                for each in self.families
            ],
            "best": None if self.best is None else self.best.to_json(),
            "finalists": [each.to_json() for each in self.finals],
            "rungs": [each.to_json() for each in self.rungs],
            "other_sweeps": [asdict(each) for each in self.others],
        }


@dataclass(frozen=True)
class TrialShown:
    trial: TrialRow
    study: ResolvedStudy
    trainings: Sequence[TrainingRow]
    used: Best | None
    """the point in the form in which it is used; None where this release cannot read it"""

    @property
    def state(self) -> str:
        return state_of(self.trial.state.value, self.trial.value)

    def to_json(self) -> dict[str, Json]:
        trial, used = self.trial, self.used
        return {
            "study": trial.study,
            "trial": trial.number,
            "sweep": trial.sweep_id,
            "origin": trial.origin.value,
            "copied_from": trial.copied_from,
            "state": self.state,
            "metric": self.study.value_key,
            "value": trial.value,
            "params": dict(trial.params),
            "schedule": used and used.schedule.to_json(),
            "peak_lr": used and used.peak_lr,
            "optimizer": used and used.optimizer,
            "optimizer_settings": used and dict(used.optimizer_settings),
            "extra": used and dict(used.extra),
            "script_settings": used and dict(used.script_settings),
            "trainings": [training_json(row, self.study) for row in self.trainings],
        }


@dataclass(frozen=True)
class TrainingShown:
    training: TrainingRow
    trial: TrialShown
    curve: Curve | None

    def to_json(self) -> dict[str, Json]:
        evaluations = {} if self.curve is None else self.curve.evaluations
        return {
            **training_json(self.training, self.trial.study),
            "trial": self.trial.trial.number,
            "family": self.trial.trial.params["family"],
            "rates": [] if self.curve is None else thinned(self.curve.rates.tolist(), RATES_SHOWN),
            "evaluation_steps": [] if self.curve is None else self.curve.evaluation_steps.tolist(),
            "evaluations": {name: [_finite(value) for value in each.tolist()] for name, each in evaluations.items()},
        }


def show_what(
    store: Store, study: str, what: str | None, sweep_id: str | None = None
) -> StudyShown | TrialShown | TrainingShown:
    """The study by its newest sweep, or by the one whose id begins so; the trial of that number, whichever sweep it is
    of; or the training whose id begins so (or ``TRIAL:HORIZON``).

    Raises SettingsError where there is none, where several begin so, or where it is of another sweep.
    """
    sweep = chosen_sweep(store, study, sweep_id)
    if what is None:
        return _study(store, sweep)
    training = None
    trial = _trial(store, sweep.study, int(what)) if what.isdecimal() else None
    if trial is None:
        training = found_training(store, sweep.study, what)
        trial = store.trial(sweep.study, training.trial)
    if sweep_id is not None and trial.sweep_id != sweep.sweep_id:
        raise SettingsError(
            f"trial {trial.number} of study {trial.study!r} is of sweep {trial.sweep_id}, not of {sweep.sweep_id}. "
            f"Numbers of trials are a study's own: `lrsweep show {trial.study} {what}` needs no --sweep."
        )
    shown = shown_trial(store, trial)
    return shown if training is None else TrainingShown(training, shown, store.curve(training.training_id))


def _study(store: Store, sweep: SweepRow) -> StudyShown:
    """With the rungs' correlations over the generation, as a sweep of it sees them."""
    row = generation_of(store, sweep)
    study = resolved_from(row, sweep)
    sweeps = [each for each in store.sweeps(sweep.study) if each.generation == sweep.generation]
    counts = {each.sweep_id: store.extracts.trial_counts(each.sweep_id) for each in sweeps}
    own = counts[sweep.sweep_id]
    trials, finals = leading_rows(store, sweep, own, study.sense)
    holder = store.holders().get(sweep.study)
    return StudyShown(
        standing=standing_in(store, sweep, row, own, holder),
        study=study,
        families=families_in(store, sweep, own, study.sense),
        best=_best(trials, finals, study, store),
        finals=standings(study, trials, finals),
        rungs=rung_trusts(study, *calibrating_in(store, sweep.study, counts), OtherRules(study, sweeps)),
        others=_others(store, sweep, holder),
    )


def _others(store: Store, shown: SweepRow, holder: Holder | None) -> list[OtherSweep]:
    is_driven = holder is not None and not is_dead(holder.owner)
    return [
        OtherSweep(
            sweep=each.sweep_id,
            state=sweep_state(each, is_driven=is_driven),
            generation=each.generation,
            trials=told_in(store.extracts.trial_counts(each.sweep_id)),
            began_at=each.created_at,
        )
        for each in reversed(store.sweeps(shown.study))
        if each.sweep_id != shown.sweep_id
    ]


def _best(trials: Sequence[TrialRow], finals: Sequence[TrainingRow], study: ResolvedStudy, store: Store) -> Best | None:
    try:
        found, final = leading(trials, finals, study)
        if found is None:
            return None
        best = as_best(found, store.trainings(found.study, trial=found.number), study, store)
    except (KeyError, ScheduleError):  # of an earlier release
        return None
    return replace(best, final=final)


def found_training(store: Store, study: str, what: str) -> TrainingRow:
    """By the beginning of its id, or by ``TRIAL:HORIZON`` where the trial has one training of that horizon.

    Raises SettingsError where there is none; and where there are several, with what tells them apart.
    """
    if place := re.fullmatch(r"(\d+):(\d+)", what):
        of_trial = store.trainings(study, trial=int(place[1]))
        same = [row for row in of_trial if row.horizon == int(place[2])]
        if len(same) == 1:
            return same[0]
        if same:
            raise _several(study, same, f"of trial {place[1]} at {place[2]} steps")
        horizons = ", ".join(dict.fromkeys(f"{row.trial}:{row.horizon}" for row in of_trial))
        there = f" There are: {horizons}." if of_trial else f" `lrsweep show {study}` lists the trials."
        raise SettingsError(f"study {study!r} has no training {what!r}.{there}")
    found = store.extracts.trainings_named(study, what.lower())
    if len(found) == 1:
        return found[0]
    if found:
        raise _several(study, found, f"whose id begins with {what!r}")
    raise SettingsError(
        f"study {study!r} has neither a trial nor a training {what!r}; wanted a trial's number, the beginning of a "
        f"training's id, or TRIAL:HORIZON, such as {_example(store.trainings(study))}."
    )


def _several(study: str, rows: Sequence[TrainingRow], which: str) -> SettingsError:
    listed = "".join(
        f"\n  {row.training_id[:ID_SHOWN]}  {row.purpose.value}, trial {row.trial}, {row.horizon} steps, "
        f"seed {row.seed}, {row.rate_scale:.3g} times its rate, {row.status.value}"
        for row in rows[:MOST_LISTED]
    )
    more = f"\n  … and {len(rows) - MOST_LISTED} more" if len(rows) > MOST_LISTED else ""
    return SettingsError(
        f"study {study!r} has {len(rows)} trainings {which}. Name one by the beginning of its id, as in `lrsweep show "
        f"{study} {rows[0].training_id[:ID_SHOWN]}`:{listed}{more}"
    )


def shown_trial(store: Store, trial: TrialRow) -> TrialShown:
    sweep = store.sweep(trial.sweep_id)
    study = resolved_from(generation_of(store, sweep), sweep)
    trainings = store.trainings(trial.study, trial=trial.number)
    return TrialShown(trial, study, trainings, as_used(store, trial, study, trainings))


def as_used(store: Store, trial: TrialRow, study: ResolvedStudy, trainings: Sequence[TrainingRow]) -> Best | None:
    """The trial's point at the full horizon, whatever horizon it has reached."""
    point = known_point(trial.params, study)
    if point is None:
        return None
    reached = max((row for row in trainings if row.steps), key=lambda row: row.horizon, default=None)
    heard: Mapping[int, float] = {}
    if point.schedule.needs_metric and reached is not None and reached.horizon == study.horizon:
        heard = heard_in(store.curve(reached.training_id), reached, study.metric)
    return Best(
        trial=trial.number,
        value=math.nan if trial.value is None else trial.value,
        metric=study.metric,
        direction=study.direction,
        workload=study.workload,
        family=point.schedule.family,
        schedule=point.schedule,
        peak_lr=point.peak_lr,
        optimizer=point.optimizer.name,
        optimizer_settings=point.optimizer.settings,
        horizon=study.horizon,
        metrics={},
        heard=heard,
        extra=point.extra,
        script_settings=left_alone(study, point),
    )


def training_json(row: TrainingRow, study: ResolvedStudy) -> dict[str, Json]:
    return {
        "training": row.training_id,
        "purpose": row.purpose.value,
        "rung": row.rung,
        "horizon": row.horizon,
        "seed": row.seed,
        "rate_scale": row.rate_scale,
        "status": row.status.value,
        "value": row.metrics.get(study.value_key),
        "metrics": dict(row.metrics),
        "steps": row.steps,
        "seconds": row.seconds,
        "attempts": row.attempt,
        "engine": row.engine,
        "device": row.device,
        "started_at": row.started_at,
        "reason": row.reason,
        "error": row.error,
        "mlflow_run": row.mlflow_run_id,
    }


def thinned(values: Sequence[float], most: int) -> list[float]:
    """Evenly, the first and the last among them.

    >>> thinned([0, 1, 2, 3, 4], 3)
    [0, 2, 4]
    """
    if len(values) <= most:
        return list(values)
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _trial(store: Store, study: str, number: int) -> TrialRow | None:
    try:
        return store.trial(study, number)
    except KeyError:
        return None


def _example(rows: Sequence[TrainingRow]) -> str:
    places = Counter((row.trial, row.horizon) for row in rows)
    alone = next((row for row in rows if places[row.trial, row.horizon] == 1), None)
    if alone is None:
        return rows[0].training_id[:ID_SHOWN] if rows else "17, 1a2b3c4d or 17:600"
    return f"{alone.training_id[:ID_SHOWN]} or {alone.trial}:{alone.horizon}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
