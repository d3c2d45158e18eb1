"""The engine's process: ``python -m lrsweep.executors.child FD DEVICE``, started by ``LocalExecutor``.

It reads plans from the pipe FD, trains them in order, and writes records back. When the pipe closes it ends at once:
its driver is gone, and whoever drives next will queue the training again.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from lrsweep.errors import InvalidInput
from lrsweep.executors.messages import CannotDescribe, Describe
from lrsweep.records import TrainingPlan, WorkloadSpec


def main(fd: int, device_name: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver decides what it means
    connection: Connection[object, object] = Connection(fd)
    inbox: queue.SimpleQueue[Describe | TrainingPlan] = queue.SimpleQueue()
    # before the imports below, which take seconds: a driver that dies meanwhile must not leave this process behind
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()

    from lrsweep.engines.device import open_device
    from lrsweep.engines.sequential import train, warm_up
    from lrsweep.workloads.base import Workload, load

    workloads: dict[str, Workload] = {}

    def workload_of(spec: WorkloadSpec) -> Workload:
        key = repr((spec.name, sorted(spec.settings.items())))
        if key not in workloads:
            workloads[key] = load(spec, open_device(device_name))
            warm_up(workloads[key])
        return workloads[key]

    while True:
        message = inbox.get()
        if isinstance(message, TrainingPlan):
            train(message, workload_of(message.workload), connection.send)
            continue
        try:
            connection.send(workload_of(message.workload).facts)
        except InvalidInput as error:
            connection.send(CannotDescribe(str(error), is_input=True))
        except Exception as error:
            name = message.workload.name
            text = f"workload {name!r} could not be loaded: {type(error).__name__}: {error}\n{traceback.format_exc()}"
            connection.send(CannotDescribe(text, is_input=False))


def _listen(connection: Connection[object, object], inbox: queue.SimpleQueue[Describe | TrainingPlan]) -> None:
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        assert isinstance(message, Describe | TrainingPlan)
        inbox.put(message)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2])
    except BrokenPipeError:
        os._exit(0)
