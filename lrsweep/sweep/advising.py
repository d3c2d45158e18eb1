"""What the studies of this store say of a new one: read from their rows, and put into the new one's space.

A peak goes over by the horizons' ratio to the power that the rungs go by; other batch sizes and models are told, not
corrected for. Values never go over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from lrsweep.records import Json, StudyRow, SweepRow, TrialRow, stable_hash
from lrsweep.schedules import Schedule, schedule_from_json
from lrsweep.scripts import command
from lrsweep.selection import best_per_family, cost
from lrsweep.selection.advice import Advised, Found, Kind, Past, advise, distance
from lrsweep.space import Candidate, params_of
from lrsweep.store.base import Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.finals import standings
from lrsweep.sweep.stored import known_point, resolved_from

DECAY = "weight_decay"


def kind_of(study: ResolvedStudy) -> Kind:
    """A script says nothing of its sizes: it is like itself alone."""
    facts = study.facts
    if facts.name == command.NAME:
        return Kind(f"the script {stable_hash(dict(facts.settings))}", study.horizon)
    return Kind(
        task=_task(facts.metrics),
        horizon=study.horizon,
        batch_size=facts.batch_size or None,
        parameters=facts.parameters,
        examples=facts.examples_per_epoch,
        data=facts.data_hash,
    )


def _task(metrics: Iterable[str]) -> str:
    """By what a workload is measured with; one that says its loss alone is like those that do too."""
    return "+".join(sorted(metrics))


def pasts_in(store: Store, kind: Kind, *, without: str | None = None) -> list[Past]:
    """Of each study of the kind the newest sweep that has had finals, else the newest that has something to say, oldest
    first; ``without``: a study that is left out. A study that this release cannot read says nothing: another release
    may share the database."""
    found = []
    for name in dict.fromkeys(row.name for row in store.studies()):
        rows = {row.generation: row for row in store.studies(name) if row.spec}
        own: list[tuple[float, Past]] = []
        for sweep in reversed(store.sweeps(name)):
            if name != without and sweep.generation in rows:
                with suppress(KeyError, TypeError, ValueError):
                    past = _past(store, rows[sweep.generation], sweep, kind)
                    own += [] if past is None else [(sweep.created_at, past)]
            if own and any(each.n > 1 for each in own[-1][1].found):
                break
        with_finals = [each for each in own if any(one.n > 1 for one in each[1].found)]
        found += (with_finals or own)[:1]
    return [past for _, past in sorted(found, key=lambda each: each[0])]


def kinds_in(store: Store) -> dict[str, Kind]:
    """What the studies are, by name; of those that this release can read."""
    found = {}
    for row in store.studies():
        with suppress(KeyError, TypeError, ValueError):
            found[row.name] = kind_of(resolved_from(row))
    return found


def _past(store: Store, row: StudyRow, sweep: SweepRow, kind: Kind) -> Past | None:
    """None where it is not of the kind, or has nothing to say."""
    study = resolved_from(row, sweep)
    own = kind_of(study)
    if distance(kind, own) is None:
        return None
    trials = {trial.number: trial for trial in store.trials(study.name, sweep_id=sweep.sweep_id)}
    finals = standings(study, list(trials.values()), store.trainings(study.name, sweep_id=sweep.sweep_id))
    found: dict[str, Found] = {}
    for final in finals:
        if final.mean is not None and final.family not in found:
            said = _found(study, trials[final.trial], final.mean, behind=found)
            found |= {
                each.family: replace(each, metric=final.metric, n=final.n, diverged=final.diverged) for each in said
            }
    reached = dict(found)
    for trial in best_per_family(list(trials.values()), study.sense):
        if trial.value is not None and str(trial.params["family"]) not in found:
            # fresh seeds are less lucky than what a search has picked: who reached no final is behind all who did
            found |= {each.family: each for each in _found(study, trial, trial.value, behind=reached)}
    return Past(study.name, sweep.sweep_id, own, tuple(found.values())) if found else None


def _found(study: ResolvedStudy, trial: TrialRow, value: float, *, behind: Mapping[str, Found]) -> list[Found]:
    """Of one seed; no better than any of those that it is behind: who diverges more often stands behind whoever does
    not, whatever the mean of the rest. Empty where this release cannot read the point."""
    point = known_point(trial.params, study)
    if point is None:
        return []
    least = max((math.nextafter(each.cost, math.inf) for each in behind.values()), default=-math.inf)
    return [
        Found(
            family=point.schedule.family,
            optimizer=point.optimizer,
            schedule=point.schedule.to_json(),
            peak_lr=point.peak_lr,
            extra=dict(point.extra),
            cost=max(least, cost(value, study.sense)),
            metric=study.value_key,
            value=value,
            n=1,
        )
    ]


def advice_for(study: ResolvedStudy, store: Store, *, without: str | None = None) -> list[Advised]:
    kind = kind_of(study)
    return advise(kind, pasts_in(store, kind, without=without))


def peak_for(study: ResolvedStudy, advised: Advised) -> float:
    """The peak that the hint comes to at the study's horizon, wherever its range ends."""
    optimizer = advised.found.optimizer.name
    exponent = study.rate_exponents.get(optimizer)
    if exponent is None:
        exponent = study.default_exponent(optimizer)
    return float(advised.found.peak_lr * (advised.past.kind.horizon / study.horizon) ** exponent)


def point_for(study: ResolvedStudy, advised: Advised) -> dict[str, Json] | None:
    """Its parameters in the study's space; None where that has no such point. A rate beyond its range is put at the end
    of it."""
    found = advised.found
    name = found.optimizer.name
    if name not in study.space.optimizers:
        return None
    schedule = schedule_from_json(found.schedule)
    assert isinstance(schedule, Schedule)
    own = study.optimizer(name)
    if isinstance(study.space.weight_decay.get(name), tuple):  # it is searched
        own = replace(own, settings={**own.settings, DECAY: found.optimizer.settings.get(DECAY, 0.0)})
    low, high = study.space.peak_lr[name]
    peak_lr = min(high, max(low, peak_for(study, advised)))
    return params_of(Candidate(schedule, peak_lr, own, found.extra), study)


def points_for(study: ResolvedStudy, advised: Sequence[Advised], most: int) -> list[tuple[Advised, dict[str, Json]]]:
    """The first that lie in its space."""
    points = ((each, point_for(study, each)) for each in advised)
    return [(each, point) for each, point in points if point is not None][:most]
