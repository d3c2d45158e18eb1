"""What MLflow is to hold of a sweep, also where it has nothing of it: results that were restored beside another MLflow.

Rows remember what was sent, and not to which MLflow. The sweep's own run says it: one that this MLflow never had, not
even deleted, means that it has none of the trainings' runs either. They are then sent as if for the first time; the
curves are in SQL. Runs that came there by other means are found by their tags and taken over.

Once the first of several lost sweeps is sent, the others look like those that somebody has deleted there. So all are
noted as lost before that, and are told of when all are sent: whoever is killed in between finds every one of them. A
driver that goes on with one of them says so when it begins, and takes its note away.
"""

from __future__ import annotations

from collections.abc import Mapping

from lrsweep.records import Json, SweepRow
from lrsweep.store.base import Lease, Store
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.mirror import PASSED_OVER
from lrsweep.sweep.owner import LEASE_SECONDS
from lrsweep.tracking import Tracker, is_sent

LOST_KEY = "lost_in_mlflow"
"""In a sweep's settings: how many of its trainings a sync has still to tell of as sent again; None: of none."""
TOLD: Mapping[str, Json] = {LOST_KEY: None}
"""In a sweep's settings, once its driver sends what was lost, and has said so."""
RENEW_AFTER = 500
"""Rows: each is a transaction of a few milliseconds, and a lease is short beside those of 10,000 trainings."""


def is_lost(tracker: Tracker, sweep: SweepRow) -> bool:
    """Whether this MLflow never had the sweep's run. Raises TrackingUnavailable where it does not answer."""
    return bool(sweep.mlflow_run_id) and not tracker.has(str(sweep.mlflow_run_id))


def owed(sweep: SweepRow) -> int | None:
    """What ``note_lost`` has noted and nobody was told of yet."""
    noted = sweep.settings.get(LOST_KEY)
    return None if noted is None else int(noted)


def note_lost(store: Store, lease: Lease, study: ResolvedStudy, sweep: SweepRow) -> None:
    """Before anything of this sweep, or of another one that was lost with it, is sent again."""
    sent = {row.training_id: row for row in store.trainings(sweep.study, sweep_id=sweep.sweep_id) if row.mlflow_run_id}
    rows = sent | {row.training_id: row for row in store.unmirrored(sweep.sweep_id)}
    count = sum(is_sent(row.purpose, study.tracking.runs) for row in rows.values())
    store.update_sweep(lease, sweep.sweep_id, settings={LOST_KEY: count})


def sent_again(again: int | None, sweep: SweepRow) -> str | None:
    """What a driver says of a lost sweep that goes on; ``again`` is of ``forget_lost``. It sends what is left, so that
    nothing is to be told by a sync (``TOLD``)."""
    noted = owed(sweep)
    if again is not None and (again or noted):
        return f"this MLflow has none of the sweep's runs: {again or noted} trainings are sent to it again"
    if noted:
        return (
            f"this MLflow had none of the sweep's runs, and a sync that would have sent it {noted} trainings has not "
            "come to its end: what it lacks of them is sent now"
        )
    return None


def note_told(store: Store, lease: Lease, sweep: SweepRow, *, left: int | None) -> None:
    """Once all were sent that are sent today; ``left``: how many of these are not, None where that was all."""
    store.update_sweep(lease, sweep.sweep_id, settings={LOST_KEY: left})


def forget_lost(store: Store, lease: Lease, tracker: Tracker, study: ResolvedStudy, sweep: SweepRow) -> int | None:
    """Marks trainings as not sent where their runs are lost: how many there were, or None where none is lost.

    It comes before the sweep gets another run: whoever is killed in between finds them lost again.
    Raises TrackingUnavailable where MLflow does not answer.
    """
    if not is_lost(tracker, sweep):
        return None
    sent = [row for row in store.trainings(sweep.study, sweep_id=sweep.sweep_id) if row.mlflow_run_id]
    for place, row in enumerate(sent, 1):
        if place % RENEW_AFTER == 0:
            store.renew_lease(lease, seconds=LEASE_SECONDS)
        if is_sent(row.purpose, study.tracking.runs):
            store.mark_mirrored(lease, row.training_id, mlflow_run_id=PASSED_OVER, attempt=0, steps=0, status=None)
        else:  # one of the best by family: it is sent where the table of families is
            store.mark_mirrored(
                *(lease, row.training_id),
                mlflow_run_id=PASSED_OVER,
                attempt=row.mirrored_attempt,
                steps=row.mirrored_steps,
                status=row.mirrored_status,
            )
    return len(sent)


def shown_params(study: ResolvedStudy) -> dict[str, str]:
    """What a sweep's own run says of its study, for people."""
    return {
        "workload": study.workload.name,
        "horizon": str(study.horizon),
        "families": ", ".join(study.space.families),
        "optimizers": ", ".join(study.space.optimizers),
        "trials": str(study.trials),
        "metric": study.metric,
        "direction": study.direction,
    }
