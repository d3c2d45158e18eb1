"""How a sweep's run in MLflow ends: its status, and the best that the sweep has come to."""

from __future__ import annotations

from lrsweep.sweep.progress import Best
from lrsweep.tracking import RunEnd, Tracker


def close_parent(tracker: Tracker, run_id: str, status: RunEnd, best: Best | None) -> None:
    """Raises TrackingUnavailable where MLflow does not answer."""
    tags = {} if best is None else {"lrsweep.best": best.schedule.to_json(), "lrsweep.best_trial": str(best.trial)}
    tracker.close_sweep(run_id, status=status, metrics={} if best is None else best_metrics(best), tags=tags)


def best_metrics(best: Best) -> dict[str, float]:
    """What the search says of it, named as the value is, and what fresh seeds say, named as what they were judged by:
    ``best_steps_to_val_acc``, ``final_decide_loss_mean``."""
    name = best.value_name if best.value_name.startswith("best_") else f"best_{best.value_name}"
    found = {name: best.value}
    if best.final is not None and best.final.mean is not None:
        found[f"final_{best.final.metric}_mean"] = best.final.mean
    return found
