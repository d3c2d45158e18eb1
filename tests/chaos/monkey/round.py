"""One round: a sweep from its first trial to its last final, with strikes between them, and then every check."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.monkey import study
from tests.chaos.monkey.checks import Checked, checked
from tests.chaos.monkey.cluster import Cluster
from tests.chaos.monkey.faults import NotHere, NotThere, strike
from tests.chaos.monkey.plan import Fault, Kind, Strike, strikes
from tests.chaos.monkey.servers import Disk, Mlflow, Postgres
from tests.chaos.monkey.world import Unexpected, World, engine_environ

PATIENCE = 60.0
"""How long a fault waits for what it wants, while a driver starts on a busy machine; one that does not find it is left
out."""
STUCK_SECONDS = 300.0
"""Nothing has ended, and no fault has come: the sweep will not end."""
TURN_SECONDS = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    seed: int
    number: int
    trials: int
    executor: str = "local"
    most: int | None = None
    """strikes"""
    only: Sequence[Kind] = ()
    kind: str = ""
    """of study; by the round's number unless it is named"""

    @property
    def study(self) -> str:
        return self.kind or study.KINDS[self.number % len(study.KINDS)]


@dataclass(frozen=True)
class Told:
    """What became of a round."""

    asked: Asked
    strikes: int
    faults: Sequence[Kind]
    exits: Sequence[int]
    seconds: float
    """until the sweep had ended; the checks take more"""
    checked: Checked | None
    error: str | None
    disks: bool
    """whether small disks could be mounted"""


@dataclass
class _Due:
    at: float
    what: Callable[[], None]


@dataclass
class Round:
    asked: Asked
    folder: Path
    is_over: Callable[[], bool]
    """whether no more strikes are to come"""
    say: Say
    _plan: Iterator[Strike] = field(init=False)
    _due: list[_Due] = field(default_factory=list)
    _waiting: list[tuple[float, Fault]] = field(default_factory=list)
    """faults of the strike that is on, by their moments"""
    _next: Strike | None = None
    _well_at: int = 0
    """trainings that had ended when all was well again"""
    _struck: int = 0
    _done: list[Kind] = field(default_factory=list)
    _moved_at: float = 0.0

    def run(self) -> Told:
        began = time.monotonic()
        driven_at: float | None = None
        self._plan = strikes(self.asked.seed, self.asked.number, self.asked.executor, self.asked.only)
        if self.asked.most is not None:
            self._plan = itertools.islice(self._plan, self.asked.most)
        self._next = next(self._plan, None)
        world, error, found = self._world(), None, None
        try:
            _ready(world)
            self._drive(world)
            driven_at = time.monotonic()
            found = checked(world, self.asked.study, seed=self.asked.seed, trials=self.asked.trials)
        except (AssertionError, TimeoutError) as broken:
            error = str(broken) or "a check failed"
            self.say(error)
        finally:
            world.close()
        seconds, has_disks = (driven_at or time.monotonic()) - began, world.home.is_small
        return Told(self.asked, self._struck, self._done, world.exits, seconds, found, error, has_disks)

    def _world(self) -> World:
        """Of which nothing runs yet."""
        study.write(self.folder, self.asked.study, seed=self.asked.seed, trials=self.asked.trials)
        home, of_postgres, of_mlflow = (
            Disk(self.folder / name, size) for name, size in (("home", 48), ("postgres", 400), ("mlflow", 200))
        )
        postgres = Postgres(of_postgres.folder, self.folder / "postgres.log")
        cluster = Cluster(self.folder / "ray", engine_environ(self.folder)) if self.asked.executor == "ray" else None
        return World(self.folder, home, of_postgres, of_mlflow, postgres, Mlflow(of_mlflow.folder), cluster)

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _drive(self, world: World) -> None:
        self._moved_at = time.monotonic()
        seen, looked_at = 0, 0.0
        while True:
            self._do_what_is_due()
            world.keep_up()
            if time.monotonic() - looked_at > 4 * TURN_SECONDS:
                looked_at = time.monotonic()
                world.look()
            if world.ended != seen:
                seen, self._moved_at = world.ended, time.monotonic()
            if world.is_finished and not self._due:
                return
            self._strike(world)
            if time.monotonic() - self._moved_at > STUCK_SECONDS:
                said = world.driver.said[-4000:] if world.driver else "no driver runs"
                raise Unexpected(f"nothing has ended for {STUCK_SECONDS:.0f} s:\n{said}")
            time.sleep(TURN_SECONDS)

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        for due in [each for each in self._due if each.at <= now]:
            self._due.remove(due)
            due.what()
            self._moved_at = now

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._due.append(_Due(time.monotonic() + seconds, what))

    def _strike(self, world: World) -> None:
        now = time.monotonic()
        if not self._waiting and not self._due and self._next is not None and not self.is_over():
            if not world.is_well:
                self._well_at = world.ended
            elif world.ended - self._well_at >= self._next.wait:
                self._waiting = [(now + fault.delay, fault) for fault in self._next.faults]
                self._struck += 1
                self._next = next(self._plan, None)
        for moment, fault in [each for each in self._waiting if each[0] <= now]:
            if self._try(world, fault, moment):
                self._waiting.remove((moment, fault))
                self._well_at = world.ended

    def _try(self, world: World, fault: Fault, moment: float) -> bool:
        """Whether it is done with, one way or the other."""
        try:
            strike(world, fault, self._later)
        except NotHere as reason:
            self.say(f"  strike {self._struck}: {fault} is left out: {reason}")
            return True
        except NotThere:
            is_over = world.is_finished or time.monotonic() - moment > PATIENCE
            if is_over:
                self.say(f"  strike {self._struck}: {fault} did not find what it wants")
            return is_over
        self._moved_at = time.monotonic()
        self._done.append(fault.kind)
        self.say(f"  strike {self._struck}, {world.ended} trainings ended: {fault}")
        return True


def _ready(world: World) -> None:
    world.folder.chmod(0o755)
    for disk in world.disks:
        disk.mount()
    world.postgres.make()
    world.postgres.create(study.NAME)
    world.mlflow.start()
    if world.cluster is not None:
        world.cluster.start()


def counted(exits: Sequence[int]) -> dict[str, int]:
    """Drivers by their exit code."""
    return {str(code): times for code, times in sorted(Counter(exits).items())}
