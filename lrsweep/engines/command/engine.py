"""Runs the commands of several trainings at the same time, each watched by a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lrsweep.engines.command.devices import Place, Places
from lrsweep.engines.command.endings import Cut, too_late
from lrsweep.engines.command.forks import Forks
from lrsweep.engines.command.training import train
from lrsweep.records import Outcome, Record, Status, TrainingPlan
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import Command, command_of

ALIVE_EVERY = 10.0
"""Seconds of silence after which the engine says that it lives: a script may be silent for hours."""
LONGEST_WAIT = 60.0
"""Seconds before a training is started again that was preempted several times and came no further."""
IN_VAIN = 3
"""Attempts that came no further, after which it is said: a script that always gives way does so for ever."""
ENDING_SECONDS = 6.0
"""What a guard may need beyond ``stop_grace`` until the last process of a script is dead."""


_log = logging.getLogger(__name__)


@dataclass
class _Preempted:
    """How a training was preempted before: as far as it had come, and how often it came no further."""

    steps: int = 0
    in_vain: int = 0

    @property
    def wait(self) -> float:
        return min(LONGEST_WAIT, 2.0 ** (self.in_vain - 1)) if self.in_vain else 0.0


class CommandEngine:
    """``submit`` returns at once; what comes of a plan goes to ``emit``, or to ``lose`` where it is to be run again.

    The three functions are called by several threads.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        emit: Callable[[Record], None],
        lose: Callable[[TrainingPlan, Cut], None],
        alive: Callable[[], None],
        device_locks: Path | None = None,
    ) -> None:
        self._environ = environ
        self._forks = Forks(environ)
        self._device_locks = device_locks
        self._emit = emit
        self._lose = lose
        self._alive = alive
        self._places: dict[str, Places] = {}
        self._preempted: dict[str, _Preempted] = {}
        self._cannot_react: set[str] = set()
        """commands that report their metric too late for a schedule that reacts"""
        self._threads: list[threading.Thread] = []
        self._submitting = threading.Lock()
        self._is_stopping = False
        self._stopped: set[str] = set()
        """trainings that are to end as ``stopped``"""
        self._longest_grace = 0.0

    def submit(self, plan: TrainingPlan) -> None:
        command = command_of(plan.workload)
        places = self._places.setdefault(repr(command), Places(command, self._environ, self._device_locks))
        thread = threading.Thread(target=self._run, args=(plan, command, places), daemon=True)
        with self._submitting:
            self._stopped.discard(plan.training_id)  # meant an earlier attempt, which had ended by then
            self._longest_grace = max(self._longest_grace, command.stop_grace)
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()

    def stop(self, training_id: str) -> None:
        """Its script is asked to save and leave, and then the training has ended as ``stopped``; one that has not begun
        has so at once. Others are not known."""
        self._stopped.add(training_id)

    def drain(self) -> None:
        """Every script is asked to stop, and none is started any more; returns when all have ended."""
        with self._submitting:
            self._is_stopping = True
            threads = self._threads
        give_up = time.monotonic() + self._longest_grace + ENDING_SECONDS
        for thread in threads:
            thread.join(max(0.0, give_up - time.monotonic()))
        self._forks.close()

    def _run(self, plan: TrainingPlan, command: Command, places: Places) -> None:
        try:
            with places.taken() as place:
                self._train(plan, command, place)
        except Exception:
            outcome = Outcome(Status.FAILED, 0, 0.0, {}, traceback.format_exc())
            self._emit(Record.empty(plan, "script", outcome, engine=COMMAND))

    def _train(self, plan: TrainingPlan, command: Command, place: Place) -> None:
        pulse = Pulse(self._alive)
        if plan.schedule.needs_metric and command.command in self._cannot_react:
            failed = Outcome(Status.FAILED, 0, 0.0, {}, too_late(plan))
            self._emit(Record.empty(plan, place.name, failed, engine=COMMAND))
            return
        before = self._preempted.get(plan.training_id, _Preempted())
        begin_at = time.monotonic() + before.wait

        def is_stopped() -> bool:
            return plan.training_id in self._stopped

        while (left := begin_at - time.monotonic()) > 0 and not (self._is_stopping or is_stopped()):
            time.sleep(min(left, 1.0))
            pulse.tick()
        if self._is_stopping:
            return
        steps = 0

        def emit(record: Record) -> None:
            nonlocal steps
            steps = record.first_step + len(record.rates)
            self._emit(record)
            pulse.beat()

        def tick() -> bool:
            pulse.tick()
            return self._is_stopping

        start = self._forks.start(command)
        ended = train(plan, command, place, self._environ, emit, tick, is_stopped, start)
        if isinstance(ended, Cut):
            if not ended.is_death:
                in_vain = 0 if steps > before.steps else before.in_vain + 1
                self._preempted[plan.training_id] = _Preempted(max(steps, before.steps), in_vain)
                if in_vain >= IN_VAIN:
                    no_further = f"{in_vain} times in a row it came no further than {before.steps:,} updates"
                    ended = replace(ended, reason=f"{ended.reason}; {no_further}")
                if in_vain == IN_VAIN:
                    _log.warning("training %s: %s", plan.training_id, ended.reason)
            self._lose(plan, ended)
            return
        self._preempted.pop(plan.training_id, None)
        if is_stopped():  # too early to say what the script can hear
            return
        if plan.schedule.needs_metric and ended.has_metric and not ended.reactor_heard and ended.diverged is None:
            self._cannot_react.add(command.command)


class Pulse:
    """Says that the engine lives, where nothing else has said so for a while."""

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive
        self._told_at = time.monotonic()

    def beat(self) -> None:
        self._told_at = time.monotonic()

    def tick(self) -> None:
        if time.monotonic() - self._told_at > ALIVE_EVERY:
            self._alive()
            self.beat()
