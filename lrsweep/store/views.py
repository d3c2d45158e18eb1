"""The view ``lrs_trials`` and the trainings as plain rows, for tables of people's own; ``v0005`` says what is in it."""

from __future__ import annotations

import json
from typing import Any, Literal

import sqlalchemy as sa

from lrsweep.records import Json
from lrsweep.store.migrating import refuse_version
from lrsweep.store.models import training
from lrsweep.store.opening import engine_at, version_of

By = Literal["trial", "training"]
NOT_SHOWN = ("mirrored_attempt", "mirrored_steps", "mirrored_status")
"""what MLflow holds, which is no result"""


def rows_of(url: str, study: str, by: By) -> list[dict[str, Json]]:
    """A flat row each, by number; metrics and settings are columns of their own, ``metrics.val_loss``."""
    with engine_at(url) as engine, engine.begin() as connection:
        version = version_of(connection)
        if version is None:
            return []
        refuse_version(connection, version)
        if by == "trial":
            query = sa.text("SELECT * FROM lrs_trials WHERE study = :study ORDER BY number")
            found = connection.execute(query, {"study": study})
        else:
            c = training.c
            shown = [column for column in c if column.name not in NOT_SHOWN]
            order = (c.trial, c.rung, c.horizon, c.seed, c.training_id)
            found = connection.execute(sa.select(*shown).where(c.study == study).order_by(*order))
        return [_flat(dict(row)) for row in found.mappings()]


def _flat(row: dict[str, Any]) -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for name, value in row.items():
        if name in ("metrics", "settings"):
            parts = json.loads(value) if isinstance(value, str) else value or {}  # SQLite's views give JSON as text
            flat |= {f"{name}.{part}": _scalar(each) for part, each in parts.items()}
        else:
            flat[name] = value.value if hasattr(value, "value") else value
    return flat


def _scalar(value: Json) -> Json:
    """A list stays one text: a column of CSV and Parquet holds one kind of thing."""
    return json.dumps(value) if isinstance(value, list | dict) else value
