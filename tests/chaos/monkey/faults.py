"""The faults themselves: each does its work on a world, or says that what it wants is not there yet."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from lrsweep.executors.placing import DEATHS_THAT_FAIL
from lrsweep.sweep.owner import LEASE_SECONDS
from tests.chaos.monkey.plan import Fault, Kind
from tests.chaos.monkey.processes import command, family, known, send
from tests.chaos.monkey.servers import Disk
from tests.chaos.monkey.study import NAME
from tests.chaos.monkey.world import World

Each = TypeVar("Each")

PAST_THE_LEASE = LEASE_SECONDS + 3.0

Later = Callable[[float, Callable[[], None]], None]
"""Does something after so many seconds; until then the strike is not over."""


class NotThere(Exception):
    """No process, no file: it is tried again for a while."""


class NotHere(Exception):
    """This machine, this user or this driver is not to have the fault; the text says why."""


def strike(world: World, fault: Fault, later: Later) -> None:
    """Raises NotThere or NotHere."""
    FAULTS[fault.kind](world, fault, later)


# ── the driver and its engines ───────────────────────────────────────────────────────────────────────────────────────
def _kill_driver(world: World, fault: Fault, later: Later) -> None:
    driver = world.driver
    if driver is None:
        raise NotThere
    driver.is_killed = True
    send([driver.pid], signal.SIGKILL)
    _away(world, "driver", fault, later)


def _stop_driver(world: World, fault: Fault, later: Later) -> None:
    if world.driver is None:
        raise NotThere
    _stop([world.driver.pid], fault, later)


def _sleep(world: World, fault: Fault, later: Later) -> None:
    """Its lease is that of a start until it trains, and four times as long."""
    driver = world.driver
    if driver is None or world.ended == driver.begun_at or world.sleepers:
        raise NotThere
    send([driver.pid], signal.SIGSTOP)
    driver.is_asleep = True
    world.sleepers.append(driver)
    world.driver = None
    world.away.add("driver")
    later(PAST_THE_LEASE, lambda: world.away.discard("driver"))
    later(PAST_THE_LEASE + 2 * fault.seconds, lambda: send([driver.pid], signal.SIGCONT))


def _kill_engine(world: World, fault: Fault, later: Later) -> None:
    del later
    _spare(world)
    send([_one(world.engines(), fault)], signal.SIGKILL)
    _count(world)


def _stop_engine(world: World, fault: Fault, later: Later) -> None:
    _stop([_one(world.engines(), fault)], fault, later)


def _tear(world: World, fault: Fault, later: Later) -> None:
    """The newest of a training: half of it is lost, or its middle is zeros. Then all engines are killed."""
    del later
    _spare(world)
    alive = world.engines()
    send(alive, signal.SIGSTOP)
    try:
        folders = sorted(each for each in _checkpoints(world).glob("*") if _newest(each) is not None)
        path = _newest(_one(folders, fault))
        assert path is not None
        size = path.stat().st_size
        with path.open("r+b") as file:
            if fault.which % 2:
                file.truncate(size // 2)
            else:
                file.seek(size // 2)
                file.write(bytes(min(512, size // 4)))
    except NotThere:
        send(alive, signal.SIGCONT)
        raise
    send(alive, signal.SIGKILL)
    _count(world)


def _spare(world: World) -> None:
    """The last death that one training may meet fails it, as it is meant to."""
    if world.driver is not None and world.driver.engine_deaths + 1 >= DEATHS_THAT_FAIL:
        raise NotHere(f"engines of this driver were killed {DEATHS_THAT_FAIL - 1} times, perhaps in the same training")


def _count(world: World) -> None:
    if world.driver is not None:
        world.driver.engine_deaths += 1


def _checkpoints(world: World) -> Path:
    return world.home.folder / "home" / "checkpoints"


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("step-*.ckpt"), key=lambda path: int(path.name.split("-")[1]), default=None)


# ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _kill_postgres(world: World, fault: Fault, later: Later) -> None:
    if world.postgres.pid is None:
        raise NotThere
    world.postgres.kill()
    _away(world, "postgres", fault, later)


def _kill_backend(world: World, fault: Fault, later: Later) -> None:
    del later
    send([_one([pid for pid in world.postgres.backends() if f" {NAME} " in command(pid)], fault)], signal.SIGKILL)


def _stop_postgres(world: World, fault: Fault, later: Later) -> None:
    pid = world.postgres.pid
    if pid is None:
        raise NotThere
    _stop(family(pid), fault, later)
    _away(world, "postgres", fault, later)


def _kill_mlflow(world: World, fault: Fault, later: Later) -> None:
    if world.mlflow.pid is None:
        raise NotThere
    world.mlflow.kill()
    _away(world, "mlflow", fault, later)


def _stop_mlflow(world: World, fault: Fault, later: Later) -> None:
    pids = world.mlflow.family()
    if not pids:
        raise NotThere
    _stop(pids, fault, later)


# ── a cluster ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _kill_actor(world: World, fault: Fault, later: Later) -> None:
    del later
    send([_one([] if world.cluster is None else world.cluster.stations(), fault)], signal.SIGKILL)


def _kill_raylet(world: World, fault: Fault, later: Later) -> None:
    del later
    send([_one([] if world.cluster is None else world.cluster.raylets(), fault)], signal.SIGKILL)


def _stop_raylet(world: World, fault: Fault, later: Later) -> None:
    _stop([_one([] if world.cluster is None else world.cluster.raylets(), fault)], fault, later)


# ── disks ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _fill(disk: Callable[[World], Disk]) -> Callable[[World, Fault, Later], None]:
    def fill(world: World, fault: Fault, later: Later) -> None:
        if not disk(world).is_small:
            raise NotHere("this user may not mount a small disk")
        disk(world).fill()
        later(fault.seconds, disk(world).free)

    return fill


FAULTS: Mapping[Kind, Callable[[World, Fault, Later], None]] = {
    Kind.DRIVER_KILLED: _kill_driver,
    Kind.DRIVER_STOPPED: _stop_driver,
    Kind.DRIVER_SLEEPS: _sleep,
    Kind.ENGINE_KILLED: _kill_engine,
    Kind.ENGINE_STOPPED: _stop_engine,
    Kind.CHECKPOINT_TORN: _tear,
    Kind.POSTGRES_KILLED: _kill_postgres,
    Kind.POSTGRES_BACKEND_KILLED: _kill_backend,
    Kind.POSTGRES_STOPPED: _stop_postgres,
    Kind.POSTGRES_FULL: _fill(lambda world: world.postgres_disk),
    Kind.MLFLOW_KILLED: _kill_mlflow,
    Kind.MLFLOW_STOPPED: _stop_mlflow,
    Kind.MLFLOW_FULL: _fill(lambda world: world.mlflow_disk),
    Kind.HOME_FULL: _fill(lambda world: world.home),
    Kind.ACTOR_KILLED: _kill_actor,
    Kind.RAYLET_KILLED: _kill_raylet,
    Kind.RAYLET_STOPPED: _stop_raylet,
}


# ── what they share ──────────────────────────────────────────────────────────────────────────────────────────────────
def _one(of: list[Each], fault: Fault) -> Each:
    if not of:
        raise NotThere
    return of[fault.which % len(of)]


def _away(world: World, what: str, fault: Fault, later: Later) -> None:
    world.away.add(what)
    later(fault.seconds, lambda: world.away.discard(what))


def _stop(pids: list[int], fault: Fault, later: Later) -> None:
    """Those that still live then go on, and no others that have their numbers."""
    stopped = [each for pid in pids if (each := known(pid)) is not None]
    send(pids, signal.SIGSTOP)
    later(fault.seconds, lambda: send([each.pid for each in stopped if each.lives], signal.SIGCONT))
