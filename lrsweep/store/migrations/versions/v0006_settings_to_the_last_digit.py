"""SQLite's view of trials shows settings as they were trained; it rounded them to 15 digits. PostgreSQL's never did."""

from __future__ import annotations

from alembic import op

from lrsweep.store.migrations.versions.v0005_views_and_indexes import FAMILIES, SQLITE, TRIALS

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# 17 digits say any number exactly; the "!" lets SQLite give more than 16.
_REAL = "WHEN 'real' THEN json(printf('%!.17g', p.value))"
EXACT = {
    **SQLITE,
    "settings": SQLITE["settings"].replace("ELSE json_quote(p.value)", f"{_REAL} ELSE json_quote(p.value)"),
}


def upgrade() -> None:
    _make_views(EXACT)


def downgrade() -> None:
    _make_views(SQLITE)


def _make_views(words: dict[str, str]) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW lrs_families")  # which reads the other
        op.execute("DROP VIEW lrs_trials")
        op.execute(TRIALS.format(**words))
        op.execute(FAMILIES)
