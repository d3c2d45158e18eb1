"""A Ray cluster whose stations replay: actors, their calls and what goes over the network are real.

Each is an actor in a process of its own, with a ``ReplayExecutor`` in the place of the engines of its machine.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.clusters import Cluster

ROOT = Path(__file__).parents[3]
SITE = """import sys
if any("default_worker" in each for each in sys.orig_argv):
    from tests.benchmarks.scale.stations import replay
    replay({slots}, {step_seconds})
"""
"""A ``sitecustomize`` of the node, for the processes that actors run in."""


def replay(slots: int, step_seconds: float) -> None:
    """From now on in this process."""
    from lrsweep.executors import local
    from tests.benchmarks.scale.replaying import ReplayExecutor

    local.LocalExecutor = partial(ReplayExecutor, slots=slots, step_seconds=step_seconds)  # type: ignore[misc,assignment]


@contextlib.contextmanager
def a_cluster(stations: int, *, slots: int, step_seconds: float) -> Iterator[str]:
    """With room for so many, of so many slots each: what ``--executor`` takes."""
    with tempfile.TemporaryDirectory(prefix="lrsweep-site-") as folder, Cluster() as cluster:
        (Path(folder) / "sitecustomize.py").write_text(SITE.format(slots=slots, step_seconds=step_seconds))
        path = [folder, str(ROOT), *filter(None, sys.path)]
        cluster.add_node(cpus=stations, environ={"PYTHONPATH": ":".join(path)})
        yield f"ray:{cluster.address},cpus=1,stations={stations}"
