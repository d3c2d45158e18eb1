"""The first tables.

A migration is frozen once released: it names its columns by itself and never reads ``models.py``, which moves on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATUS = sa.String(16)


def upgrade() -> None:
    op.create_table(
        "lrs_study",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("meaning", sa.Text, nullable=False),
        sa.Column("generation", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lrs_study"),
        sa.UniqueConstraint("name", "generation", name="uq_lrs_study_name_generation"),
    )
    op.create_table(
        "lrs_sweep",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("generation", sa.Text, nullable=False),
        sa.Column("status", _STATUS, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("mlflow_run_id", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_lrs_sweep"),
        sa.UniqueConstraint("sweep_id", name="uq_lrs_sweep_sweep_id"),
        sa.ForeignKeyConstraint(
            ["study", "generation"], ["lrs_study.name", "lrs_study.generation"], name="fk_lrs_sweep_study_generation"
        ),
    )
    op.create_index("ix_lrs_sweep_study_generation", "lrs_sweep", ["study", "generation"])
    op.create_table(
        "lrs_trial",
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("distributions", sa.JSON, nullable=False),
        sa.Column("state", _STATUS, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("copied_from", sa.Text),
        sa.PrimaryKeyConstraint("study", "number", name="pk_lrs_trial"),
        sa.ForeignKeyConstraint(["sweep_id"], ["lrs_sweep.sweep_id"], name="fk_lrs_trial_sweep_id"),
    )
    op.create_index("ix_lrs_trial_sweep_id", "lrs_trial", ["sweep_id"])
    op.create_table(
        "lrs_training",
        sa.Column("training_id", sa.Text, nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("trial", sa.Integer, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("rung", sa.Integer, nullable=False),
        sa.Column("horizon", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("rate_scale", sa.Double, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("status", _STATUS, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("steps", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("started_at", sa.Double),
        sa.Column("error", sa.Text),
        sa.Column("mlflow_run_id", sa.Text),
        sa.Column("mirrored_attempt", sa.Integer, nullable=False),
        sa.Column("mirrored_steps", sa.BigInteger, nullable=False),
        sa.Column("mirrored_status", _STATUS),
        sa.PrimaryKeyConstraint("training_id", name="pk_lrs_training"),
        sa.ForeignKeyConstraint(["sweep_id"], ["lrs_sweep.sweep_id"], name="fk_lrs_training_sweep_id"),
        sa.ForeignKeyConstraint(
            ["study", "trial"], ["lrs_trial.study", "lrs_trial.number"], name="fk_lrs_training_study_trial"
        ),
    )
    op.create_index("ix_lrs_training_sweep_id", "lrs_training", ["sweep_id"])
    op.create_index("ix_lrs_training_study_trial", "lrs_training", ["study", "trial"])
    op.create_table(
        "lrs_curve",
        sa.Column("training_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("steps", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("training_id", name="pk_lrs_curve"),
        sa.ForeignKeyConstraint(["training_id"], ["lrs_training.training_id"], name="fk_lrs_curve_training_id"),
    )
    op.create_table(
        "lrs_lease",
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("token", sa.Text),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("study", name="pk_lrs_lease"),
    )
    op.create_table(
        "lrs_event",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("sweep_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lrs_event"),
    )
    op.create_index("ix_lrs_event_study_id", "lrs_event", ["study", "id"])


def downgrade() -> None:
    """Results are not thrown away by a step back: bring back a copy of the database instead."""
    raise NotImplementedError("the first tables hold the results; nothing lies before them")
