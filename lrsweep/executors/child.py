"""The engine's process: ``python -m lrsweep.executors.child FD DEVICE DATA SCRATCH``, started by ``LocalExecutor``.

It reads plans from the pipe FD, trains them in order or many at once, and writes records back; the user's own scripts
run beside each other, and torch is not imported for them. When it is drained it lets go of all trainings, which have
saved what they have. When the pipe closes it ends, because its driver is gone, and whoever drives next will queue the
trainings again: at once, or where scripts run as soon as they have saved and left.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeGuard

from lrsweep.engines.command import CommandEngine, describe
from lrsweep.engines.command.endings import Cut
from lrsweep.engines.command.engine import Pulse
from lrsweep.errors import InvalidInput
from lrsweep.executors.inbox import Inbox, Message
from lrsweep.executors.messages import (
    BROKEN,
    Alive,
    CannotDescribe,
    Describe,
    Drain,
    Drained,
    Lost,
    Measure,
    Prepare,
    Said,
    Stop,
    Use,
)
from lrsweep.executors.trainer import Trainer
from lrsweep.records import TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import command_of
from lrsweep.workloads import catalog

Send = Callable[[object], None]


def _leave_signals_to_the_driver() -> None:
    """They may reach the whole group. What a workload starts must still be ended by SIGTERM, as by a pool that ends its
    workers: so it is not ignored, which what is forked or executed would inherit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def main(fd: int, device_name: str, data: Path | None, scratch: Path | None) -> None:
    _leave_signals_to_the_driver()
    connection: Connection[object, object] = Connection(fd)
    inbox = Inbox()
    sending = threading.Lock()

    def send(message: object) -> None:
        with sending, contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `_listen` sees the end too
            connection.send(message)

    scripts = _Scripts(send, scratch / "devices" if scratch else None)
    # before anything is loaded, which takes seconds: a driver that dies meanwhile must not leave this process behind
    threading.Thread(target=_listen, args=(connection, inbox, scripts.drain), daemon=True).start()

    for name in ("lrsweep", "py.warnings"):
        logging.getLogger(name).addHandler(_Saying(send))
    logging.captureWarnings(True)

    workloads: _Workloads | None = None
    while True:
        message = inbox.take(wait=workloads is None or not workloads.is_busy)
        if _is_script(message):
            scripts.take(message)
            continue
        if isinstance(message, Drain):
            scripts.drain()
            if workloads is not None:
                workloads.drain()
            send(Drained())
            continue
        if isinstance(message, Stop):
            scripts.stop(message.training_id)
            if workloads is None:
                continue
        if workloads is None and isinstance(message, Describe) and _is_quickly_said(message.workload, device_name):
            spec = message.workload
            send(_answer(spec, functools.partial(catalog.facts_without_torch, spec)))
            continue
        workloads = workloads or _Workloads(device_name, data, send, inbox)
        if message is None:
            workloads.advance()
            if workloads.is_broken:
                os._exit(BROKEN)
        else:
            workloads.take(message)


def _is_script(message: Message | None) -> TypeGuard[Prepare | Describe | TrainingPlan]:
    """Only these are sent where scripts run."""
    return isinstance(message, Prepare | Describe | TrainingPlan) and message.workload.name == COMMAND


def _is_quickly_said(spec: WorkloadSpec, device_name: str) -> bool:
    """Whether it can be said what it is before torch is imported, which takes seconds. Of a device that somebody has
    named torch has to say first whether it is there."""
    return device_name in ("auto", "cpu") and not catalog.needs_torch(spec.name)


class _Saying(logging.Handler):
    """Sends what is logged, each text once: the driver's user would not see it in this process's standard error."""

    def __init__(self, send: Send) -> None:
        super().__init__(logging.WARNING)
        self._send = send
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().partition("\n")[0]  # a warning's second line is that of the code which warns
        if text not in self._said:
            self._said.add(text)
            self._send(Said(text))


class _Scripts:
    """Commands: what the user's own scripts are, and trainings by them."""

    def __init__(self, send: Send, device_locks: Path | None) -> None:
        self._send = send
        self._engine = CommandEngine(
            os.environ.copy(), emit=send, lose=self._lose, alive=self._alive, device_locks=device_locks
        )

    def take(self, message: Prepare | Describe | TrainingPlan) -> None:
        match message:
            case TrainingPlan():
                self._engine.submit(message)
            case Describe(spec, folder):
                tick = Pulse(self._alive).tick
                self._send(_answer(spec, lambda: describe(command_of(spec), os.environ, folder, tick)))

    def stop(self, training_id: str) -> None:
        self._engine.stop(training_id)

    def drain(self) -> None:
        self._engine.drain()

    def _alive(self) -> None:
        self._send(Alive())

    def _lose(self, plan: TrainingPlan, cut: Cut) -> None:
        self._send(Lost(plan.training_id, cut.reason, was_running=cut.is_death))


class _Workloads:
    """Models that are trained in this process."""

    def __init__(self, device_name: str, data: Path | None, send: Send, inbox: Inbox) -> None:
        self._trainer = Trainer(device_name, data, send, inbox.is_stopped, inbox.is_drained)
        self._send = send

    @property
    def is_busy(self) -> bool:
        return self._trainer.is_busy

    @property
    def is_broken(self) -> bool:
        return self._trainer.is_broken

    def advance(self) -> None:
        self._trainer.advance()

    def drain(self) -> None:
        self._trainer.drain()

    def take(self, message: Message) -> None:
        match message:
            case TrainingPlan():
                self._trainer.submit(message)
            case Describe(spec):
                self._send(_answer(spec, lambda: self._trainer.facts(spec)))
            case Use(slots):
                self._trainer.use(slots)
            case Stop(training_id):
                self._trainer.stop(training_id)
            case Measure():
                self._send(self._trainer.measure(message))


def _answer(spec: WorkloadSpec, facts: Callable[[], WorkloadFacts]) -> WorkloadFacts | CannotDescribe:
    try:
        return facts()
    except InvalidInput as error:
        return CannotDescribe(str(error), is_input=True)
    except Exception as error:
        text = f"workload {spec.name!r} could not be loaded: {type(error).__name__}: {error}\n{traceback.format_exc()}"
        return CannotDescribe(text, is_input=False)


def _listen(connection: Connection[object, object], inbox: Inbox, drain: Callable[[], None]) -> None:
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            try:
                drain()
            finally:
                os._exit(0)
        assert isinstance(message, Message)
        inbox.put(message)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], *(Path(given) if given else None for given in sys.argv[3:]))
