"""The tracker: sweeps and trainings as MLflow runs, and MLflow's own pages on them. MLflow is imported only here.

    points.py       which points of a curve are sent; pure
    rows.py         what a row of the store is in MLflow's words; pure
    naming.py       what runs are called and tagged, from a study's templates; pure
    surroundings.py the commit, the versions and, where asked for, the user that runs are tagged with
    connection.py   MLflow's settings, its database before it is opened, its errors in our words
    permissions.py  what a server forbids, and how a sweep goes on without it
    experiments.py  experiments by name
    calls.py        what runs are made of
    tracker.py      runs, curves, adoption
    nights.py       a run for each night
    importing.py    runs of an experiment as points with values, anybody's
    sweeps.py       which sweeps an experiment has, and what their finals may claim
    views.py        what the UI opens on, and the same as plain filters
    pages.py        where the page of a study is on a server, by HTTP alone
    server.py       MLflow's server as a child process

What is sent is what the store has committed, and all of it may be sent again: the process may end between two calls.
"""

from __future__ import annotations

from lrsweep.tracking.connection import load_mlflow, usable
from lrsweep.tracking.naming import is_sent
from lrsweep.tracking.permissions import Right
from lrsweep.tracking.rows import FamilyBest
from lrsweep.tracking.sweeps import RaceShown
from lrsweep.tracking.tracker import FoundRun, RunEnd, Sent, Tracker

__all__ = [
    "FamilyBest",
    "FoundRun",
    "RaceShown",
    "Right",
    "RunEnd",
    "Sent",
    "Tracker",
    "is_sent",
    "load_mlflow",
    "usable",
]
