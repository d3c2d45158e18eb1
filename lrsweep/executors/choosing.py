"""Which engine trains a sweep, by measurement: how many processes, and how many trainings at once in each of them.

A burst is a fraction of a second of training in one arrangement (a ``Crew``), by plans like the sweep's own::

    sequential in one process ─> is the rest of the sweep long enough to be worth measuring?
      (if not, but worth a look: fused with 8 slots, taken where it is half as fast again)
      ─> sequential in 2, 4, … processes, fused with 2, 4, 8, … slots, and the best of these in 2, 4, … processes;
         never with more slots than the search fills and keeps a few trainings waiting behind
      ─> fused in turn with the best sequential one, ten times, and with one process: fused only where the whole
         intervals of both ratios are above 1
      ─> else sequential in one process or in several, in the same way

An arrangement that is not clearly faster than a simpler one is not taken: it costs memory, and a search that has more
trainings in flight knows less when it asks. What fails is a line of the table and no error: a model that cannot be
fused, or memory that is too small.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lrsweep.executors.engine_option import described
from lrsweep.executors.messages import Measured
from lrsweep.executors.process import capacity
from lrsweep.records import Crew, TrainingPlan

WORTH_MEASURING = 60.0
"""Seconds: below it measuring costs about as much as the best engine can save."""
WORTH_A_LOOK = 15.0
"""Seconds: between the two one size of the fused engine is tried, which takes 1.3 for the digits MLP."""
SLOTS_AT_A_GLANCE = 8
LARGE_GAIN = 1.5
"""What a look has to show: two bursts are not ten alternating repeats."""
FIRST_BURST = 0.3
SHORTEST_BURST, LONGEST_BURST = 0.1, 0.25
PART_OF_THE_REST = 600
"""Between the two a burst is this part of what is left of the sweep."""
BURSTS_OF_EACH = 2
"""The faster one counts: what else the machine does for a moment makes nothing faster."""
GAIN = 1.05
"""By how much a larger arrangement has to be faster than the best so far."""
MISSES = 2
"""So many sizes in a row that are not end the growth of the slots: one alone may have had a bad moment."""
MEMORY_SHARE = 0.5
"""Of what is free: the rest is for the driver, and for what a longer training needs more."""
GPU_PROCESSES = 4
"""More only take turns on one GPU, and each has a context of its own there."""
REPEATS = 10
T_95 = 2.262
"""Student's t at 97.5 %, of as many repeats less one."""


class Measurer(Protocol):
    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None]
    ) -> list[Measured]:
        """One answer per process of the crew, which all measure at the same time."""


@dataclass(frozen=True)
class Rest:
    """What is left of a sweep, as far as it decides how to train it."""

    steps: float
    """updates of trainings, as far as one can tell before"""
    at_once: int
    """the most trainings that are in flight"""
    seconds: float = math.inf
    """until the deadline"""


@dataclass(frozen=True)
class Burst:
    """One arrangement, measured."""

    crew: Crew
    speed: float
    """updates of trainings per second, of all processes together; 0 where it failed"""
    held_bytes: int = 0
    """by one process, at most"""
    reason: str | None = None
    """why it failed"""


@dataclass(frozen=True)
class Ratio:
    """How many times as fast the first is as the second: the geometric mean of the repeats, and its 95 % interval."""

    first: Crew
    second: Crew
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, first: Crew, second: Crew, ratios: Sequence[float]) -> Ratio:
        """From the ratio of each of the repeats.

        >>> ratio = Ratio.of(Crew(1, 8), Crew(), [1.0, 4.0] * 5)
        >>> round(ratio.value, 2), round(ratio.low, 2), round(ratio.high, 2)
        (2.0, 1.19, 3.37)
        """
        assert len(ratios) == REPEATS
        logs = np.log(ratios)
        half = T_95 * float(logs.std(ddof=1)) / math.sqrt(REPEATS)
        middle = float(logs.mean())
        return cls(first, second, math.exp(middle), math.exp(middle - half), math.exp(middle + half))

    @property
    def is_clear(self) -> bool:
        return self.low > 1.0


@dataclass(frozen=True)
class Choice:
    """What was measured, in that order, and what follows from it."""

    crew: Crew
    bursts: tuple[Burst, ...]
    ratios: tuple[Ratio, ...]
    notes: tuple[str, ...]
    """what was not tried, and why"""
    seconds: float
    """that the measurement took"""
    is_lasting: bool = True
    """whether another time is likely to show the same: no memory was short, and no process ended"""


class Chooser:
    """Measures for one sweep; ``first`` comes before ``choose``."""

    def __init__(
        self,
        measurer: Measurer,
        plans: Sequence[TrainingPlan],
        rest: Rest,
        *,
        cores: int,
        gpu_processes: int = GPU_PROCESSES,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._measurer = measurer
        self._plans = tuple(plans)
        self._rest = rest
        self._cores = cores
        self._gpu_processes = gpu_processes
        self._tick = tick
        self._bursts: list[Burst] = []
        self._ratios: list[Ratio] = []
        self._notes: list[str] = []
        self._began = time.monotonic()
        self._seconds = FIRST_BURST
        self._device = ""
        self._free_bytes = 0
        self._is_lasting = True

    @property
    def device(self) -> str:
        """``cpu``, or the GPU's own name; known after the first burst."""
        return self._device

    def first(self) -> Burst:
        """The sequential engine in one process, which everything is compared with."""
        burst = self._measured(Crew())
        if burst.speed:
            self._seconds = min(max(self._seconds_left / PART_OF_THE_REST, SHORTEST_BURST), LONGEST_BURST)
        return burst

    @property
    def is_worth_it(self) -> bool:
        """Whether what is left takes long enough."""
        return self._seconds_left >= WORTH_MEASURING

    def at_a_glance(self) -> tuple[Crew, float]:
        """For a rest that is too short to be measured: one crew, and how many times as fast it is as one process."""
        [first] = self._bursts
        slots = min(SLOTS_AT_A_GLANCE, self._most_slots(1))
        if self._seconds_left < WORTH_A_LOOK or slots < SLOTS_AT_A_GLANCE // 2:
            return Crew(), 1.0
        crew = Crew(1, slots)
        gain = self._measured(crew).speed / first.speed
        return (crew, gain) if gain >= LARGE_GAIN else (Crew(), 1.0)

    @property
    def _seconds_left(self) -> float:
        """As one process would train; 0 where it could not be measured."""
        [first, *_] = self._bursts
        return min(self._rest.steps / first.speed, self._rest.seconds) if first.speed else 0.0

    def choose(self, *, fused_alone: bool = False) -> Choice:
        """``fused_alone``: the fused engine wherever the model can be fused, and how much of it is to be found out."""
        crew = self._fused_alone() if fused_alone else self._of_both()
        seconds = time.monotonic() - self._began
        return Choice(crew, tuple(self._bursts), tuple(self._ratios), tuple(self._notes), seconds, self._is_lasting)

    def _fused_alone(self) -> Crew:
        fused = self._best_fused()
        return fused.crew if fused is not None else Crew()

    def _of_both(self) -> Crew:
        [one, *_] = self._bursts
        sequential = self._in_more_processes(one)
        fused = self._best_fused()
        if fused and fused.speed > sequential.speed:
            # two lucky bursts may have shown several processes where one is faster
            rivals = dict.fromkeys((sequential.crew, one.crew))
            if all(self._is_faster(fused.crew, rival) for rival in rivals):
                return fused.crew
        if sequential is not one and self._is_faster(sequential.crew, one.crew):
            return sequential.crew
        return one.crew

    def _best_fused(self) -> Burst | None:
        """None where nothing could be measured."""
        best: Burst | None = None
        before = self._bursts[0]
        slots, most = 2, self._most_slots(1)
        missed = 0
        while slots <= most:
            burst = self._measured(Crew(1, slots))
            best, missed = (burst, 0) if _gains(burst, best) else (best, missed + 1)
            if not burst.speed or missed == MISSES:
                break
            following = min(2 * slots, most)
            of_one = max(0, burst.held_bytes - before.held_bytes) / (slots - (before.crew.slots or 1))
            wanted_bytes = burst.held_bytes + of_one * (following - slots)
            if following == slots or not self._fits(Crew(1, following), wanted_bytes):
                break
            before, slots = burst, following
        return None if best is None else self._in_more_processes(best)

    def _in_more_processes(self, one: Burst) -> Burst:
        """The best of it in 1, 2, 4, … processes, with as many slots in each as the search fills."""
        best = one
        for processes in self._process_counts():
            slots = one.crew.slots and min(one.crew.slots, self._most_slots(processes))
            if slots is not None and slots < 2:  # the sequential engine with more work
                break
            crew = Crew(processes, slots)
            if not self._fits(crew, one.held_bytes * processes):
                break
            burst = self._measured(crew)
            if not _gains(burst, best):
                break
            best = burst
        return best

    def _most_slots(self, processes: int) -> int:
        """In each of so many processes: a slot that ends a training finds the next one waiting there."""
        share = self._rest.at_once // processes
        return max((slots for slots in range(1, share) if capacity(slots) <= share), default=0)

    def _process_counts(self) -> Iterator[int]:
        most = min(self._cores if self._device == "cpu" else self._gpu_processes, self._rest.at_once)
        processes = 2
        while processes < most:
            yield processes
            processes *= 2
        if most > 1:
            yield most

    def _fits(self, crew: Crew, wanted_bytes: float) -> bool:
        """Whether it may be tried; where memory forbids it, this is noted."""
        if not self._free_bytes or wanted_bytes <= MEMORY_SHARE * self._free_bytes:
            return True
        self._is_lasting = False
        self._notes.append(
            f"{described(crew)} would need about {wanted_bytes / 2**30:.1f} GiB of memory, and "
            f"{self._free_bytes / 2**30:.1f} GiB are free"
        )
        return False

    def _is_faster(self, crew: Crew, than: Crew) -> bool:
        """Ten times both, in alternating order; a failure is no proof."""
        ratios = []
        for repeat in range(REPEATS):
            in_order = (crew, than) if repeat % 2 else (than, crew)
            speeds = {each: _speed(self._burst(each, self._seconds)) for each in in_order}
            if not all(speeds.values()):
                return False
            ratios.append(speeds[crew] / speeds[than])
        ratio = Ratio.of(crew, than, ratios)
        self._ratios.append(ratio)
        return ratio.is_clear

    def _measured(self, crew: Crew) -> Burst:
        speeds: list[float] = []
        while len(speeds) < BURSTS_OF_EACH and all(speeds):
            answers = self._burst(crew, self._seconds)
            speeds.append(_speed(answers))
        speed = max(speeds) if all(speeds) else 0.0
        burst = Burst(crew, speed, max(each.peak_bytes for each in answers), _reason(answers))
        if crew == Crew():
            [answer] = answers
            self._device, self._free_bytes = answer.device, answer.free_bytes
        self._bursts.append(burst)
        return burst

    def _burst(self, crew: Crew, seconds: float) -> list[Measured]:
        answers = self._measurer.measure(crew, self._plans, seconds, self._tick)
        self._is_lasting &= all(answer.is_lasting for answer in answers)
        return answers


def _gains(burst: Burst, best: Burst | None) -> bool:
    return burst.speed > 0 and (best is None or burst.speed >= GAIN * best.speed)


def _reason(answers: Sequence[Measured]) -> str | None:
    return next((each.reason for each in answers if each.reason is not None), None)


def _speed(answers: Sequence[Measured]) -> float:
    """Of all processes together; 0 where one of them failed."""
    if _reason(answers) is not None or not all(each.updates for each in answers):
        return 0.0
    return sum(each.updates / each.seconds for each in answers)
