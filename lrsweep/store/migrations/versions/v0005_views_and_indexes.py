"""Views for people with SQL, indexes for the queries that exist, and numbers that outlive the trials that had them.

SQLite cannot alter a table that a view reads: a later migration of ``lrs_study``, ``lrs_sweep``, ``lrs_trial`` or
``lrs_training`` drops both views first and makes them anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What the two databases write differently. Names of parameters hold dots: in SQLite's paths they are quoted.
_OTHERS = "p.key NOT IN ('family', 'optimizer', 'peak_lr') AND p.key NOT LIKE '%.peak_lr'"
SQLITE = {
    "family": "json_extract(t.params, '$.family')",
    "optimizer": "json_extract(t.params, '$.optimizer')",
    "peak": "json_extract(t.params, '$.peak_lr')",
    "family_peak": """json_extract(t.params, '$."' || json_extract(t.params, '$.family') || '.' ||
        json_extract(t.params, '$.optimizer') || '.peak_lr"')""",
    "settings": f"""(SELECT json_group_object(p.key, CASE p.type WHEN 'true' THEN json('true')
        WHEN 'false' THEN json('false') WHEN 'array' THEN json(p.value) WHEN 'object' THEN json(p.value)
        ELSE json_quote(p.value) END) FROM json_each(t.params) AS p WHERE {_OTHERS})""",  # noqa: S608 (constants, here and below)
    "metric": "json_extract(s.spec, '$.metric')",
    "direction": "json_extract(s.spec, '$.direction')",
    "objective": "json_extract(s.spec, '$.objective.kind')",
}
POSTGRESQL = {
    "family": "(t.params ->> 'family')",
    "optimizer": "(t.params ->> 'optimizer')",
    "peak": "(t.params ->> 'peak_lr')",
    "family_peak": "(t.params ->> ((t.params ->> 'family') || '.' || (t.params ->> 'optimizer') || '.peak_lr'))",
    "settings": f"""coalesce((SELECT json_object_agg(p.key, p.value) FROM json_each(t.params) AS p WHERE {_OTHERS}),
        CAST('{{}}' AS json))""",  # noqa: S608
    "metric": "(s.spec ->> 'metric')",
    "direction": "(s.spec ->> 'direction')",
    "objective": "(s.spec -> 'objective' ->> 'kind')",
}

# One row per trial. Its metrics and device are those of the highest rung that it completed in the search.
_MINE = "FROM lrs_training AS r WHERE r.study = t.study AND r.trial = t.number"
TRIALS = f"""
CREATE VIEW lrs_trials AS
SELECT
    t.study AS study,
    t.number AS number,
    t.sweep_id AS sweep_id,
    w.generation AS generation,
    s.meaning AS meaning,
    t.origin AS origin,
    t.copied_from AS copied_from,
    {{family}} AS family,
    {{optimizer}} AS optimizer,
    CAST(coalesce({{family_peak}}, {{peak}}) AS double precision) AS peak_lr,
    {{settings}} AS settings,
    CASE WHEN t.state <> 'pruned' THEN t.state WHEN t.value IS NULL THEN 'diverged' ELSE 'halted' END AS state,
    t.value AS value,
    CASE {{objective}} WHEN 'best' THEN 'best_' WHEN 'target' THEN 'steps_to_' ELSE '' END || {{metric}} AS value_of,
    {{metric}} AS metric,
    CASE WHEN {{objective}} = 'target' THEN 'minimize' ELSE {{direction}} END AS direction,
    top.horizon AS horizon,
    top.metrics AS metrics,
    top.device AS device,
    (SELECT count(*) {_MINE}) AS trainings,
    (SELECT CAST(coalesce(sum(r.steps), 0) AS BIGINT) {_MINE}) AS steps,
    (SELECT coalesce(sum(r.seconds), 0) {_MINE}) AS seconds,
    (SELECT r.reason {_MINE} AND r.reason IS NOT NULL ORDER BY r.started_at DESC, r.training_id LIMIT 1) AS reason,
    (SELECT r.error {_MINE} AND r.error IS NOT NULL ORDER BY r.started_at DESC, r.training_id LIMIT 1) AS error
FROM lrs_trial AS t
JOIN lrs_sweep AS w ON w.sweep_id = t.sweep_id
JOIN lrs_study AS s ON s.name = w.study AND s.generation = w.generation
LEFT JOIN lrs_training AS top ON top.training_id = (
    SELECT r.training_id {_MINE} AND r.purpose = 'search' AND r.status = 'completed'
    ORDER BY r.horizon DESC, r.rate_scale, r.training_id LIMIT 1)
"""  # noqa: S608 (constants)

# Values of different meanings do not compare, and a trial from elsewhere was no work of this study.
FAMILIES = """
CREATE VIEW lrs_families AS
SELECT
    study, meaning, family,
    count(*) AS trials,
    sum(CASE WHEN state = 'complete' THEN 1 ELSE 0 END) AS complete,
    sum(CASE WHEN state = 'halted' THEN 1 ELSE 0 END) AS halted,
    sum(CASE WHEN state = 'diverged' THEN 1 ELSE 0 END) AS diverged,
    sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed,
    max(CASE WHEN place = 1 AND state = 'complete' THEN value END) AS best_value,
    max(CASE WHEN place = 1 AND state = 'complete' THEN number END) AS best_trial,
    max(value_of) AS value_of,
    CAST(sum(steps) AS BIGINT) AS steps,
    sum(seconds) AS seconds
FROM (
    SELECT study, meaning, family, number, state, value, value_of, steps, seconds,
        row_number() OVER (
            PARTITION BY study, meaning, family
            ORDER BY CASE WHEN state = 'complete' THEN 0 ELSE 1 END,
                CASE WHEN direction = 'maximize' THEN -value ELSE value END, number) AS place
    FROM lrs_trials
    WHERE origin IN ('search', 'baseline')
) AS ranked
GROUP BY study, meaning, family
"""


def upgrade() -> None:
    op.create_table(
        "lrs_numbers",
        sa.Column("study", sa.Text, nullable=False),
        sa.Column("next_trial", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("study", name="pk_lrs_numbers"),
    )
    op.drop_index("ix_lrs_trial_sweep_id", "lrs_trial")
    op.create_index("ix_lrs_trial_sweep_id_number", "lrs_trial", ["sweep_id", "number"])
    op.drop_index("ix_lrs_training_sweep_id", "lrs_training")
    op.create_index("ix_lrs_training_sweep_id_trial", "lrs_training", ["sweep_id", "trial"])
    unmirrored = sa.text("mirrored_status IS NULL OR mirrored_status <> status")
    op.create_index(
        "ix_lrs_training_unmirrored",
        "lrs_training",
        ["sweep_id"],
        sqlite_where=unmirrored,
        postgresql_where=unmirrored,
    )
    words = POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE
    op.execute(TRIALS.format(**words))
    op.execute(FAMILIES)


def downgrade() -> None:
    op.execute("DROP VIEW lrs_families")
    op.execute("DROP VIEW lrs_trials")
    op.drop_index("ix_lrs_training_unmirrored", "lrs_training")
    op.drop_index("ix_lrs_training_sweep_id_trial", "lrs_training")
    op.create_index("ix_lrs_training_sweep_id", "lrs_training", ["sweep_id"])
    op.drop_index("ix_lrs_trial_sweep_id_number", "lrs_trial")
    op.create_index("ix_lrs_trial_sweep_id", "lrs_trial", ["sweep_id"])
    op.drop_table("lrs_numbers")
