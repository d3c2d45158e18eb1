"""The lease in SQL: one row for each study, which every write of the study locks first."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lrsweep.errors import LeaseHeld
from lrsweep.store import models
from lrsweep.store.base import Holder, Lease
from lrsweep.store.rules import Holding
from lrsweep.store.transactions import Writing, clock, columns, select


def holding(connection: Connection, study: str, *, lock: bool) -> Holding | None:
    query = select(Holding, models.lease).filter_by(study=study)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else Holding(**row._mapping)


def hold(connection: Connection, study: str, held: Holding) -> None:
    connection.execute(sa.update(models.lease).filter_by(study=study).values(columns(held)))


def taken(connection: Connection, study: str, owner: str, *, seconds: float, dead: str | None) -> Lease:
    """``Store.acquire_lease`` within its transaction; ``dead`` is the token of a holder that is known to be gone."""
    connection.execute(
        sa.text("INSERT INTO lrs_lease (study, owner, expires_at) VALUES (:study, '', 0) ON CONFLICT DO NOTHING"),
        {"study": study},
    )
    before = holding(connection, study, lock=True)
    now = clock(connection)
    if before is not None and before.is_live(now) and before.token != dead:
        raise LeaseHeld(study, before.owner, before.expires_at - now)
    lease = Lease(study, owner, secrets.token_hex(16))
    hold(connection, study, Holding(owner, lease.token, now + seconds))
    Writing(connection, now, lease).record("lease_acquired", None, {"owner": owner})
    return lease


def release(connection: Connection, lease: Lease) -> None:
    """``Store.release_lease`` within its transaction."""
    before = holding(connection, lease.study, lock=True)
    if before is not None and before.token == lease.token:
        hold(connection, lease.study, Holding(lease.owner, None, before.expires_at))
        Writing(connection, clock(connection), lease).record("lease_released", None, {"owner": lease.owner})


def live_holders(connection: Connection) -> dict[str, Holder]:
    """Whoever reads a test set included, for whom a schema does not change either."""
    now = clock(connection)
    c = models.lease.c
    rows = connection.execute(
        sa.select(c.study, c.owner, c.expires_at).where(c.token.is_not(None), c.expires_at > now).order_by(c.study)
    )
    return {row.study: Holder(row.owner, row.expires_at - now) for row in rows}
