"""The driver at size: how many trainings a second it takes with and without MLflow, and how full it keeps 256 slots.

``throughput`` has engines that have ended a training before they are asked for one, so what is measured is the search,
the store and the mirrors. Without MLflow is as with ``tracking.runs = "sweep"``: the sweep's own run alone is sent.
``occupancy`` has 16 Ray actors with 16 slots each, whose updates take time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrsweep.tracking.server import MlflowServer
from tests.benchmarks.scale.figures import DATABASES, Home, a_home, child, thinned
from tests.benchmarks.scale.stations import a_cluster

TRAININGS_PER_TRIAL = 1.9
"""Of a sweep of 200 replayed trials; finals are among them. Of 6,000 trials it is 1.6."""
STATIONS, SLOTS = 16, 16
OF_RAY = {"RAY_AUTH_MODE": "disabled"}
"""as the cluster is"""
MLFLOW = ("off", "its own files", "a server over HTTP")
"""Where the copies go: to files in the home, as by default; on PostgreSQL into the same server."""


def a_study_file(home: Home, *, trainings: int, runs: str = "all") -> Path:
    """A budget that comes to about so many."""
    file = home.folder / "study.toml"
    file.write_text(
        f'[study]\nname = "driven"\nworkload = "digits"\nhorizon = 600\n'
        f"[budget]\ntrials = {max(12, round(trainings / TRAININGS_PER_TRIAL))}\n"
        f'[tracking]\nruns = "{runs}"\n',
        encoding="utf-8",
    )
    return file


def throughput(trainings: int, mirrored: int, databases: Sequence[str]) -> dict[str, Any]:
    """So many without MLflow, and so many of which all is sent to it."""
    found: dict[str, Any] = {}
    for database in databases:
        found[database] = {}
        for mlflow in MLFLOW:
            found[database][mlflow] = _throughput(database, mlflow, trainings if mlflow == MLFLOW[0] else mirrored)
            print(f"  {database}, MLflow {mlflow}: {_rates(found[database][mlflow])}", flush=True)
    return found


def _throughput(database: str, mlflow: str, trainings: int) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(a_home(database))
        environ = {}
        if mlflow == MLFLOW[2]:
            store = f"sqlite:///{home.folder / 'server.db'}"
            server = MlflowServer(store, str(home.folder / "served"), port=0)
            environ["MLFLOW_TRACKING_URI"] = stack.enter_context(server).url
        study = a_study_file(home, trainings=trainings, runs="sweep" if mlflow == MLFLOW[0] else "all")
        driven = child("driving", str(study), "64", home=home, environ=environ)
    count = driven["trainings"]
    return {
        "trials": driven["trials"],
        "trainings": count,
        "driven_per_second": round(count / driven["driven_seconds"], 2),
        "mirrored_per_second": round(count / driven["mirrored_seconds"], 2),
        "cpu_ms_per_training": round(1000 * driven["cpu_seconds"] / count, 2),
        "peak_rss_mib": round(driven["peak_rss_mib"], 1),
        "samples": thinned(driven["samples"]),
    }


def occupancy(trials: int, step_seconds: float, databases: Sequence[str]) -> dict[str, Any]:
    """Until the last trial is asked for: what is left then ends one after the other."""
    found: dict[str, Any] = {"stations": STATIONS, "slots": STATIONS * SLOTS, "step_seconds": step_seconds}
    for database in databases:
        with a_home(database) as home, a_cluster(STATIONS, slots=SLOTS, step_seconds=step_seconds) as cluster:
            study = a_study_file(home, trainings=round(TRAININGS_PER_TRIAL * trials), runs="sweep")
            driven = child("driving", str(study), cluster, home=home, environ=OF_RAY)
        found[database] = {
            "trials": driven["trials"],
            "trainings": driven["trainings"],
            "seconds": driven["driven_seconds"],
            "trainings_per_second": round(driven["trainings"] / driven["driven_seconds"], 2),
            "occupancy": driven["occupancy"],
            "steady_occupancy": driven["steady_occupancy"],
            "peak_rss_mib": round(driven["peak_rss_mib"], 1),
            "samples": thinned(driven["samples"]),
        }
    return found


def _rates(found: dict[str, Any]) -> str:
    return (
        f"{found['driven_per_second']} trainings a second, {found['mirrored_per_second']} with all copies made, "
        f"processor {found['cpu_ms_per_training']} ms each, {found['peak_rss_mib']:.0f} MiB"
    )


def _databases(found: dict[str, Any]) -> list[str]:
    return [each for each in DATABASES if each in found]


def throughput_told(found: dict[str, Any]) -> str:
    return "\n".join(f"{on:10} MLflow {to:18} {_rates(found[on][to])}" for on in _databases(found) for to in MLFLOW)


def occupancy_told(found: dict[str, Any]) -> str:
    return "\n".join(
        f"{on:10} {found['slots']} slots full to {100 * (found[on]['occupancy'] or 0):.1f} % (after the first minute "
        f"{100 * (found[on]['steady_occupancy'] or 0):.1f} %), at most "
        f"{found[on]['peak_rss_mib']:.0f} MiB in the driver, {found[on]['trainings_per_second']} trainings a second"
        for on in _databases(found)
    )
