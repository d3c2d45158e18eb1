"""The loss of each example that finals are compared by: a row per training that kept them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lrs_example_losses",
        sa.Column("training_id", sa.Text, nullable=False),
        sa.Column("examples", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("training_id", name="pk_lrs_example_losses"),
        sa.ForeignKeyConstraint(
            ["training_id"], ["lrs_training.training_id"], name="fk_lrs_example_losses_training_id"
        ),
    )


def downgrade() -> None:
    op.drop_table("lrs_example_losses")
