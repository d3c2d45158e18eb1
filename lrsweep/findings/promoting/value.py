"""A sweep's choice as the value that may come into force: for a promotion, and for whoever only asks what to use."""

from __future__ import annotations

import json

from lrsweep.champion.making import Origins, made
from lrsweep.champion.value import ChampionChoice, RateRule
from lrsweep.engines.versions import kept_versions
from lrsweep.records import SweepRow
from lrsweep.selection.choice import Choice
from lrsweep.store import Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.exponents import FITTED_KEY, Fit


def value_of(
    store: Store,
    study: ResolvedStudy,
    sweep: SweepRow,
    choice: Choice,
    metric: str,
    *,
    commit: str | None = None,
    is_changed: bool = False,
) -> ChampionChoice:
    """``commit`` and ``is_changed`` are those of the code here, where the caller has looked."""
    best = json.loads(choice.recommended.point.beside or "{}")
    trainings = store.trainings(sweep.study, sweep_id=sweep.sweep_id, trial=best.get("trial"))
    ended = [row for row in trainings if row.horizon == choice.horizon and row.device]
    kept = kept_versions(sweep.settings)
    origins = Origins(
        device=ended[-1].device if ended else None,
        engine=ended[-1].engine if ended else None,
        versions=kept[-1] if kept else None,
        commit=commit,
        is_changed=is_changed,
    )
    rule = _rate_rule(store, study, sweep, str(best.get("optimizer")))
    return made(choice, metric, study=study, sweep=sweep, rate_rule=rule, origins=origins)


def _rate_rule(store: Store, study: ResolvedStudy, sweep: SweepRow, optimizer: str) -> RateRule:
    """The newest narrow fit of the study's meaning, up to this sweep's own; else what the sweep went by."""
    same = {row.generation for row in store.studies(sweep.study) if row.meaning == study.meaning}
    for each in reversed(store.sweeps(sweep.study)):
        stored = each.settings.get(FITTED_KEY, {}).get(optimizer)
        if each.created_at > sweep.created_at or each.generation not in {*same, sweep.generation} or stored is None:
            continue
        fit = Fit.from_json(stored)
        if fit.is_narrow and fit.exponent is not None and fit.interval is not None:
            return RateRule(fit.exponent, (fit.interval.low, fit.interval.high))
    return RateRule(study.rate_exponents.get(optimizer, study.default_exponent(optimizer)), None)
