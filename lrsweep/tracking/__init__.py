"""The tracker: sweeps and trainings as MLflow runs, and MLflow's own pages on them. MLflow is imported only here.

    points.py       which points of a curve are sent; pure
    rows.py         what a row of the store is in MLflow's words; pure
    connection.py   MLflow's settings, its database before it is opened, its errors in our words
    tracker.py      runs, curves, adoption
    views.py        what the UI opens on
    server.py       MLflow's server as a child process

What is sent is what the store has committed, and all of it may be sent again: the process may end between two calls.
"""

from __future__ import annotations

from lrsweep.tracking.connection import load_mlflow, usable
from lrsweep.tracking.tracker import FoundRun, RunEnd, Sent, Tracker

__all__ = ["FoundRun", "RunEnd", "Sent", "Tracker", "load_mlflow", "usable"]
