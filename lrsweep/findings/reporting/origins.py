"""What a sweep's results depend on, in words: enough to repeat it, and nothing of who or where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from lrsweep.engines.versions import kept_versions
from lrsweep.records import Purpose, Status, StudyRow, SweepRow, TrainingRow
from lrsweep.redaction import public, public_command, public_text
from lrsweep.report.numbers import counted, duration, moment
from lrsweep.scripts import command
from lrsweep.study import ResolvedStudy


def provenance(
    study: ResolvedStudy,
    row: StudyRow,
    sweep: SweepRow,
    trainings: Sequence[TrainingRow],
    commit: str | None,
) -> tuple[tuple[str, str], ...]:
    """What is not known is left out. Settings whose names are a secret's are masked."""
    facts = study.facts
    found = {
        "study": study.name,
        "sweep": sweep.sweep_id,
        "meaning": row.meaning,
        "generation": row.generation,
        "begun": moment(sweep.created_at),
        "worked": duration(sweep.seconds),
        "workload": workload_named(study),
        "data": facts.data_hash if facts.name != command.NAME else "",
        "batch size": str(facts.batch_size or ""),
        "objective": f"{study.value_key}, {study.sense}d",
        "horizon": f"{study.horizon:,} steps; rungs of {', '.join(f'{rung:,}' for rung in study.rungs)}",
        "optimizers": ", ".join(name for name in study.space.optimizers if name != command.OPTIMIZER),
        "families": ", ".join(study.space.families),
        "sampler": f"{study.search.sampler.name}, seed {study.seed}",
        "seeds of the finals": ", ".join(map(str, _final_seeds(trainings))),
        "engine and device": _counted([f"{each.engine or 'unknown'} on {each.device}" for each in _ended(trainings)]),
        "versions": "; then ".join(_versions(each) for each in kept_versions(sweep.settings)),
        "commit": commit or "",
    }
    return tuple((name, text) for name, text in found.items() if text)


def workload_named(study: ResolvedStudy) -> str:
    """``digits (model=mlp), version 1``, or a script's command; without secrets, and of a path its last part."""
    if study.workload.name == command.NAME:
        return f"a script, {public_command(command.command_of(study.workload).command)}"
    facts = study.facts
    settings = ", ".join(f"{name}={_plain(value)}" for name, value in public(facts.settings).items())
    return f"{public_text(facts.name)}{f' ({settings})' if settings else ''}, version {facts.version}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _final_seeds(trainings: Sequence[TrainingRow]) -> list[int]:
    return sorted({row.seed for row in trainings if row.purpose is Purpose.FINAL})


def _ended(trainings: Sequence[TrainingRow]) -> list[TrainingRow]:
    return [row for row in trainings if row.status in (Status.COMPLETED, Status.DIVERGED) and row.device]


def _counted(values: Sequence[str]) -> str:
    return ", ".join(f"{name} ({counted(count, 'training')})" for name, count in Counter(values).most_common())


def _versions(kept: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in kept.items())
