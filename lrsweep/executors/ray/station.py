"""The actor: a ``LocalExecutor`` for a share of a node, and who passes on what it is given and what it says.

It answers one question at a time. What it is depends on ``hello`` alone, which makes it anew: so a process that Ray has
started again, and one that was out of reach for a while, begin alike, with nothing in flight.
"""

from __future__ import annotations

import os
import pickle
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ray

from lrsweep import __version__
from lrsweep.engines.machine import limit_cores
from lrsweep.engines.versions import version_of
from lrsweep.executors.choosing import Rest
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost, Measured
from lrsweep.executors.ray.node import folder_of_node
from lrsweep.executors.ray.words import Asked, Fitted, Hello, Posting, Told
from lrsweep.records import Crew, Record, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.study import ResolvedStudy
from lrsweep.workloads.fetching import alone

MEASURED = "engines.json"


class Station:
    """Its methods are called over the network, in the order of calling; what they raise ends the station's use."""

    def __init__(self, posting: Posting) -> None:
        self._posting = posting
        self._folder = folder_of_node()
        self._said: list[str] = []
        self._local: LocalExecutor | None = None

    @property
    def _engines(self) -> LocalExecutor:
        assert self._local is not None, "a station is greeted first"
        return self._local

    def hello(self) -> Hello:
        """Ends what it had, and begins: its engines start and load what the workload needs."""
        posting = self._posting
        if self._local is not None:
            self._local.close()
        sees_folder = Path(posting.folder).is_dir()
        if sees_folder:
            os.chdir(posting.folder)
        limit_cores(posting.cores)
        self._said = []
        self._local = LocalExecutor(
            posting.device,
            data=None if posting.data is None else Path(posting.data),
            scratch=self._folder / "scratch",
            engines=self._folder / MEASURED,
            say=self._said.append,
        )
        self._local.start(posting.workload)
        return Hello(
            node=platform.node(),
            node_id=ray.get_runtime_context().get_node_id(),
            pid=os.getpid(),
            lrsweep=__version__,
            python=platform.python_version(),
            torch=version_of("torch") or "none",
            sees_folder=sees_folder,
            sees_checkpoints=self._sees_checkpoints,
            capacity=self._capacity,
        )

    def describe(self, workload: WorkloadSpec) -> WorkloadFacts:
        return self._engines.describe(workload)

    def measure(self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float) -> list[Measured]:
        return self._engines.measure(crew, plans, seconds)

    def fit(self, asked: EngineOption, study: ResolvedStudy, rest: Rest) -> Fitted:
        """Each node measures for itself, one station at a time: the others on it then read what it has found."""
        if study.workload.name != COMMAND:
            facts = self._engines.describe(study.workload)
            if (facts.version, facts.data_hash) != (study.facts.version, study.facts.data_hash):
                return Fitted(
                    self._told(()),
                    f"node {platform.node()} has other data for {study.workload.name!r} "
                    f"({facts.data_hash[:12]} in the place of {study.facts.data_hash[:12]}), so nothing is trained "
                    "there. Give all nodes the same folder or URL by LRSWEEP_DATA.",
                )
        with alone(self._folder / f"{MEASURED}.lock"):
            self._engines.fit(asked, study, rest)
        return Fitted(self._told(()))

    def exchange(self, asked: Asked) -> bytes:
        """A ``Told``. As one pickle: arrays of Ray's own store could not be written, and would hold its memory."""
        engines = self._engines
        for plan in asked.plans:
            engines.submit(plan if self._sees_checkpoints else replace(plan, checkpoint_url=None))
        for training_id in asked.stops:
            engines.stop(training_id)
        return pickle.dumps(self._told(engines.poll(asked.seconds if engines.in_flight else 0.0)))

    def drain(self) -> bytes:
        """A ``Told`` with all that was said until the engines had given way."""
        return pickle.dumps(self._told(self._engines.drain(lambda: None)))

    def close(self) -> None:
        if self._local is not None:
            self._local.close()

    @property
    def _capacity(self) -> int:
        return self._engines.free + len(self._engines.in_flight)

    @property
    def _sees_checkpoints(self) -> bool:
        """Else what it would keep there nobody else could read or remove."""
        mark = self._posting.checkpoints
        return mark is None or Path(mark).exists()

    def _told(self, messages: Sequence[Record | Lost]) -> Told:
        said, self._said[:] = tuple(self._said), ()
        engines = self._engines
        return Told(messages, said, self._capacity, engines.busy, engines.arrangement, tuple(engines.pids))
