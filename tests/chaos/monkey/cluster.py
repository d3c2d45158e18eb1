"""A Ray cluster on this machine: a head that holds no trainings, and nodes that are killed and join again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.monkey.processes import command, family, send
from tests.chaos.monkey.servers import START_SECONDS, a_free_port, answers

NODES = 2
STATION = "ray::Station"
STORE_BYTES = 100 * 2**20


@dataclass
class Cluster:
    """Each node is one process that ends with any of its parts."""

    folder: Path
    environ: Mapping[str, str]
    """of what runs on the nodes"""
    port: int = field(default_factory=a_free_port)
    _head: subprocess.Popen[bytes] | None = None
    _nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def option(self) -> str:
        """For ``lrsweep run --executor``: every node has one station."""
        return f"ray:127.0.0.1:{self.port},cpus=1"

    @property
    def pids(self) -> list[int]:
        return [node.pid for node in self._nodes]

    @property
    def is_up(self) -> bool:
        return len(self._nodes) == NODES and all(node.poll() is None and self._raylet(node) for node in self._nodes)

    def start(self) -> None:
        """Raises TimeoutError."""
        self._head = self._started("--head", f"--port={self.port}", "--num-cpus=0", f"--temp-dir={self.folder}")
        end = time.monotonic() + START_SECONDS
        while not answers(self.port):
            if time.monotonic() > end or self._head.poll() is not None:
                raise TimeoutError("the Ray cluster's head does not start")
            time.sleep(0.2)
        self.keep_up()

    def keep_up(self) -> None:
        """A node joins in the place of each that has ended."""
        self._nodes = [node for node in self._nodes if node.poll() is None]
        while len(self._nodes) < NODES:
            self._nodes.append(self._started(f"--address=127.0.0.1:{self.port}", "--num-cpus=1"))

    def raylets(self) -> list[int]:
        return [pid for node in self._nodes for pid in self._raylet(node)]

    def stations(self) -> list[int]:
        return sorted(pid for node in self._nodes for pid in family(node.pid) if STATION in command(pid))

    def stop(self) -> None:
        for process in (*self._nodes, self._head):
            if process is not None:
                send([*family(process.pid)[::-1], process.pid], signal.SIGKILL)
                process.wait()

    def _raylet(self, node: subprocess.Popen[bytes]) -> list[int]:
        return [pid for pid in family(node.pid) if command(pid).partition(" ")[0].endswith("/raylet")]

    def _started(self, *words: str) -> subprocess.Popen[bytes]:
        quiet = ["--block", "--disable-usage-stats", *(["--include-dashboard=false"] if "--head" in words else [])]
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start"),
                *(*words, *quiet, f"--object-store-memory={STORE_BYTES}"),
            ],
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **self.environ},
            cwd=self.folder.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
