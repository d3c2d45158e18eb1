"""Signals: the first is heard, the same one again is not, a later one ends the process; engines leave them to it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from lrsweep.cli.signals import SAME_SECONDS, leaving, obeyed


class Left(Exception):
    """The process has ended."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, by which alone ``leaving`` goes; and to end the process raises ``Left``."""
    now = [100.0]

    def leave(code: int) -> None:
        raise Left(code)

    monkeypatch.setattr("lrsweep.cli.signals.time.monotonic", lambda: now[0])
    monkeypatch.setattr("lrsweep.cli.signals.os._exit", leave)
    return now


def test_what_comes_within_a_second_is_the_same_signal(clock: list[float]) -> None:
    """``timeout`` sends it twice. A later one ends the process, with its own code."""
    heard: list[int] = []
    leave = leaving(heard.append)
    leave(signal.SIGTERM, None)
    leave(signal.SIGTERM, None)
    clock[0] += SAME_SECONDS
    leave(signal.SIGINT, None)
    assert heard == [signal.SIGTERM]
    clock[0] += 0.1
    with pytest.raises(Left, match=str(128 + signal.SIGINT)):
        leave(signal.SIGINT, None)


def test_one_that_comes_while_the_first_is_heard_takes_nothing_from_it(clock: list[float]) -> None:
    heard: list[int] = []

    def hear(signum: int) -> None:
        leave(signal.SIGINT, None)
        heard.append(signum)

    leave = leaving(hear)
    leave(signal.SIGTERM, None)
    assert heard == [signal.SIGTERM]


def test_signals_are_obeyed_for_as_long_as_was_asked() -> None:
    before = signal.getsignal(signal.SIGTERM)
    heard: list[int] = []
    with obeyed(heard.append):
        signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_what_a_workload_starts_can_be_ended_though_its_engine_takes_no_notice(kind: str) -> None:
    """A pool with a busy process is left at once, by SIGTERM; it would else wait for it."""
    code = f"""
import multiprocessing, os, signal, time
from lrsweep.executors.child import _leave_signals_to_the_driver
if __name__ == "__main__":
    _leave_signals_to_the_driver()
    os.kill(os.getpid(), signal.SIGTERM)
    process = multiprocessing.get_context({kind!r}).Process(target=time.sleep, args=(600,))
    process.start()
    time.sleep(1.0)
    process.terminate()
    process.join()
    print(process.exitcode)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == str(-signal.SIGTERM)
