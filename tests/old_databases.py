"""Results as earlier releases left them: in ``fixtures/databases`` a file of SQL per schema, and its SQLite file.

``python -m tests.old_databases`` makes the SQLite files that are missing: once per schema, before it is released.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from lrsweep.records import Curve
from lrsweep.store import ensure_schemas, with_schema
from lrsweep.store.migrating import migrate

FIXTURES = Path(__file__).parent / "fixtures" / "databases"
RELEASED = ("0001", "0002", "0003")
CURVE = Curve(np.linspace(0.25, 0.0, 200), np.full(200, 0.5), np.array([200]), {"val_loss": np.array([0.5])})
"""of training ``t0``"""


def make_old_database(url: str, version: str) -> None:
    """In SQLite the file as that release made it; in PostgreSQL its tables by its migrations, and the same rows."""
    if url.startswith("sqlite"):
        file = Path(str(make_url(url).database))
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FIXTURES / f"schema-{version}.db", file)
        return
    ensure_schemas(url, ["lrsweep"])
    write_rows(with_schema(url, "lrsweep"), version)


def write_rows(url: str, version: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        migrate(connection, version)
        for statement in (FIXTURES / f"rows-{version}.sql").read_text().split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.execute(
            sa.text("INSERT INTO lrs_curve (training_id, attempt, steps, data) VALUES ('t0', 1, 200, :data)"),
            {"data": CURVE.to_bytes()},
        )
    engine.dispose()


if __name__ == "__main__":
    for version in RELEASED:
        target = FIXTURES / f"schema-{version}.db"
        if not target.exists():
            write_rows(f"sqlite:///{target}", version)
