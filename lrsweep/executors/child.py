"""The engine's process: ``python -m lrsweep.executors.child FD DEVICE DATA``, started by ``LocalExecutor``.

It reads plans from the pipe FD, trains them in order, and writes records back; the user's own scripts run beside each
other, and torch is not imported for them. When the pipe closes it ends at once: its driver is gone, and whoever drives
next will queue the trainings again.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from lrsweep.engines.command import CommandEngine, describe
from lrsweep.engines.command.endings import Cut
from lrsweep.engines.command.engine import Pulse
from lrsweep.errors import InvalidInput
from lrsweep.executors.messages import Alive, CannotDescribe, Describe, Lost, Prepare
from lrsweep.records import TrainingPlan, WorkloadFacts, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.scripts.command import command_of

if TYPE_CHECKING:
    from lrsweep.workloads.base import Workload

Message = Prepare | Describe | TrainingPlan
Send = Callable[[object], None]


def main(fd: int, device_name: str, data: Path | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver decides what it means
    connection: Connection[object, object] = Connection(fd)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    # before anything is loaded, which takes seconds: a driver that dies meanwhile must not leave this process behind
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    sending = threading.Lock()

    def send(message: object) -> None:
        with sending:
            connection.send(message)

    scripts = _Scripts(send)
    workloads: _Workloads | None = None
    while True:
        message = inbox.get()
        if message.workload.name == COMMAND:
            scripts.take(message)
            continue
        workloads = workloads or _Workloads(device_name, data, send)
        workloads.take(message)


class _Scripts:
    """Commands: what the user's own scripts are, and trainings by them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._engine = CommandEngine(os.environ.copy(), emit=send, lose=self._lose, alive=self._alive)

    def take(self, message: Message) -> None:
        match message:
            case TrainingPlan():
                self._engine.submit(message)
            case Describe(spec, folder):
                tick = Pulse(self._alive).tick
                self._send(_answer(spec, lambda: describe(command_of(spec), os.environ, folder, tick)))

    def _alive(self) -> None:
        self._send(Alive())

    def _lose(self, plan: TrainingPlan, cut: Cut) -> None:
        self._send(Lost(plan.training_id, cut.reason, was_running=cut.is_death))


class _Workloads:
    """Models that are trained in this process; torch is imported when it is made."""

    def __init__(self, device_name: str, data: Path | None, send: Send) -> None:
        import lrsweep.engines.sequential

        self._train = lrsweep.engines.sequential.train
        self._device_name = device_name
        self._data = data
        self._send = send
        self._loaded: dict[str, Workload] = {}

    def take(self, message: Message) -> None:
        match message:
            case TrainingPlan():
                self._train(message, self._workload(message.workload), self._send)
            case Describe(spec):
                self._send(_answer(spec, lambda: self._workload(spec).facts))

    def _workload(self, spec: WorkloadSpec) -> Workload:
        from lrsweep.engines.device import open_device
        from lrsweep.engines.sequential import warm_up
        from lrsweep.workloads.base import load

        key = repr((spec.name, sorted(spec.settings.items())))
        if key not in self._loaded:
            self._loaded[key] = load(spec, open_device(self._device_name), self._data)
            warm_up(self._loaded[key])
        return self._loaded[key]


def _answer(spec: WorkloadSpec, facts: Callable[[], WorkloadFacts]) -> WorkloadFacts | CannotDescribe:
    try:
        return facts()
    except InvalidInput as error:
        return CannotDescribe(str(error), is_input=True)
    except Exception as error:
        text = f"workload {spec.name!r} could not be loaded: {type(error).__name__}: {error}\n{traceback.format_exc()}"
        return CannotDescribe(text, is_input=False)


def _listen(connection: Connection[object, object], inbox: queue.SimpleQueue[Message]) -> None:
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        assert isinstance(message, Prepare | Describe | TrainingPlan)
        inbox.put(message)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if sys.argv[3] else None)
    except BrokenPipeError:
        os._exit(0)
