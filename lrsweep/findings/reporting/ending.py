"""The page of a sweep that has come to its end, for its run in MLflow: its driver makes it, or `lrsweep sync` later."""

from __future__ import annotations

import time

from lrsweep.store import Store


def page_at_the_end(store: Store, study: str, commit: str | None) -> str:
    """Of the newest sweep, whose row may not say yet that it is finished."""
    from lrsweep.findings.reporting.gathering import gather
    from lrsweep.report.html import page

    return page(gather(store, study, now=time.time(), commit=commit, state="finished"))
