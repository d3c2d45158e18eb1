"""Ray clusters of several nodes on this machine: real ones, whose processes are really killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType, TracebackType
from typing import Any

from lrsweep import __version__
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.ray.connection import check_installed
from lrsweep.executors.ray.words import Hello

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
"""Else each ``ray.init`` in this process may change whether the next asks for a token."""

STORE_BYTES = 100 * 2**20
FAST = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""How soon the head takes a node that says nothing for gone; else 15 s."""

HELLO = Hello("node-7", "id", 1, __version__, "3.12.1", "2.15.0", sees_folder=True, sees_checkpoints=True, capacity=2)
"""Of a station that is as its driver wants it."""


def own_cluster(*, stations: int) -> ExecutorOption:
    """One that an executor starts for itself."""
    return ExecutorOption.parsed(f"ray:local,cpus=1,stations={stations}")


class Cluster:
    """``with Cluster() as one``: its head has no CPU, so nothing is trained there."""

    def __init__(self, *, head_cpus: int = 0) -> None:
        check_installed(ExecutorOption.parsed("ray"))
        from ray.cluster_utils import Cluster as Nodes

        self.homes = Path(mkdtemp(prefix="lrsweep-nodes-"))
        """a folder for each node"""
        self._nodes = Nodes(
            initialize_head=True,
            head_node_args={
                "num_cpus": head_cpus,
                "object_store_memory": STORE_BYTES,
                "include_dashboard": False,
                "_system_config": FAST,
            },
        )

    @property
    def address(self) -> str:
        return str(self._nodes.address)

    def add_node(self, *, cpus: int = 1, environ: Mapping[str, str] = MappingProxyType({})) -> Any:
        """One more machine, as far as Ray and the user's home there know; ``environ`` is what it has besides ours."""
        home = mkdtemp(dir=self.homes)
        node = self._nodes.add_node(
            num_cpus=cpus, object_store_memory=STORE_BYTES, env_vars={**os.environ, "HOME": home, **environ}
        )
        node.home = Path(home).name
        return node

    def kill(self, node: Any) -> None:
        """All its processes, with SIGKILL."""
        self._nodes.remove_node(node, allow_graceful=False)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._nodes.shutdown()  # type: ignore[no-untyped-call]
        shutil.rmtree(self.homes, ignore_errors=True)
