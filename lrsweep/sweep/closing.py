"""How a sweep's run in MLflow ends: its status, the best that the sweep has come to, and its report."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from lrsweep.store import Store
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


MakeReport = Callable[[Store, str, str | None], str]
"""Makes the page of a study's newest sweep, which has come to its end: of the store, the study and the commit."""


def send_report(
    tracker: Tracker,
    run_id: str,
    store: Store,
    study: str,
    make: MakeReport,
    say: Callable[[str], None],
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Beside the sweep's own run. A report that cannot be made or sent costs the sweep nothing: it is told.

    ``keep`` is called all the while: of many trials a report takes as long as a lease lasts.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        making = pool.submit(lambda: make(store, study, tracker.commit_of(run_id)))
        while not making.done():
            keep()
            wait([making], timeout=1.0)
    try:
        tracker.show_report(run_id, making.result())
    except Exception as error:  # whatever is wrong with a page: hours of training have gone well
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        say(f"the sweep has no report in MLflow ({reason[0]}); `lrsweep report {study}` makes it again")
