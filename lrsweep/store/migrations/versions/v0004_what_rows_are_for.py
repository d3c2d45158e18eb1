"""Where trials come from, what trainings are for, what a sweep has decided, and whether somebody wants it to end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lrs_sweep", sa.Column("settings", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("lrs_sweep", sa.Column("is_cancelled", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("lrs_trial", sa.Column("origin", sa.String(16), nullable=False, server_default="search"))
    op.add_column("lrs_training", sa.Column("purpose", sa.String(16), nullable=False, server_default="search"))


def downgrade() -> None:
    op.drop_column("lrs_training", "purpose")
    op.drop_column("lrs_trial", "origin")
    op.drop_column("lrs_sweep", "is_cancelled")
    op.drop_column("lrs_sweep", "settings")
