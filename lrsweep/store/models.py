"""The tables. A column has the name of the field that it keeps, so a row is read and written by its dataclass.

The order in which rows came is an integer ``id``: clocks tie, counters do not. Times are seconds since 1970 by the
database's clock. JSON columns hold plain JSON text, so that people can read them with any SQL tool.
"""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa

from lrsweep.records import Origin, Purpose, Status, SweepStatus, TrialState
from lrsweep.store.champions import Action, Alias
from lrsweep.store.tokens import Scope

SCHEMA_VERSION = "0012"
"""The newest migration: a database at this version is used as it is."""
VERSION_TABLE = "lrs_alembic_version"

metadata = sa.MetaData(
    naming_convention={  # a later migration can only change what has a name
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _choice(kind: type[StrEnum]) -> sa.Enum:
    """Kept as its text: a new member needs no migration."""
    return sa.Enum(kind, native_enum=False, length=16, values_callable=lambda members: [m.value for m in members])


study = sa.Table(
    "lrs_study",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("meaning", sa.Text, nullable=False),
    sa.Column("generation", sa.Text, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.UniqueConstraint("name", "generation"),
)

sweep = sa.Table(
    "lrs_sweep",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sweep_id", sa.Text, nullable=False, unique=True),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("generation", sa.Text, nullable=False),
    sa.Column("status", _choice(SweepStatus), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("mlflow_run_id", sa.Text),
    sa.Column("settings", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("is_cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.ForeignKeyConstraint(["study", "generation"], ["lrs_study.name", "lrs_study.generation"]),
    sa.Index(None, "study", "generation"),
)

trial = sa.Table(
    "lrs_trial",
    metadata,
    sa.Column("study", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("lrs_sweep.sweep_id"), nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("distributions", sa.JSON, nullable=False),
    sa.Column("state", _choice(TrialState), nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("copied_from", sa.Text),
    sa.Column("origin", _choice(Origin), nullable=False, server_default=Origin.SEARCH.value),
    sa.Index(None, "sweep_id", "number"),
)

training = sa.Table(
    "lrs_training",
    metadata,
    sa.Column("training_id", sa.Text, primary_key=True),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("sweep_id", sa.Text, sa.ForeignKey("lrs_sweep.sweep_id"), nullable=False),
    sa.Column("rung", sa.Integer, nullable=False),
    sa.Column("horizon", sa.BigInteger, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("rate_scale", sa.Double, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("status", _choice(Status), nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("steps", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("device", sa.Text),
    sa.Column("engine", sa.Text),
    sa.Column("started_at", sa.Double),
    sa.Column("error", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("mlflow_run_id", sa.Text),
    sa.Column("mirrored_attempt", sa.Integer, nullable=False),
    sa.Column("mirrored_steps", sa.BigInteger, nullable=False),
    sa.Column("mirrored_status", _choice(Status)),
    sa.Column("purpose", _choice(Purpose), nullable=False, server_default=Purpose.SEARCH.value),
    sa.ForeignKeyConstraint(["study", "trial"], ["lrs_trial.study", "lrs_trial.number"]),
    sa.Index(None, "study", "trial"),
    sa.Index(None, "sweep_id", "trial"),
    # what is counted and looked for among 100,000, in the index itself: 70 bytes for each
    sa.Index("ix_lrs_training_counted", "sweep_id", "purpose", "status", "horizon", "engine", "device", "seconds"),
)

UNMIRRORED = training.c.mirrored_status.is_(None) | (training.c.mirrored_status != training.c.status)
"""A query that says it in these words finds its rows by the index alone, however many others there are."""
sa.Index("ix_lrs_training_unmirrored", training.c.sweep_id, sqlite_where=UNMIRRORED, postgresql_where=UNMIRRORED)

curve = sa.Table(
    "lrs_curve",
    metadata,
    sa.Column("training_id", sa.Text, sa.ForeignKey("lrs_training.training_id"), primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("steps", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

example_losses = sa.Table(
    "lrs_example_losses",
    metadata,
    sa.Column("training_id", sa.Text, sa.ForeignKey("lrs_training.training_id"), primary_key=True),
    sa.Column("examples", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
"""Of finals that kept them; written with the outcome of a training that completed, which is never begun again."""

numbers = sa.Table(
    "lrs_numbers",
    metadata,
    sa.Column("study", sa.Text, primary_key=True),
    sa.Column("next_trial", sa.Integer, nullable=False),
)
"""Written when trials are removed: a number is never used twice."""

# No foreign keys from here: a lease is taken before its study is registered, and the history stays whatever goes.
lease = sa.Table(
    "lrs_lease",
    metadata,
    sa.Column("study", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("token", sa.Text),
    sa.Column("expires_at", sa.Double, nullable=False),
)

event = sa.Table(
    "lrs_event",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("sweep_id", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index(None, "study", "id"),
)

champion = sa.Table(
    "lrs_champion",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("alias", _choice(Alias), nullable=False),
    sa.Column("action", _choice(Action), nullable=False),
    sa.Column("choice", sa.Text),
    sa.Column("study", sa.Text),
    sa.Column("sweep_id", sa.Text),
    sa.Column("trial", sa.Integer),
    sa.Column("mlflow_version", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("who", sa.Text),
    sa.Index(None, "name", "id"),
)

test_read = sa.Table(
    "lrs_test_read",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("sweep_id", sa.Text, nullable=False),
    sa.Column("trials", sa.JSON, nullable=False),
    sa.Column("trainings", sa.Integer, nullable=False),
    sa.Index(None, "data", "id"),
)

token = sa.Table(
    "lrs_token",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scope", _choice(Scope), nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("revoked_at", sa.Double),
)

night = sa.Table(
    "lrs_night",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("generation", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON),
    sa.Column("ended_at", sa.Double),
    sa.UniqueConstraint("study", "generation", "key"),
    sa.Index(None, "study", "id"),
)
"""``plan`` is what the night compares, settled when it begins; ``result`` what came of it, once it has ended."""

night_training = sa.Table(
    "lrs_night_training",
    metadata,
    sa.Column("night", sa.Integer, sa.ForeignKey("lrs_night.id"), primary_key=True),
    sa.Column("arm", sa.Text, primary_key=True),
    sa.Column("horizon", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seed", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("status", _choice(Status), nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("steps", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("device", sa.Text),
    sa.Column("engine", sa.Text),
    sa.Column("error", sa.Text),
)
"""What a night has trained, written as each training ends: a night that goes on trains the rest."""

registered = sa.Table(
    "lrs_registered",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("study", sa.Text, nullable=False, unique=True),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("who", sa.Text),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("meaning", sa.Text, nullable=False),
    sa.Column("generation", sa.Text, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
)
"""Studies that may be started over HTTP: the checked file's text, the folder that its paths are relative to, and what
the workload made of it, so that the service knows whether a sweep of it goes on."""

queued = sa.Table(
    "lrs_queued",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("sweep_id", sa.Text, nullable=False, index=True),
    sa.Column("study", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("token", sa.Text),
    sa.Column("expires_at", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("error", sa.Text),
    sa.Column("is_cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("study", "asked_by", "idempotency_key"),
    sa.Index(None, "state", "id"),
)
"""Sweeps that were asked for over HTTP, and the lease of the worker that has claimed one. One that was left unfinished
may be asked for again: then several rows have its id."""
