"""Engines on this machine: child processes on one device, fed and watched through pipes.

    submit ──> a process with room ──> records ──> poll
                  └── dies ──> Lost for all that it had; the next plan gets a fresh process

One process that trains one after the other is enough for most; several, or many trainings at once in each, are a
``Crew``. The user's own scripts are run by one process, several at a time where their study says so.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from lrsweep.engines.command import concurrency
from lrsweep.errors import InvalidInput, SweepFailed, TryAgain
from lrsweep.executors.choosing import Rest
from lrsweep.executors.chosen import crew_for
from lrsweep.executors.engine_option import EngineOption, as_option
from lrsweep.executors.messages import (
    Busy,
    CannotDescribe,
    Describe,
    Drain,
    Drained,
    Lost,
    Measure,
    Measured,
    Prepare,
    Stop,
)
from lrsweep.executors.placing import Placing
from lrsweep.executors.process import EngineProcess, Filled, Launch
from lrsweep.records import Crew, Outcome, Record, Status, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import command_of
from lrsweep.study import ResolvedStudy

STALL_SECONDS = 300.0
TICK_SECONDS = 0.1
DRAIN_SECONDS = 10.0
"""For the step that a process is in and its checkpoints, after a signal; then it is ended."""
MOST_MESSAGES = 1000
"""Of one poll, so that processes which tell faster than they are heard do not keep their driver for ever."""


class LocalExecutor:
    """Engine processes, each started when it is first needed and again after it was lost.

    Processes and not threads: a thread that writes to MLflow held the interpreter lock and slowed a small training
    step from 210 to 1,179 us.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        data: Path | None = None,
        scratch: Path | None = None,
        engines: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stall_seconds: float = STALL_SECONDS,
        say: Callable[[str], None] = lambda _: None,
        crew: Crew = Crew(),  # noqa: B008 (it is a frozen value)
    ) -> None:
        self._scratch = scratch
        """where a script that is asked what it is finds its plan, a batch system's machines must see it too; and where
        engines tell each other which devices still have a script"""
        self._engines = engines
        """the file of what was measured to choose a crew; None: nothing is kept"""
        # as it is now: what libraries set for this process alone is not for the user's scripts
        self._environ = dict(os.environ if environ is None else environ)
        self.stall_seconds = stall_seconds
        """how long an engine may be silent once it has started; it says that it lives while it loads, evaluates, or
        runs scripts"""
        self._say = say
        self._warned: set[str] = set()
        """what the processes have said: each may meet the same, and a new one in the place of a lost one again"""
        self._launch = Launch(device, data, scratch, self._environ)
        self._crew = crew
        self._processes: list[EngineProcess] = []
        """the first runs scripts and says what a workload is; those beyond the crew are there for ``measure`` alone"""
        self._runs_scripts = False
        self._prepared: WorkloadSpec | None = None
        self._placing = Placing()
        self._ended: list[Record] = []
        """trainings that were stopped before they had a process"""
        self.use(crew)

    @property
    def free(self) -> int:
        """How many more plans it takes now."""
        return sum(process.capacity for process in self._used) - len(self.in_flight)

    @property
    def in_flight(self) -> Sequence[str]:
        """Training ids, those of each process in the order in which they run there."""
        return tuple(identity for process in self._used for identity in process.in_flight) + tuple(
            self._placing.waiting
        )

    @property
    def pid(self) -> int | None:
        """Of the first process."""
        return self._processes[0].pid

    @property
    def pids(self) -> Sequence[int]:
        """Of all processes that run."""
        return [process.pid for process in self._processes if process.pid is not None]

    @property
    def busy(self) -> Busy | None:
        """What the slots have done since this crew was chosen; None where no process has slots, or has used them."""
        filled = [process.filled for process in self._used]
        slots = sum(process.slots or 0 for process in self._used)
        if not slots or not any(each.places for each in filled):
            return None
        # of processes that have made more steps than others, or had more slots: the steps that all slots together make
        steps = max(1, round(sum(each.places for each in filled) / slots))
        return Busy(slots, steps, sum(each.slot_steps for each in filled))

    @property
    def _used(self) -> Sequence[EngineProcess]:
        return self._processes[: 1 if self._runs_scripts else self._crew.processes]

    @property
    def arrangement(self) -> str:
        """How trainings run side by side, as a user asks for it."""
        return as_option(self._crew)

    # ── the processes ────────────────────────────────────────────────────────────────────────────────────────────────

    def use(self, crew: Crew) -> None:
        """How the plans to come are trained. Nothing may be in flight."""
        assert not self.in_flight, "a crew takes over when nothing is in flight"
        self._crew = crew
        self._grow(crew.processes)
        for process in self._processes[crew.processes :]:
            process.kill()
        del self._processes[crew.processes :]
        for process in self._processes:
            process.slots = crew.slots
            process.filled = Filled()
        if self._prepared is not None:
            self.start(self._prepared)

    def fit(
        self, asked: EngineOption, study: ResolvedStudy, rest: Rest, *, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Chooses the crew, where that is measured, and uses it. ``tick`` is called meanwhile, and may raise."""
        self.use(crew_for(asked, study, rest, self, self._engines, tick=tick, say=self._say))

    def start(self, workload: WorkloadSpec | None = None) -> None:
        """Begins to start the processes and returns at once; they then begin to load what the workload needs, if one
        is named: torch takes seconds to import."""
        if workload is not None:
            self._fit(workload)
            self._prepared = workload
        for process in self._used:
            process.start()
            if workload is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the first question sees the end
                    process.send(Prepare(workload))

    def _grow(self, count: int) -> None:
        self._processes += [EngineProcess(self._launch, self._warn) for _ in range(count - len(self._processes))]

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._say(text)

    def _fit(self, workload: WorkloadSpec) -> None:
        """How many trainings it takes: a script's all run, and none waits in the process."""
        self._runs_scripts = workload.name == COMMAND
        self._processes[0].scripts = concurrency(command_of(workload), self._environ) if self._runs_scripts else None

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def describe(self, workload: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        """What the workload says of itself; ``tick`` is called while it loads, and may raise.

        Raises InvalidInput where the study or an option is wrong, SweepFailed where loading fails.
        """
        self._fit(workload)
        first = self._processes[0]
        try:
            with self._empty_folder() as folder:
                answer = self._answer(Describe(workload, Path(folder).absolute()), tick)
        except (EOFError, OSError):
            tick()  # a signal to all of us is the reason that counts
            raise SweepFailed(f"workload {workload.name!r} could not be loaded: {first.reap()}") from None
        if isinstance(answer, CannotDescribe):
            raise InvalidInput(answer.text) if answer.is_input else SweepFailed(answer.text)
        return answer

    def _answer(self, question: Describe, tick: Callable[[], None]) -> WorkloadFacts | CannotDescribe:
        process = self._processes[0]
        process.send(question)
        process.heard_at = time.monotonic()
        while True:
            while not _ready([process], TICK_SECONDS):
                tick()
                if process.silent_seconds > (patience := process.patience(self.stall_seconds)):
                    self.close()
                    raise TryAgain(
                        f"workload {question.workload.name!r} said nothing for {patience:.0f} s as it loaded"
                    )
            answer = process.receive()
            if answer is not None:
                assert isinstance(answer, WorkloadFacts | CannotDescribe)
                return answer

    def _empty_folder(self) -> tempfile.TemporaryDirectory[str]:
        if self._scratch is not None:
            self._scratch.mkdir(parents=True, exist_ok=True)
        # a script that is still ending may write into it
        return tempfile.TemporaryDirectory(prefix="lrsweep-", dir=self._scratch, ignore_cleanup_errors=True)

    def measure(
        self, crew: Crew, plans: Sequence[TrainingPlan], seconds: float, tick: Callable[[], None] = lambda: None
    ) -> list[Measured]:
        """How fast each process of the crew trains the plans, all at the same time for so many seconds.

        Nothing may be in flight. Until all are ready, which does not count, and meanwhile ``tick`` is called; where it
        raises, all processes are ended. What cannot be measured says why: that is an answer and no error.
        """
        assert not self.in_flight, "a crew is measured when nothing is in flight"
        self._fit(plans[0].workload)
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
        asked = self._processes[: crew.processes]
        answers: dict[int, Measured] = {}
        for process in asked:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `receive` sees the end
                process.send(question)
            process.heard_at = time.monotonic()
        while left := [process for number, process in enumerate(asked) if number not in answers]:
            tick()
            for process in _ready(left, TICK_SECONDS):
                try:
                    answer = process.receive()
                except (EOFError, OSError):
                    answer = _cannot(process.reap())
                if answer is not None:
                    assert isinstance(answer, Measured)
                    answers[asked.index(process)] = answer
            for process in left:
                patience = process.patience(self.stall_seconds)
                if process.pid is not None and process.silent_seconds > patience:
                    process.kill()
                    answers[asked.index(process)] = _cannot(f"it made no step for {patience:.0f} s")
        return [answers[number] for number in range(len(asked))]

    # ── trainings ────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, plan: TrainingPlan) -> None:
        self._fit(plan.workload)
        self._placing.take(plan, self._used)

    def stop(self, training_id: str) -> None:
        """The training is to end as ``stopped``, running or waiting; a user's script within its ``stop_grace``. Others
        are not known."""
        for process in self._used:
            if training_id in process.in_flight:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `poll` sees the end
                    process.send(Stop(training_id))
        if plan := self._placing.take_back(training_id):
            self._ended.append(Record.empty(plan, "none", Outcome(Status.STOPPED, 0, 0.0, {})))

    def poll(self, seconds: float) -> list[Record | Lost]:
        """What has come within that time: all that is there, or nothing. Each process is heard in its order."""
        self._placing.place(self._used)
        messages: list[Record | Lost] = [*self._ended]
        self._ended.clear()
        if not messages and not self.in_flight:
            time.sleep(seconds)
            return []
        ready = _ready(self._used, 0.0 if messages else seconds)
        while ready and len(messages) < MOST_MESSAGES:
            for process in ready:  # one message of each, so that none waits for another's to end
                messages += self._heard(process)
            ready = _ready(self._used, 0.0)
        for process in self._used:
            patience = process.patience(self.stall_seconds)
            if process.in_flight and process.silent_seconds > patience:
                process.kill()
                messages += self._lost(process, f"the engine made no step for {patience:.0f} s and was killed")
        return messages

    def _heard(self, process: EngineProcess) -> Sequence[Record | Lost]:
        try:
            message = process.receive()
        except (EOFError, OSError):  # OSError: it ended in the middle of a record
            return self._lost(process, process.reap())
        if message is None:
            return ()
        assert isinstance(message, Record | Lost)
        if isinstance(message, Record) and message.outcome is not None:
            self._placing.acquit(message.training_id)
        return (message,)

    def _lost(self, process: EngineProcess, reason: str) -> Sequence[Lost]:
        running = [] if process.gave_up else process.running
        lost = [Lost(training, reason, was_running=training in running) for training in process.in_flight]
        if not process.gave_up and (told := self._placing.suspect(process)):
            self._say(told)
        process.in_flight.clear()
        return lost

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def drain(self, tick: Callable[[], None]) -> list[Record | Lost]:
        """Lets all trainings save what they have and give way; comes back with what they said by then, in order.

        A step may be long: a process that has not answered after ``DRAIN_SECONDS`` is ended, and its trainings go on
        from an older checkpoint. The user's scripts have their ``stop_grace``, which their guards watch.
        """
        asked = [process for process in self._used if process.pid is not None and process.in_flight]
        for process in asked:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `receive` sees the end
                process.send(Drain())
        until = math.inf if self._runs_scripts else time.monotonic() + DRAIN_SECONDS
        said: list[Record | Lost] = []
        while asked and time.monotonic() < until:
            tick()
            for process in _ready(asked, TICK_SECONDS):
                try:
                    message = process.receive()
                except (EOFError, OSError):
                    asked.remove(process)
                    continue
                if isinstance(message, Drained):
                    asked.remove(process)
                elif isinstance(message, Record | Lost):
                    said.append(message)
        self.close()
        return said

    def close(self) -> None:
        """Ends the processes at once; what was in flight is lost, and it is for the driver to queue it again."""
        for process in self._processes:
            process.kill()
            process.in_flight.clear()
        self._placing.clear()
        self._ended.clear()


def _ready(processes: Iterable[EngineProcess], seconds: float) -> list[EngineProcess]:
    """Those that have said something, or have ended, within that time."""
    by_connection = {process.connection: process for process in processes if process.connection is not None}
    return [by_connection[each] for each in wait(list(by_connection), seconds) if each in by_connection]


def _cannot(reason: str) -> Measured:
    return Measured(0, 0.0, 0, reason.partition("\n")[0], is_lasting=False)
