"""Engines as fast as a script says, for tests of how one is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lrsweep.executors.choosing import Choice, Chooser, Rest
from lrsweep.executors.chosen import crew_for, measuring_plans
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.messages import Measured
from lrsweep.records import Crew, TrainingPlan
from tests.sweeps import a_study

GIB = 2**30
LONG = Rest(steps=1e6, at_once=64)
"""A quarter of an hour at 1,000 updates a second."""

DIED = "the engine's process was killed by SIGKILL"
"""A reason that no process has answered."""
ONE = Crew()
AUTO = EngineOption()
FUSED = EngineOption.parsed("fused")


@dataclass
class Scripted:
    """A test double of ``LocalExecutor.measure``: speeds by arrangement, and a reason where there is none."""

    speeds: dict[Crew, float | str]
    bytes_per_slot: int = 0
    free_bytes: int = 0
    device: str = "cpu"
    noise: Callable[[Crew, int], float] = lambda _crew, _time: 1.0
    """a factor of the speed at the n-th time that an arrangement is measured"""
    dies_at: int | None = None
    """the time, counted from 0, at which each fused arrangement dies"""
    calls: list[Crew] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    plans: Sequence[TrainingPlan] = ()

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None]
    ) -> list[Measured]:
        tick()
        time = self.calls.count(crew)
        self.calls.append(crew)
        self.seconds.append(seconds)
        self.plans = plans
        speed = self.speeds.get(crew, "it was not to be measured")
        if crew.slots is not None and time == self.dies_at:
            speed = DIED
        held = GIB + (crew.slots or 0) * self.bytes_per_slot
        device = "" if speed == DIED else self.device
        of_one = [replace(_FAILED, peak_bytes=held, device=device, free_bytes=self.free_bytes)]
        if isinstance(speed, str):
            is_lasting = speed != DIED and not speed.startswith("out of memory")
            return [replace(each, reason=speed, is_lasting=is_lasting) for each in of_one * crew.processes]
        updates = round(1000 * speed * self.noise(crew, time) / crew.processes)
        return [replace(each, updates=updates, seconds=1000.0) for each in of_one * crew.processes]

    @property
    def tried(self) -> list[Crew]:
        """Each arrangement once, in order."""
        return list(dict.fromkeys(self.calls))


_FAILED = Measured(0, 0.0, 0)


def fused(*speeds: float | str) -> dict[Crew, float | str]:
    """With 2, 4, 8, … slots in one process."""
    return {Crew(1, 2 ** (place + 1)): speed for place, speed in enumerate(speeds)}


def chosen(measurer: Scripted, rest: Rest = LONG, *, cores: int = 1, fused_alone: bool = False) -> Choice:
    chooser = Chooser(measurer, measuring_plans(a_study(), 4), rest, cores=cores)
    chooser.first()
    return chooser.choose(fused_alone=fused_alone)


def asked(measurer: Scripted, file: Path, *, option: EngineOption = AUTO, rest: Rest = LONG, **study: Any) -> list[str]:
    """What is said; the last line is the arrangement."""
    said: list[str] = []
    crew = crew_for(option, a_study(**study), rest, measurer, file, say=said.append)
    return [*said, repr(crew)]


def fast(**changes: Any) -> Scripted:
    speeds: dict[Crew, float | str] = {Crew(number): 1000.0 for number in range(1, 65)}
    return Scripted({**speeds, **fused(2000.0, 4000.0, 4100.0)}, **changes)
