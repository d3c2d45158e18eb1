"""The expert who is content with as many points of a curve as lrsweep sends to MLflow, and keeps no others.

lrsweep keeps every step, in SQL and in an artifact; this loop does not. It is here to show what that costs.
"""

from __future__ import annotations

from lrsweep.tracking.points import POINTS_PER_CURVE
from tests.benchmarks.sweep import expert
from tests.benchmarks.sweep.workload import Job, Result


def sweep(job: Job) -> Result:
    return expert.sweep(job, points_per_curve=POINTS_PER_CURVE)
