"""A driver that died is told from one that lives, and in doubt it lives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrsweep.sweep.owner import is_dead, this_owner

PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A living process and the owner that it says it is."""
    code = "from lrsweep.sweep.owner import this_owner; import time; print(this_owner(), flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


def changed(owner: str, **parts: str) -> str:
    """The owner with another pid, host, machine or start."""
    found = re.fullmatch(r"process (?P<pid>\d+) on (?P<host>\S+) \[(?P<machine>\S*) (?P<started>\d*)\]", owner)
    assert found is not None
    now = found.groupdict() | parts
    return f"process {now['pid']} on {now['host']} [{now['machine']} {now['started']}]"


def test_this_process_lives() -> None:
    """And its text names it to people."""
    assert this_owner().startswith(f"process {os.getpid()} on ")
    assert not is_dead(this_owner())


def test_another_process_lives_until_it_is_killed(child: tuple[subprocess.Popen[str], str]) -> None:
    """A zombie, killed but not waited for, is dead already; so it is when it is gone."""
    process, owner = child
    assert str(process.pid) in owner
    assert not is_dead(owner)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert Path("/proc").exists() <= is_dead(owner)
    process.wait()
    assert is_dead(owner)


def test_a_process_elsewhere_is_not_judged(child: tuple[subprocess.Popen[str], str]) -> None:
    """On another host, in another boot or in another container the same number means another process."""
    process, owner = child
    process.kill()
    process.wait()
    assert is_dead(owner)
    assert not is_dead(changed(owner, host="elsewhere"))
    assert not is_dead(changed(owner, machine="00000000:1"))


@PROC
def test_a_number_that_is_used_again_is_not_mistaken() -> None:
    """This process, if it had started one tick later, would be another one."""
    started = this_owner().rpartition(" ")[2].rstrip("]")
    assert is_dead(changed(this_owner(), started=str(int(started) - 1)))


@pytest.mark.parametrize("text", ["", "ann", "process x on box [m 1]", "process 4194999 on box"])
def test_a_text_of_another_form_is_not_judged(text: str) -> None:
    """Whoever wrote it, only the lease's own time says when it ends."""
    assert not is_dead(text)


def test_a_process_that_may_not_be_looked_at_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's, which /proc hides on some machines: no signal is allowed, and nothing is known of it."""

    def refused(pid: int, signum: int) -> None:
        raise PermissionError

    owner = changed(this_owner(), pid="4194999")
    assert is_dead(owner)
    monkeypatch.setattr(os, "kill", refused)
    assert not is_dead(owner)
