"""Trainings are counted in an index, and finals are found without a look at each training of the search."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = ["sweep_id", "purpose", "status", "horizon", "engine", "device", "seconds"]


def upgrade() -> None:
    op.create_index("ix_lrs_training_counted", "lrs_training", COLUMNS)


def downgrade() -> None:
    op.drop_index("ix_lrs_training_counted", "lrs_training")
