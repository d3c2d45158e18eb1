"""Why a training diverged: the rule and the step, in a sentence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lrs_training", sa.Column("reason", sa.Text, nullable=True))


def downgrade() -> None:
    op.drop_column("lrs_training", "reason")
