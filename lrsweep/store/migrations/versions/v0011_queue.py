"""Studies that may be started over HTTP, and the sweeps that were asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lrs_registered",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("who", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("meaning", sa.Text, nullable=False),
        sa.Column("generation", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lrs_registered"),
        sa.UniqueConstraint("study", name="uq_lrs_registered_study"),
    )
    op.create_table(
        "lrs_queued",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
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
        sa.PrimaryKeyConstraint("id", name="pk_lrs_queued"),
        sa.UniqueConstraint(
            "study", "asked_by", "idempotency_key", name="uq_lrs_queued_study_asked_by_idempotency_key"
        ),
    )
    op.create_index("ix_lrs_queued_state_id", "lrs_queued", ["state", "id"])
    op.create_index("ix_lrs_queued_sweep_id", "lrs_queued", ["sweep_id"])


def downgrade() -> None:
    op.drop_table("lrs_queued")
    op.drop_table("lrs_registered")
