"""Champions with their history, and every read of a test set. No foreign keys: both outlive results."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lrs_champion",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("alias", sa.String(16), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("choice", sa.Text),
        sa.Column("study", sa.Text),
        sa.Column("sweep_id", sa.Text),
        sa.Column("trial", sa.Integer),
        sa.Column("mlflow_version", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("who", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_lrs_champion"),
    )
    op.create_index("ix_lrs_champion_name_id", "lrs_champion", ["name", "id"])
    op.create_table(
        "lrs_test_read",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("sweep_id", sa.Text, nullable=False),
        sa.Column("trials", sa.JSON, nullable=False),
        sa.Column("trainings", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lrs_test_read"),
    )
    op.create_index("ix_lrs_test_read_data_id", "lrs_test_read", ["data", "id"])


def downgrade() -> None:
    op.drop_table("lrs_test_read")
    op.drop_table("lrs_champion")
