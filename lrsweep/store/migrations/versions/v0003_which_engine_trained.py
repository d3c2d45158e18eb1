"""Which engine trained: in the last bit a curve depends on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lrs_training", sa.Column("engine", sa.Text, nullable=True))


def downgrade() -> None:
    op.drop_column("lrs_training", "engine")
