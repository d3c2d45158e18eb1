"""Real processes that train when they are told to: every window of an arrangement starts in all of them together.

    parent  Window ──> worker: loads, traces, compiles, warms up ──> Ready | Absent
            Go ──────> worker: the clock runs                     ──> Counted | Absent

A worker keeps what it has made for an arrangement, so that a later round finds it warm.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import torch

from lrsweep.engines.device import open_device
from lrsweep.engines.memory import shortage
from tests.benchmarks.engines.arrangements import Arrangement, Way
from tests.benchmarks.engines.fused import Fused
from tests.benchmarks.engines.lockstep import Branches, Lockstep, Rows
from tests.benchmarks.engines.loops import Counted, OneByOne, Plans, Trainer, training_by
from tests.benchmarks.engines.problem import PROBLEMS, Opened
from tests.benchmarks.engines.rungs import CannotRun

SEEDS_PER_PROCESS = 1_000_000


@dataclass(frozen=True)
class Stage:
    """What all arrangements train, and where."""

    problem: str
    device: str
    recipes: tuple[str, ...]
    synthetic: bool

    def opened(self) -> Opened:
        return PROBLEMS[self.problem].opened(open_device(self.device), synthetic=self.synthetic)


@dataclass(frozen=True)
class Window:
    arrangement: Arrangement
    horizon: int


@dataclass(frozen=True)
class Go:
    """``seconds`` from now on; None: another process cannot, so nothing is to be done."""

    seconds: float | None


@dataclass(frozen=True)
class Ready:
    pass


@dataclass(frozen=True)
class Absent:
    """Why this machine cannot train so."""

    reason: str


class Workers:
    """As many processes as the largest arrangement so far has asked for."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(10)
            process.kill()
        self._pipes, self._processes = [], []

    def count(self, arrangement: Arrangement, horizon: int, seconds: float) -> list[Counted] | Absent:
        """What each process of the arrangement has done."""
        try:
            return self._count(arrangement, horizon, seconds)
        except (EOFError, OSError):
            self._end()
            return Absent("a process died: memory was short")

    def _count(self, arrangement: Arrangement, horizon: int, seconds: float) -> list[Counted] | Absent:
        while len(self._pipes) < arrangement.processes:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs, self._stage, len(self._pipes)), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        pipes = self._pipes[: arrangement.processes]
        ready = _ask(pipes, Window(arrangement, horizon))
        absent = next((each for each in ready if isinstance(each, Absent)), None)
        answers = _ask(
            [pipe for pipe, each in zip(pipes, ready, strict=True) if isinstance(each, Ready)],
            Go(None if absent else seconds),
        )
        absent = absent or next((each for each in answers if isinstance(each, Absent)), None)
        return absent or [each for each in answers if isinstance(each, Counted)]


def _ask(pipes: Sequence[Connection], message: Window | Go) -> list[Ready | Counted | Absent]:
    for pipe in pipes:
        pipe.send(message)
    return [pipe.recv() for pipe in pipes]


def _work(pipe: Connection, stage: Stage, place: int) -> None:
    warnings.simplefilter("ignore")  # of operations without a deterministic form: the ladder has told of them
    opened = stage.opened()
    made: dict[Arrangement, Trainer] = {}
    while True:
        try:
            window: Window = pipe.recv()
        except EOFError:
            return
        try:
            torch.set_num_threads(window.arrangement.threads)  # code that is compiled keeps the number
            if opened.device.type == "cuda":
                torch.cuda.empty_cache()
            if window.arrangement not in made:
                made[window.arrangement] = _trainer(window.arrangement, opened, stage, place)
            made[window.arrangement].begin(window.horizon)
            pipe.send(Ready())
            go: Go = pipe.recv()
            pipe.send(Ready() if go.seconds is None else made[window.arrangement].run(go.seconds))
        except Exception as error:
            made.pop(window.arrangement, None)
            pipe.send(Absent(_reason(error, opened.device)))


def _trainer(arrangement: Arrangement, opened: Opened, stage: Stage, place: int) -> Trainer:
    first_seed = 1 + place * SEEDS_PER_PROCESS
    plans = Plans(opened, stage.recipes, first_seed)
    if arrangement.slots is None:
        return OneByOne(training_by(arrangement.way, opened), plans, opened.device)
    lockstep = partial(Lockstep, opened, stage.recipes, arrangement.slots, first_seed)
    match arrangement.way:
        case Way.BRANCHES:
            return lockstep(Branches)
        case Way.CAPTURED:
            return lockstep(Rows)
        case _:
            return Fused(opened, plans, arrangement.slots, compiled=arrangement.way is Way.COMPILED)


def _reason(error: Exception, device: torch.device) -> str:
    if isinstance(error, CannotRun):
        return str(error)
    lines = (shortage(error, device) or f"{type(error).__name__}: {error}").strip().splitlines()
    return lines[0] if lines else type(error).__name__
