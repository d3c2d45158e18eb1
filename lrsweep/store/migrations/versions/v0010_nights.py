"""Nights and what they have trained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lrs_night",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("generation", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("ended_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_lrs_night"),
        sa.UniqueConstraint("study", "generation", "key", name="uq_lrs_night_study_generation_key"),
    )
    op.create_index("ix_lrs_night_study_id", "lrs_night", ["study", "id"])
    op.create_table(
        "lrs_night_training",
        sa.Column("night", sa.Integer, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("horizon", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("steps", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("device", sa.Text),
        sa.Column("engine", sa.Text),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("night", "arm", "horizon", "seed", name="pk_lrs_night_training"),
        sa.ForeignKeyConstraint(["night"], ["lrs_night.id"], name="fk_lrs_night_training_night_lrs_night"),
    )


def downgrade() -> None:
    op.drop_table("lrs_night_training")
    op.drop_table("lrs_night")
