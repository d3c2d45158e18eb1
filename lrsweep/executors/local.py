"""Engines on this machine: one child process per device, fed and watched through a pipe.

The user's own scripts are run by that process too, several at a time where their study says so.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

from lrsweep.engines.command import concurrency
from lrsweep.errors import InvalidInput, SweepFailed, TryAgain
from lrsweep.executors.messages import Alive, CannotDescribe, Describe, Lost, Prepare, Said
from lrsweep.records import Record, TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import command_of

AHEAD = 2
"""One training runs and one waits in the process, so that the device never idles while the driver thinks."""

STALL_SECONDS = 300.0
ENDING_SECONDS = 10.0
TICK_SECONDS = 0.1
ERROR_TAIL = 2000


class LocalExecutor:
    """One engine process, started when it is first needed and again after it was lost.

    A process and not a thread: a thread that writes to MLflow held the interpreter lock and slowed a small training
    step from 210 to 1,179 us.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        data: Path | None = None,
        scratch: Path | None = None,
        environ: Mapping[str, str] | None = None,
        stall_seconds: float = STALL_SECONDS,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._device = device
        self._data = data
        self._scratch = scratch
        """where a script that is asked what it is finds its plan, a batch system's machines must see it too; and where
        engines tell each other which devices still have a script"""
        # as it is now: what libraries set for this process alone is not for the user's scripts
        self._environ = dict(os.environ if environ is None else environ)
        self.stall_seconds = stall_seconds
        """how long the engine may be silent; it says that it lives while it loads, evaluates, or runs scripts"""
        self._say = say
        """gets the warnings of the engine's process, each once"""
        self._at_a_time = 1
        self._ahead = AHEAD - 1
        self._runs_scripts = False
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[object, object] | None = None
        self._errors: IO[bytes] | None = None
        self._in_flight: list[str] = []
        self._heard_at = 0.0

    @property
    def free(self) -> int:
        """How many more plans it takes now."""
        return self._at_a_time + self._ahead - len(self._in_flight)

    @property
    def in_flight(self) -> Sequence[str]:
        """Training ids in the order in which they run."""
        return tuple(self._in_flight)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, workload: WorkloadSpec | None = None) -> None:
        """Begins to start the process and returns at once; it then begins to load what the workload needs, if one is
        named: torch takes seconds to import."""
        if self._process is None:
            self._start()
        if workload is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the first question sees the end
                self._send(Prepare(workload))

    def _start(self) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        # not multiprocessing's own spawn: that would import the user's main module again; and with -P a random.py in
        # the working folder is not taken for Python's own
        self._process = subprocess.Popen(  # noqa: S603 (our own module, by our own interpreter)
            [
                *(sys.executable, "-P", "-m", "lrsweep.executors.child"),
                *(str(theirs.fileno()), self._device, str(self._data or ""), str(self._scratch or "")),
            ],
            env=self._environ,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
        )
        theirs.close()
        self._connection = ours
        self._heard_at = time.monotonic()

    def describe(self, workload: WorkloadSpec, tick: Callable[[], None] = lambda: None) -> WorkloadFacts:
        """What the workload says of itself; ``tick`` is called while it loads, and may raise.

        Raises InvalidInput where the study or an option is wrong, SweepFailed where loading fails.
        """
        self._fit(workload)
        try:
            with self._empty_folder() as folder:
                answer = self._answer(Describe(workload, Path(folder).absolute()), tick)
        except (EOFError, OSError):
            tick()  # a signal to all of us is the reason that counts
            raise SweepFailed(f"workload {workload.name!r} could not be loaded: {self._reap()}") from None
        if isinstance(answer, CannotDescribe):
            raise InvalidInput(answer.text) if answer.is_input else SweepFailed(answer.text)
        assert isinstance(answer, WorkloadFacts)
        return answer

    def _answer(self, question: Describe, tick: Callable[[], None]) -> object:
        self._send(question)
        assert self._connection is not None
        self._heard_at = time.monotonic()
        while True:
            while not self._connection.poll(TICK_SECONDS):
                tick()
                if time.monotonic() - self._heard_at > self.stall_seconds:
                    self.close()
                    raise TryAgain(
                        f"workload {question.workload.name!r} said nothing for {self.stall_seconds:.0f} s as it loaded"
                    )
            answer = self._connection.recv()
            self._heard_at = time.monotonic()
            if isinstance(answer, Said):
                self._say(answer.text)
            elif not isinstance(answer, Alive):
                return answer

    def _empty_folder(self) -> tempfile.TemporaryDirectory[str]:
        if self._scratch is not None:
            self._scratch.mkdir(parents=True, exist_ok=True)
        # a script that is still ending may write into it
        return tempfile.TemporaryDirectory(prefix="lrsweep-", dir=self._scratch, ignore_cleanup_errors=True)

    def _fit(self, workload: WorkloadSpec) -> None:
        """How many trainings it takes: a script's all run, and none waits in the process."""
        self._runs_scripts = workload.name == COMMAND
        if self._runs_scripts:
            self._at_a_time, self._ahead = concurrency(command_of(workload), self._environ), 0
        else:
            self._at_a_time, self._ahead = 1, AHEAD - 1

    def submit(self, plan: TrainingPlan) -> None:
        self._fit(plan.workload)
        if not self._in_flight:
            self._heard_at = time.monotonic()
        self._in_flight.append(plan.training_id)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `poll` sees the end and reports it
            self._send(plan)

    def poll(self, seconds: float) -> list[Record | Lost]:
        """What has come within that time: all that is there, or nothing."""
        if self._connection is None or not self._in_flight:
            time.sleep(seconds)
            return []
        messages: list[Record | Lost] = []
        try:
            wait = seconds
            while self._connection.poll(wait):
                message = self._connection.recv()
                self._heard_at, wait = time.monotonic(), 0.0
                if isinstance(message, Alive):
                    continue
                if isinstance(message, Said):
                    self._say(message.text)
                    continue
                assert isinstance(message, Record | Lost)
                messages.append(message)
                if isinstance(message, Lost) or message.outcome is not None:
                    self._in_flight.remove(message.training_id)
        except (EOFError, OSError):  # OSError: it ended in the middle of a record
            return [*messages, *self._lost(self._reap())]
        if time.monotonic() - self._heard_at > self.stall_seconds and self._in_flight:
            self._kill()
            return [*messages, *self._lost(f"the engine made no step for {self.stall_seconds:.0f} s and was killed")]
        return messages

    def drain(self, tick: Callable[[], None]) -> None:
        """Asks the user's scripts to save what they have and leave, and waits until all have: each has its
        ``stop_grace``. What was in flight is lost then. ``tick`` is called meanwhile, and may raise: ``close`` ends
        all at once. Nothing happens where no script runs.
        """
        if self._process is None or self._connection is None or not (self._runs_scripts and self._in_flight):
            return
        self._connection.close()
        while self._process.poll() is None:
            tick()
            time.sleep(TICK_SECONDS)
        self._reap()
        self._in_flight.clear()

    def close(self) -> None:
        """Ends the process at once; what was in flight is lost, and it is for the driver to queue it again."""
        self._kill()
        self._in_flight.clear()

    def _send(self, message: Prepare | Describe | TrainingPlan) -> None:
        if self._process is None:
            self._start()
        assert self._connection is not None
        self._connection.send(message)

    def _lost(self, reason: str) -> list[Lost]:
        lost = [
            Lost(training, reason, was_running=position < self._at_a_time)
            for position, training in enumerate(self._in_flight)
        ]
        self._in_flight.clear()
        return lost

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._reap()

    def _reap(self) -> str:
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
        self._errors.seek(0)
        tail = self._errors.read().decode(errors="replace").strip()[-ERROR_TAIL:]
        self._errors.close()
        self._process = self._connection = self._errors = None
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"the engine's process {how}" + (f"; it wrote:\n{tail}" if tail else "")
