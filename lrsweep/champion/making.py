"""From what a study's trainings say to the value that is promoted. Pure.

The value goes to places that others read, git and a team's MLflow, so nothing in it says whose machine it was: secrets
are masked, and of a path only its last part is kept (``redaction.public``).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lrsweep.champion.value import ChampionChoice, RateRule
from lrsweep.errors import SettingsError
from lrsweep.records import Json, OptimizerSpec, SweepRow
from lrsweep.redaction import public
from lrsweep.schedules import schedule_from_json
from lrsweep.selection.choice import Choice
from lrsweep.study import ResolvedStudy

MOST_FINALISTS = 50
"""In the evidence, half a kilobyte each."""


@dataclass(frozen=True)
class Origins:
    """Where a choice comes from, beside its study and sweep."""

    device: str | None = None
    engine: str | None = None
    versions: Mapping[str, str] | None = None
    """of the process that drove the sweep last"""
    commit: str | None = None
    """of the working folder's repository at promotion"""
    is_changed: bool = False


def made(
    choice: Choice, metric: str, *, study: ResolvedStudy, sweep: SweepRow, rate_rule: RateRule, origins: Origins
) -> ChampionChoice:
    """``choice`` is of this study and sweep, as ``lrsweep choose STUDY`` gives it; the test set's word comes later."""
    point = choice.recommended.point
    if not point.schedule or point.peak_lr is None:
        raise SettingsError(
            f"what is recommended is {point.name!r}, of which no schedule and peak rate are known: there is nothing "
            "to promote. An earlier release's trials are read with `lrsweep show`."
        )
    beside = json.loads(point.beside) if point.beside else {}
    return ChampionChoice(
        name=study.name,
        schedule=schedule_from_json(point.schedule),
        peak_lr=point.peak_lr,
        optimizer=OptimizerSpec(beside["optimizer"], beside.get("optimizer_settings", {})),
        batch_size=beside.get("batch_size"),
        horizon=choice.horizon,
        rate_rule=rate_rule,
        extra=public(beside.get("extra", {})),
        evidence=public({**_evidence(choice), "metric": metric}),
        provenance=public(_provenance(study, sweep, beside.get("trial"), origins)),
    )


def _evidence(choice: Choice) -> dict[str, Json]:
    """Without finals everything that was searched is compared, thousands of points: of these the first are kept."""
    told = choice.to_json()
    finalists = told["finalists"]
    if len(finalists) <= MOST_FINALISTS:
        return told
    return {**told, "finalists": finalists[:MOST_FINALISTS], "finalists_in_all": len(finalists)}


def with_test(value: ChampionChoice, test: Mapping[str, Json] | None) -> ChampionChoice:
    return replace(value, test=None if test is None else public(test))


def hidden_settings(given: Mapping[str, Json], kept: Mapping[str, Json]) -> tuple[str, ...]:
    """Names of the searched settings that are not in the JSON as they were given."""
    return tuple(name for name, value in given.items() if kept.get(name) != value)


def _provenance(study: ResolvedStudy, sweep: SweepRow, trial: int | None, origins: Origins) -> dict[str, Json]:
    began = datetime.datetime.fromtimestamp(sweep.created_at, datetime.UTC)
    facts = study.facts
    found: dict[str, Json] = {
        "study": study.name,
        "sweep": sweep.sweep_id,
        "trial": trial,
        "meaning": study.meaning,
        "generation": study.generation,
        "began": began.isoformat(timespec="seconds"),
        "metric": study.metric,
        "workload": {
            "name": facts.name,
            "settings": dict(facts.settings),
            "version": facts.version,
            "data_hash": facts.data_hash,
        },
        "device": origins.device,
        "engine": origins.engine,
        "versions": dict(origins.versions or {}),
    }
    if origins.commit is not None:
        found["promoted_from"] = {"commit": origins.commit, "changed": origins.is_changed}
    return found
