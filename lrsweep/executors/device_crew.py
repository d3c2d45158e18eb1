"""The engine's processes of one device: as many as its crew has, and for a while those that are measured.

A device may be bad: each process that is started there dies, or loses its GPU, whatever it is to train. It is in
trouble each time that this happens to trainings which it has not happened to there before; a training that ends there
proves that it works. One that kills its process wherever it is trained is no trouble of a device.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from multiprocessing.connection import wait

from lrsweep.errors import TryAgain
from lrsweep.executors.devices import Device
from lrsweep.executors.messages import CannotDescribe, Describe, Measure, Measured
from lrsweep.executors.process import EngineProcess, Filled, Launch
from lrsweep.records import Crew, TrainingPlan, WorkloadFacts

TICK_SECONDS = 0.1
TROUBLES_THAT_END = 3
"""In a row; as often as a training may end its process."""


class DeviceCrew:
    def __init__(
        self,
        device: Device,
        number: int,
        launch: Launch,
        say: Callable[[str], None],
        stall_seconds: Callable[[], float],
    ) -> None:
        """``number``: of the device, which no other has; ``stall_seconds``: how long a process may be silent."""
        self.device = device
        self.number = number
        self._launch = replace(launch, device=device.name)
        self._say = say
        self._stall_seconds = stall_seconds
        self.crew = Crew()
        self.processes: list[EngineProcess] = []
        """those beyond the crew are there for ``measure`` alone"""
        self._troubles: list[frozenset[str]] = []
        """the trainings of each, since one has ended here"""

    @property
    def used(self) -> Sequence[EngineProcess]:
        return self.processes[: self.crew.processes]

    def use(self, crew: Crew) -> None:
        """Nothing may be in flight."""
        self.crew = crew
        self._grow(crew.processes)
        for process in self.processes[crew.processes :]:
            process.kill()
        del self.processes[crew.processes :]
        for process in self.processes:
            process.slots = crew.slots
            process.filled = Filled()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.in_flight.clear()

    def _grow(self, count: int) -> None:
        more = count - len(self.processes)
        self.processes += [EngineProcess(self._launch, self._say, self.number) for _ in range(more)]

    # ── whether it works ─────────────────────────────────────────────────────────────────────────────────────────────

    def is_trouble(self, trainings: Sequence[str]) -> bool:
        """Counts that a process with these trainings has ended; False where one of them has met that here before."""
        if not trainings or any(trouble & set(trainings) for trouble in self._troubles):
            return False
        self._troubles.append(frozenset(trainings))
        return True

    def works(self) -> None:
        """A training has ended."""
        self._troubles.clear()

    @property
    def is_bad(self) -> bool:
        return len(self._troubles) >= TROUBLES_THAT_END

    # ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, question: Describe, tick: Callable[[], None]) -> WorkloadFacts | CannotDescribe:
        """Of the first process; ``tick`` is called meanwhile, and may raise.

        Raises EOFError or OSError where the process has ended, TryAgain where it says nothing.
        """
        process = self.processes[0]
        process.send(question)
        process.heard_at = time.monotonic()
        while True:
            while not ready([process], TICK_SECONDS):
                tick()
                if process.silent_seconds > (patience := process.patience(self._stall_seconds())):
                    self.close()
                    raise TryAgain(
                        f"workload {question.workload.name!r} said nothing for {patience:.0f} s as it loaded"
                    )
            answer = process.receive()
            if answer is not None:
                assert isinstance(answer, WorkloadFacts | CannotDescribe)
                return answer

    # ── how fast it is ───────────────────────────────────────────────────────────────────────────────────────────────

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None] = lambda: None
    ) -> list[Measured]:
        """How fast each process of the crew trains the plans, all at the same time for so many seconds.

        Nothing may be in flight. Until all are ready, which does not count, and meanwhile ``tick`` is called; where it
        raises, all processes are ended. What cannot be measured says why: that is an answer and no error.
        """
        self._grow(crew.processes)
        try:
            ready = self._measured(crew, Measure(tuple(plans), crew.slots, 0.0), tick)
            if any(each.reason is not None for each in ready):
                return ready
            return self._measured(crew, Measure(tuple(plans), crew.slots, seconds), tick)
        except BaseException:
            self.close()  # an answer to come would be taken for another's
            raise

    def _measured(self, crew: Crew, question: Measure, tick: Callable[[], None]) -> list[Measured]:
        asked = self.processes[: crew.processes]
        answers: dict[int, Measured] = {}
        for process in asked:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `receive` sees the end
                process.send(question)
            process.heard_at = time.monotonic()
        while left := [process for number, process in enumerate(asked) if number not in answers]:
            tick()
            for process in ready(left, TICK_SECONDS):
                try:
                    answer = process.receive()
                except (EOFError, OSError):
                    answer = _cannot(process.reap())
                if answer is not None:
                    assert isinstance(answer, Measured)
                    answers[asked.index(process)] = answer
            for process in left:
                patience = process.patience(self._stall_seconds())
                if process.pid is not None and process.silent_seconds > patience:
                    process.kill()
                    answers[asked.index(process)] = _cannot(f"it made no step for {patience:.0f} s")
        return [answers[number] for number in range(len(asked))]


def crews_of(
    devices: Sequence[Device],
    before: Sequence[DeviceCrew],
    launch: Launch,
    say: Callable[[str], None],
    stall_seconds: Callable[[], float],
) -> list[DeviceCrew]:
    """One for each device, as large as the first was before, whose processes the first one has."""
    crews = [DeviceCrew(device, number, launch, say, stall_seconds) for number, device in enumerate(devices)]
    for crew, earlier in zip(crews, before, strict=False):
        crew.processes = earlier.processes
    for crew in crews:
        crew.use(before[0].crew if before else Crew())
    return crews


def ready(processes: Iterable[EngineProcess], seconds: float) -> list[EngineProcess]:
    """Those that have said something, or have ended, within that time."""
    by_connection = {process.connection: process for process in processes if process.connection is not None}
    return [by_connection[each] for each in wait(list(by_connection), seconds) if each in by_connection]


def _cannot(reason: str) -> Measured:
    return Measured(0, 0.0, 0, reason.partition("\n")[0], is_lasting=False)
