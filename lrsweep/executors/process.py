"""An engine's process as its driver sees it: it is started, asked, heard, and ends one way or another."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from lrsweep.executors.messages import (
    BROKEN,
    Alive,
    Busy,
    CannotDescribe,
    Describe,
    Drain,
    Drained,
    Lost,
    Measure,
    Measured,
    Prepare,
    Said,
    Stop,
    Use,
)
from lrsweep.records import Record, TrainingPlan, WorkloadFacts

Asked = Prepare | Describe | TrainingPlan | Use | Stop | Measure | Drain
Answer = Record | Lost | WorkloadFacts | CannotDescribe | Measured | Drained

AHEAD = 1
"""One training runs and one waits in the process, so that the device never idles while the driver thinks."""
FEWEST_AHEAD = 2
"""Of a process that trains many at once, where several may end at the same step."""

STARTUP_SECONDS = 300.0
"""Before its first word a process imports torch and loads a workload, for minutes where the machine is busy."""
ENDING_SECONDS = 10.0
ERROR_TAIL = 2000


def capacity(slots: int | None) -> int:
    """How many trainings a process takes that trains so many at once: those that run, and those that wait behind them.

    >>> capacity(None), capacity(1), capacity(16)
    (2, 3, 20)
    """
    return 1 + AHEAD if slots is None else slots + max(FEWEST_AHEAD, slots // 4)


@dataclass(frozen=True)
class Launch:
    """What an engine's process is started with; see ``LocalExecutor``."""

    device: str
    data: Path | None
    scratch: Path | None
    environ: Mapping[str, str]


@dataclass
class Filled:
    """How full the slots of a process have been, also of those that were there before it."""

    places: int = 0
    """for an update of a training, at all steps"""
    slot_steps: int = 0
    """places in which there was one"""

    def add(self, busy: Busy) -> None:
        self.places += busy.slots * busy.steps
        self.slot_steps += busy.slot_steps


class EngineProcess:
    """Started when it is first needed, and again after it was lost."""

    def __init__(self, launch: Launch, say: Callable[[str], None], device_number: int = 0) -> None:
        self._launch = launch
        self._say = say
        self.device_number = device_number
        """which device it has, for who tells processes apart by it"""
        self.slots: int | None = None
        """how many trainings it is to train at once; None: one after the other"""
        self.scripts: int | None = None
        """how many scripts it runs at once, where it runs scripts"""
        self.is_apart = False
        """whether it trains one after the other for the time being, whatever ``slots`` says"""
        self.in_flight: list[str] = []
        """training ids in the order in which they begin"""
        self.filled = Filled()
        self.heard_at = 0.0
        self.gave_up = False
        """whether it has ended by itself: that is no death of what it had"""
        self.has_trained = False
        """whether it has told of a step since it was started"""
        self.last_ended: str | None = None
        """the training that was the last to end in it"""
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[object, object] | None = None
        self._errors: IO[bytes] | None = None
        self._told: int | None = None
        """the slots that it was told to use"""
        self._has_answered = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def connection(self) -> Connection[object, object] | None:
        """To wait on; None where no process runs."""
        return self._connection

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self.heard_at

    def patience(self, seconds: float) -> float:
        """How long it may be silent that, once it has started, may be so for as many seconds."""
        return seconds if self._has_answered else max(seconds, STARTUP_SECONDS)

    @property
    def capacity(self) -> int:
        """How many trainings it takes in all: those that run at once, and those that wait for them in the process."""
        return capacity(self.slots) if self.scripts is None else self.scripts

    @property
    def room(self) -> int:
        """How many more it takes now."""
        return (capacity(None) if self.is_apart else self.capacity) - len(self.in_flight)

    @property
    def running(self) -> list[str]:
        """Of what is in flight, what has begun."""
        at_once = self.scripts or (1 if self.is_apart else self.slots) or 1
        return self.in_flight[:at_once]

    # ── to it ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Returns at once; it takes seconds until it answers."""
        if self._process is not None:
            return
        ours, theirs = multiprocessing.Pipe()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        # not multiprocessing's own spawn: that would import the user's main module again; and with -P a random.py in
        # the working folder is not taken for Python's own
        self._process = subprocess.Popen(  # noqa: S603 (our own module, by our own interpreter)
            [
                *(sys.executable, "-P", "-m", "lrsweep.executors.child"),
                *(str(theirs.fileno()), self._launch.device),
                *(str(self._launch.data or ""), str(self._launch.scratch or "")),
            ],
            env=self._launch.environ,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
        )
        theirs.close()
        self._connection = ours
        self._told = None
        self._has_answered = self.has_trained = False
        self.last_ended = None
        self.heard_at = time.monotonic()

    def send(self, message: Asked) -> None:
        """Starts it where it does not run. Raises OSError where it has just ended."""
        self.start()
        assert self._connection is not None
        self._connection.send(message)

    def submit(self, plan: TrainingPlan) -> None:
        if not self.in_flight:
            self.heard_at = time.monotonic()
        self.in_flight.append(plan.training_id)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `receive` sees the end
            slots = None if self.is_apart else self.slots
            self.start()
            if self.scripts is None and slots != self._told:
                self._told = slots
                self.send(Use(slots))
            self.send(plan)

    # ── from it ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self) -> Answer | None:
        """The next message; None where it was one of those that no caller waits for.

        Raises EOFError or OSError where the process has ended; OSError in the middle of a message.
        """
        assert self._connection is not None
        message = self._connection.recv()
        self.heard_at = time.monotonic()
        self._has_answered |= not isinstance(message, Said | Alive)  # which come while it loads, too
        match message:
            case Said(text):
                self._say(text)
            case Busy():
                self.filled.add(message)
            case Use(slots):
                self.slots = self._told = slots
            case Record() | Lost():
                if isinstance(message, Record):
                    self.has_trained |= len(message.rates) > 0
                if isinstance(message, Lost) or message.outcome is not None:
                    self.in_flight.remove(message.training_id)
                    self.last_ended = message.training_id
                return message
            case WorkloadFacts() | CannotDescribe() | Measured() | Drained():
                return message
        return None

    # ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.reap()

    def reap(self) -> str:
        """Waits for the process that is ending and says how it ended, with the tail of what it wrote."""
        assert self._process is not None
        assert self._connection is not None
        assert self._errors is not None
        self._connection.close()
        try:
            code = self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:  # libraries may hang while the interpreter ends
            self._process.kill()
            code = self._process.wait()
        self.gave_up = code == BROKEN
        self._errors.seek(0)
        tail = self._errors.read().decode(errors="replace").strip()[-ERROR_TAIL:]
        self._errors.close()
        self._process = self._connection = self._errors = None
        if self.gave_up:
            return "the engine's process lost its GPU, and a fresh one takes over"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"the engine's process {how}" + (f"; it wrote:\n{tail}" if tail else "")
