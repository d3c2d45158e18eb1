"""Simulated engines in processes of their own, as actors of a cluster are: plans go out, records come back in chunks.

A node is a plain process with a ``ReplayExecutor`` behind a pipe, which is what a driver sees of a machine that is far
away, but for the network. Plans go to the node with the most room.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Busy, Lost, Measured
from lrsweep.executors.process import capacity
from lrsweep.records import Crew, Record, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.study import ResolvedStudy
from tests.benchmarks.scale.replaying import ReplayExecutor
from tests.sweeps import FACTS

POLL_SECONDS = 0.25
"""A node tells what it has as often, as a station of the Ray executor is asked."""


@dataclass(frozen=True)
class Told:
    records: list[Record | Lost]
    busy: Busy | None


@dataclass
class _Node:
    process: BaseProcess
    connection: Connection
    in_flight: list[str] = field(default_factory=list)
    busy: Busy | None = None


def serve(connection: Connection, slots: int, step_seconds: float) -> None:
    """The far side, until the pipe closes."""
    executor = ReplayExecutor(slots=slots, step_seconds=step_seconds)
    told_at, said = time.monotonic(), list[Record | Lost]()
    while True:
        try:
            while connection.poll(0.0 if executor.in_flight else POLL_SECONDS):
                executor.submit(connection.recv())
        except EOFError:
            return
        said += executor.poll(0.02)
        if said and time.monotonic() - told_at > POLL_SECONDS:
            try:
                connection.send(Told(said, executor.busy))
            except BrokenPipeError:
                return
            told_at, said = time.monotonic(), []


class Nodes:
    """An ``OpenedExecutor`` of so many nodes, which start with it."""

    def __init__(self, nodes: int, *, slots: int, step_seconds: float) -> None:
        """``slots`` of each."""
        self._slots = slots
        self._nodes = [self._started(step_seconds) for _ in range(nodes)]

    def _started(self, step_seconds: float) -> _Node:
        near, far = get_context("spawn").Pipe()
        process = get_context("spawn").Process(target=serve, args=(far, self._slots, step_seconds), daemon=True)
        process.start()
        far.close()
        return _Node(process, near)

    @property
    def free(self) -> int:
        return sum(capacity(self._slots) - len(node.in_flight) for node in self._nodes)

    @property
    def in_flight(self) -> Sequence[str]:
        return tuple(each for node in self._nodes for each in node.in_flight)

    @property
    def busy(self) -> Busy | None:
        told = [node.busy for node in self._nodes if node.busy is not None]
        if not told:
            return None
        steps = max(1, round(sum(each.steps for each in told) / len(told)))
        return Busy(self._slots * len(told), steps, sum(each.slot_steps for each in told))

    @property
    def device_count(self) -> int:
        return len(self._nodes)

    far_device = None

    @property
    def pace_factor(self) -> int:
        return len(self._nodes)

    @property
    def arrangement(self) -> str:
        return f"fused:{self._slots}x{len(self._nodes)}"

    def submit(self, plan: TrainingPlan) -> None:
        node = min(self._nodes, key=lambda each: len(each.in_flight))
        node.in_flight.append(plan.training_id)
        node.connection.send(plan)

    def stop(self, training_id: str) -> None:
        raise NotImplementedError(f"a sweep of so many trials stops none: {training_id}")

    def poll(self, seconds: float) -> list[Record | Lost]:
        by_connection = {node.connection: node for node in self._nodes}
        messages: list[Record | Lost] = []
        for ready in wait(list(by_connection), seconds):
            node = by_connection[ready]  # type: ignore[index]
            told: Told = node.connection.recv()
            node.busy = told.busy
            for each in told.records:
                if isinstance(each, Lost) or each.outcome is not None:
                    node.in_flight.remove(each.training_id)
            messages += told.records
        return messages

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        tick()
        self.close()
        return []

    def close(self) -> None:
        for node in self._nodes:
            node.connection.close()
            node.process.kill()
            node.process.join()
            node.in_flight.clear()

    # ── what is asked before there is a driver ───────────────────────────────────────────────────────────────────────
    def start(self, workload: WorkloadSpec | None = None) -> None:
        """They have started."""

    def describe(self, workload: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        return FACTS

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None] = lambda: None
    ) -> list[Measured]:
        return []

    def fit(
        self, asked: EngineOption, study: ResolvedStudy, rest: Rest, *, tick: Callable[[], None] = lambda: None
    ) -> None:
        """They have the slots that they were made with."""
