"""What a row of the store is in MLflow's words. Pure: a row in, text and numbers out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

from lrsweep.records import Json, OptimizerSpec, Purpose, TrainingRow
from lrsweep.schedules import Schedule

LONGEST_TAG = 5_000  # MLflow's limit is 8,000, some databases' 5,000

KINDS: Mapping[Purpose, str] = MappingProxyType(
    {Purpose.SEARCH: "training", Purpose.FINAL: "finalist", Purpose.FIT: "fit"}
)
"""The tag ``lrsweep.kind`` of a training's run; the sweep's own has ``sweep``."""

NIGHT = "night"
"""The kind of a night's run."""

SUPERSEDED = "superseded"
"""The kind of a run whose attempt was given up, where it may not be deleted."""

FAMILY_TABLE = "families.csv"


def training_params(
    training: TrainingRow,
    *,
    schedule: Schedule,
    peak_lr: float,
    optimizer: OptimizerSpec,
    extra: Mapping[str, Json] = MappingProxyType({}),
) -> dict[str, str]:
    """What MLflow's table shows of a training; ``peak_lr`` there is the largest rate of this very training."""
    own = {key: value for key, value in schedule.to_dict().items() if key not in ("family", "warmup", "floor")}
    params = {
        "family": schedule.family,
        "optimizer": optimizer.name,
        "peak_lr": peak_lr * training.rate_scale,
        **{name: text for key, value in own.items() for name, text in _named(f"{schedule.family}.{key}", value)},
        "warmup": schedule.warmup,
        "floor": schedule.floor,
        **{f"{optimizer.name}.{key}": value for key, value in optimizer.settings.items()},
        **{f"extra.{key}": value for key, value in extra.items()},
        "horizon": training.horizon,
        "seed": training.seed,
        "rung": training.rung,
        "rate_scale": training.rate_scale,
    }
    return {key: str(value) for key, value in params.items()}


def training_tags(training: TrainingRow, *, parent: str, schedule: Schedule) -> dict[str, str]:
    """What a training's run is known and filtered by; ``parent`` is the run of its sweep."""
    return {
        "mlflow.parentRunId": parent,
        "mlflow.source.name": "lrsweep",
        "lrsweep.kind": KINDS[training.purpose],
        "lrsweep.purpose": training.purpose.value,
        "lrsweep.training": training.training_id,
        "lrsweep.sweep": training.sweep_id,
        "lrsweep.study": training.study,
        "lrsweep.trial": str(training.trial),
        "lrsweep.attempt": str(training.attempt),
        "lrsweep.schedule": schedule.to_json(),
        "lrsweep.device": training.device or "unknown",
        "lrsweep.engine": training.engine or "unknown",
    }


@dataclass(frozen=True)
class FamilyBest:
    """A family's line in the table of its sweep's run: how its trials ended, and its best at the full horizon."""

    family: str
    trials: int
    complete: int
    halted: int
    diverged: int
    failed: int
    value: float | None = None
    """of the best, as all below; None where no trial reached the full horizon"""
    trial: int | None = None
    peak_lr: float | None = None
    optimizer: str | None = None
    schedule: Schedule | None = None


def family_metrics(families: Sequence[FamilyBest], value_key: str) -> dict[str, float]:
    """
    >>> family_metrics([FamilyBest("cosine", 8, 3, 5, 0, 0, value=0.25)], "val_loss")
    {'cosine.val_loss': 0.25}
    """
    return {f"{each.family}.{value_key}": each.value for each in families if each.value is not None}


def family_tags(families: Sequence[FamilyBest]) -> dict[str, str]:
    """What the best of each family is, in the form in which it is used; a param could not change later."""
    return {
        f"lrsweep.best.{each.family}": json.dumps(
            {
                "trial": each.trial,
                "peak_lr": each.peak_lr,
                "optimizer": each.optimizer,
                "schedule": each.schedule.to_json(),
            }
        )[:LONGEST_TAG]
        for each in families
        if each.schedule is not None
    }


def family_table(families: Sequence[FamilyBest], value_key: str) -> str:
    """CSV, in the given order."""
    names = [field.name for field in fields(FamilyBest)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([value_key if name == "value" else name for name in names])
    for each in families:
        row = {name: getattr(each, name) for name in names}
        row["schedule"] = None if each.schedule is None else each.schedule.to_json()
        writer.writerow(["" if row[name] is None else row[name] for name in names])
    return text.getvalue()


def _named(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    """A list as its numbers, under the names by which a search draws them; a schedule inside another as JSON."""
    if isinstance(value, list):
        yield from ((f"{name}.{place}", number) for place, number in enumerate(value, start=1))
    else:
        yield name, json.dumps(value) if isinstance(value, dict) else value


def last_line(error: str) -> str:
    """The line of a traceback that says what happened: the last; whole tracebacks are in the store."""
    lines: Iterable[str] = (line.strip() for line in reversed(error.splitlines()))
    return next((line for line in lines if line), "")[:LONGEST_TAG]


def started_at(training: TrainingRow) -> float:
    if training.started_at is None:
        raise ValueError(f"training {training.training_id} was never started, so there is nothing of it to send")
    return training.started_at


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
