"""Engines on this machine: child processes on each device, fed and watched through pipes.

    submit ──> the process with the most room, of all devices ──> records ──> poll
                  └── dies ──> Lost for all that it had; the next plan gets a fresh process
                         └── again and again ──> the device is given up, and the others go on

One process that trains one after the other is enough for most devices; several, or many trainings at once in each, are
a ``Crew``. Until ``fit`` has found which devices there are, trainings have the first. The user's own scripts are run by
one process, several at a time where their study says so; it gives each of them its GPUs.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from lrsweep.engines.command import concurrency
from lrsweep.errors import InvalidInput, SweepFailed
from lrsweep.executors.choosing import Rest
from lrsweep.executors.chosen import crew_for
from lrsweep.executors.device_crew import TICK_SECONDS, TROUBLES_THAT_END, DeviceCrew, crews_of, ready
from lrsweep.executors.devices import Device, Devices, told
from lrsweep.executors.engine_option import EngineOption, as_option
from lrsweep.executors.messages import (
    Busy,
    CannotDescribe,
    Describe,
    Drain,
    Drained,
    Lost,
    Measured,
    Prepare,
    Stop,
)
from lrsweep.executors.placing import Placing
from lrsweep.executors.process import EngineProcess, Launch
from lrsweep.records import Crew, Outcome, Record, Status, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import command_of
from lrsweep.study import ResolvedStudy

STALL_SECONDS = 300.0
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
        devices: Sequence[Device] = (),
        data: Path | None = None,
        scratch: Path | None = None,
        engines: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stall_seconds: float = STALL_SECONDS,
        say: Callable[[str], None] = lambda _: None,
        crew: Crew = Crew(),  # noqa: B008 (it is a frozen value)
    ) -> None:
        """``devices``: in the place of those that ``device`` asks for, which are found later. Raises SettingsError for
        a ``device`` that cannot be read."""
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
        self._devices = Devices(device, self._environ)
        self._are_found = bool(devices)
        self._crews: list[DeviceCrew] = []
        """of each device; the first process of the first one runs scripts and says what a workload is"""
        self._settle(devices or [self._devices.first])
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
        return self._first.pid

    @property
    def pids(self) -> Sequence[int]:
        """Of all processes that run."""
        return [process.pid for process in self._all if process.pid is not None]

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
    def _first(self) -> EngineProcess:
        return self._crews[0].processes[0]

    @property
    def _all(self) -> Sequence[EngineProcess]:
        return [process for crew in self._crews for process in crew.processes]

    @property
    def _used(self) -> Sequence[EngineProcess]:
        """The first of each device before the second of any, so that no device has two trainings while one has none."""
        if self._runs_scripts:
            return [self._first]
        ranks = zip_longest(*(crew.used for crew in self._crews))
        return [process for rank in ranks for process in rank if process is not None]

    @property
    def arrangement(self) -> str:
        """How trainings run side by side on each device, as a user asks for it; on unequal ones each way."""
        return ", ".join(dict.fromkeys(as_option(each.crew) for each in self._crews))

    @property
    def devices(self) -> Sequence[str]:
        """Those that trainings go to."""
        return [each.device.name for each in self._crews]

    @property
    def device_count(self) -> int:
        """Of those; before ``fit`` of those that there are, for which PyTorch may have to be asked. A machine without
        a GPU is one, whatever the number of its processes."""
        is_known = self._are_found or self._runs_scripts
        return len(self._crews) if is_known else len(self._devices.found())

    @property
    def far_device(self) -> None:
        """Trainings have this machine's."""

    @property
    def pace_factor(self) -> int:
        """Each device has a crew."""
        return self.device_count

    # ── the processes ────────────────────────────────────────────────────────────────────────────────────────────────

    def use(self, crew: Crew) -> None:
        """How the plans to come are trained, on each device. Nothing may be in flight."""
        assert not self.in_flight, "a crew takes over when nothing is in flight"
        for each in self._crews:
            each.use(crew)
        if self._prepared is not None:
            self.start(self._prepared)

    def fit(
        self, asked: EngineOption, study: ResolvedStudy, rest: Rest, *, tick: Callable[[], None] = lambda: None
    ) -> None:
        """Finds the devices, and chooses the crew of each, where that is measured once for all that are equal; ``tick``
        is called meanwhile, and may raise."""
        assert not self.in_flight, "a crew takes over when nothing is in flight"
        self._fit(study.workload)
        if not self._runs_scripts:
            self._find()
        chosen: dict[str, Crew] = {}
        for each in self._crews:
            kind = each.device.kind
            if kind not in chosen:
                n = len(self._crews)
                chosen[kind] = crew_for(asked, study, rest, each, self._engines, devices=n, tick=tick, say=self._say)
            each.use(chosen[kind])
        if self._prepared is not None:
            self.start(self._prepared)

    def start(self, workload: WorkloadSpec | None = None) -> None:
        """Begins to start the processes and returns at once; they then begin to load what the workload needs, if one
        is named: torch takes seconds to import."""
        if workload is not None:
            self._fit(workload)
            self._prepared = workload
            if not self._are_found and not self._runs_scripts:
                self._devices.begin()
        for process in self._used:
            process.start()
            if workload is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the first question sees the end
                    process.send(Prepare(workload))

    def _find(self) -> None:
        """Nothing may be in flight."""
        if self._are_found:
            return
        self._are_found = True
        found = self._devices.found()
        if len(found) > 1:
            self._say(told(found))
            self._settle(found)

    def _settle(self, devices: Sequence[Device]) -> None:
        """A crew for each; a process that is there already has the first."""
        self._crews = crews_of(devices, self._crews, self._launch, self._warn, lambda: self.stall_seconds)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._say(text)

    def _fit(self, workload: WorkloadSpec) -> None:
        """How many trainings it takes: a script's all run, and none waits in the process."""
        self._runs_scripts = workload.name == COMMAND
        self._first.scripts = concurrency(command_of(workload), self._environ) if self._runs_scripts else None

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def describe(self, workload: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        """What the workload says of itself; ``tick`` is called while it loads, and may raise.

        Raises InvalidInput where the study or an option is wrong, SweepFailed where loading fails.
        """
        self._fit(workload)
        first = self._first
        try:
            with self._empty_folder() as folder:
                answer = self._crews[0].ask(Describe(workload, Path(folder).absolute()), tick)
        except (EOFError, OSError):
            tick()  # a signal to all of us is the reason that counts
            raise SweepFailed(f"workload {workload.name!r} could not be loaded: {first.reap()}") from None
        if isinstance(answer, CannotDescribe):
            raise InvalidInput(answer.text) if answer.is_input else SweepFailed(answer.text)
        if self._devices.are_listed and not self._runs_scripts:
            self._find()  # where one is not there, nothing has begun yet
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
        return self._crews[0].measure(crew, plans, seconds, tick)

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
        speaking = ready(self._used, 0.0 if messages else seconds)
        while speaking and len(messages) < MOST_MESSAGES:
            for process in speaking:  # one message of each, so that none waits for another's to end
                if process.connection is not None:  # else its device was given up just now
                    messages += self._heard(process)
            speaking = ready(self._used, 0.0)
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
            if message.outcome.status in (Status.COMPLETED, Status.DIVERGED):
                self._crew_of(process).works()
        return (message,)

    def _lost(self, process: EngineProcess, reason: str) -> Sequence[Lost]:
        is_trouble = self._is_trouble(process)
        has_died = not (is_trouble or process.gave_up)
        running = process.running if has_died else []
        lost = [Lost(training, reason, was_running=training in running) for training in process.in_flight]
        if has_died and (sentence := self._placing.suspect(process)):
            self._say(sentence)
        process.in_flight.clear()
        at = self._crew_of(process)
        if at.is_bad:
            lost += self._given_up(at, reason)
        return lost

    def _is_trouble(self, process: EngineProcess) -> bool:
        """Whether its end is more likely the device's fault than that of what it had: nobody has died then, and what it
        had goes to another one. It had not made a step, or the GPU was lost; where there is no other device, it is
        never the fault of this one, which is so never given up."""
        if len(self._crews) < 2 or (process.has_trained and not process.gave_up):
            return False
        met = process.running if not process.gave_up else [process.last_ended] if process.last_ended else []
        for training in met:
            self._placing.shun(training, process.device_number)
        return self._crew_of(process).is_trouble(met)

    def _given_up(self, crew: DeviceCrew, reason: str) -> Sequence[Lost]:
        self._crews.remove(crew)
        self._placing.forget(crew.processes)
        name = crew.device.name
        in_flight = [training for process in crew.processes for training in process.in_flight]
        crew.close()
        self._say(
            f"{name} is given up: {TROUBLES_THAT_END} times in a row its process has ended before a training did, the "
            f"last time because {reason}\nTrainings go on on {', '.join(self.devices)}."
        )
        return [Lost(training, f"{name} is given up", was_running=False) for training in in_flight]

    def _crew_of(self, process: EngineProcess) -> DeviceCrew:
        return next(crew for crew in self._crews if process in crew.processes)

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
            for process in ready(asked, TICK_SECONDS):
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
        for each in self._crews:
            each.close()
        self._devices.close()
        self._placing.clear()
        self._ended.clear()
