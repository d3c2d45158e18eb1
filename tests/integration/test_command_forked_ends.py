"""Whatever is killed, a server of forks, a guard or an engine: nothing is left, and what can go on goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lrsweep.engines.command.forks import Forks
from lrsweep.engines.command.process import Ended, Guarded
from lrsweep.records import Status
from lrsweep.scripts.command import Command
from tests.forked_commands import ENVIRON, a_script, begun, end_of, forked, server_of
from tests.patience import in_time
from tests.scripted_commands import SCRIPTS, Bench, a_plan, lives, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there anything is forked")


STUBBORN_NAMES = ("script", "child", "grandchild")


def stubborn(forks: Forks, folder: Path) -> tuple[Guarded, list[int]]:
    """Three processes that take no notice of SIGTERM, one of them in a session of its own, and their ids."""
    folder.mkdir(exist_ok=True)
    argv = [sys.executable, str(SCRIPTS / "stubborn.py"), str(folder)]
    environ = {**ENVIRON, "LRSWEEP_PLAN": str(folder / "plan.json")}
    script = begun(folder, argv, forks.start(Command(" ".join(argv))), environ)
    return script, stubborn_ids(folder)


def stubborn_ids(folder: Path) -> list[int]:
    files = [folder / f"{name}.pid" for name in STUBBORN_NAMES]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), "the processes did not start")
    ids = [int(file.read_text()) for file in files]
    assert all(map(lives, ids))
    return ids


def gone(ids: Sequence[int]) -> Any:
    return lambda: not any(map(lives, ids))


def test_two_at_once_and_a_kill_ends_one_alone(forks: Forks, tmp_path: Path) -> None:
    """With all its descendants; neither holds the pipes of the other."""
    first, ids = stubborn(forks, tmp_path / "a")
    second, others = stubborn(forks, tmp_path / "b")
    first.close()
    assert first.ended is not None
    assert first.ended.code == -signal.SIGKILL
    assert gone(ids)()
    assert all(map(lives, others))
    wait_until(lambda: (second.wait(0.1), second._pid)[1], "it did not say that it has started")
    os.kill(second._process.pid, signal.SIGKILL)
    assert end_of(second) == Ended(None)
    wait_until(gone(others), "something outlives its guard")


def test_a_stop_is_heard_by_a_fork(forks: Forks, tmp_path: Path) -> None:
    """The file `stop`, and SIGTERM after its grace, with Python's own handling of it."""
    text = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
    script = a_script(tmp_path, text + "print('saved', flush=True); time.sleep(99)")

    def stopped(times: float) -> None:
        folder = tmp_path / f"{times}"
        argv = [*script, str(folder / "stop")]
        one = begun(folder, argv, forks.start(Command(" ".join(argv))), stop_grace=0.5 * times)
        wait_until(lambda: (one.wait(0.1), one._pid)[1], "it did not say that it has started")
        one.stop()
        assert end_of(one) == Ended(-signal.SIGTERM, "saved\n", "")

    in_time(stopped)


def test_a_fork_that_was_forked_by_the_script_dies_with_its_guard(forks: Forks, tmp_path: Path) -> None:
    """It left the group, and /proc shows it with the environment of the server: it is known by the lock that it has."""
    text = "import os, time\nif os.fork() == 0:\n    os.setsid(); open('child', 'w').write(str(os.getpid()))\n"
    text += "time.sleep(99)"
    argv = a_script(tmp_path, f"import os; os.chdir({str(tmp_path)!r})\n{text}")
    environ = {**ENVIRON, "LRSWEEP_PLAN": str(tmp_path / "plan.json")}
    script = begun(tmp_path, argv, forks.start(Command(" ".join(argv))), environ)
    child = tmp_path / "child"
    wait_until(lambda: child.exists() and child.read_text(), "the child did not start")
    wait_until(lambda: (script.wait(0.1), script._pid)[1], "the guard did not say that it has started")
    os.kill(script._process.pid, signal.SIGKILL)
    assert end_of(script) == Ended(None)
    wait_until(gone([int(child.read_text())]), "the child outlives the guard")


def test_a_script_outlives_the_server_and_the_next_has_a_new_one_once(
    forks: Forks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A guard hears the engine by its own pipes. After the second death scripts are started plainly, which is said."""
    go = tmp_path / "go"
    text = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('trained')"
    argv = a_script(tmp_path, text)
    start = forks.start(Command(" ".join(argv)))
    scripts, pids = [], []
    for place in range(2):
        scripts.append(begun(tmp_path / f"t{place}", argv, start))
        assert not isinstance(scripts[-1]._process, subprocess.Popen)
        pids.append(server_of(forks).pid)
        os.kill(pids[-1], signal.SIGKILL)
    assert caplog.records == []
    scripts.append(begun(tmp_path / "t2", argv, start))
    assert isinstance(scripts[-1]._process, subprocess.Popen)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    scripts[0].wait(0.0)
    assert scripts[0].ended is None, "the end of a server is not heard while a guard of its lives"
    assert pids[0] != pids[1]
    go.touch()
    assert [end_of(script) for script in scripts] == [Ended(0, "trained\n", "")] * 3


def test_a_server_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import may wait for ever, such as for a network; the training is started by another."""
    argv = a_script(tmp_path, "print('trained')")

    def hangs(times: float) -> None:
        monkeypatch.setattr("lrsweep.engines.command.forks.PATIENCE", 0.5 * times)
        with closing(Forks(ENVIRON)) as forks:
            assert forked(forks, tmp_path, argv).code == 0
            first = server_of(forks).pid
            os.kill(first, signal.SIGSTOP)
            assert forked(forks, tmp_path, argv) == Ended(0, "trained\n", "")
            assert not lives(first)
            assert server_of(forks).pid != first

    in_time(hangs)


ENGINE = """
import os, sys
from pathlib import Path
from lrsweep.engines.command import forks, process
from lrsweep.scripts.command import Command
made = forks.Forks(os.environ)
argv = sys.argv[2:]
script = process.Guarded(Path(sys.argv[1]), os.environ, start=made.start(Command(" ".join(argv))))
script.begin(argv, stop_grace=0.2, reports=None)
(server,) = made._servers.values()
Path(sys.argv[1], "server").write_text(f"{server.pid} {script._process.pid}")
while True:
    script.wait(1.0)
"""


def test_an_engine_that_is_killed_takes_server_guard_and_script_along(tmp_path: Path) -> None:
    """SIGKILL leaves it no time: the server hears the end of its socket, the guard that of its pipe."""
    argv = [sys.executable, str(SCRIPTS / "stubborn.py"), str(tmp_path)]
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, str(tmp_path), *argv])
    ids = stubborn_ids(tmp_path)
    wait_until(lambda: (tmp_path / "server").exists() and (tmp_path / "server").read_text(), "no server")
    ids += map(int, (tmp_path / "server").read_text().split())
    assert all(map(lives, ids))
    engine.kill()
    engine.wait()
    wait_until(gone(ids), "something outlives the engine")


def test_a_drained_engine_leaves_no_server(tmp_path: Path) -> None:
    """It is started by the first training, and no training after the drain starts another."""
    bench = Bench()
    command = Command(f"{sys.executable} {SCRIPTS / 'quadratic.py'}")
    assert bench.run(a_plan(command, tmp_path / "t")).outcome.status is Status.COMPLETED
    pid = server_of(bench.engine._forks).pid
    assert lives(pid)
    bench.engine.drain()
    assert not lives(pid)
    assert bench.engine._forks._server(next(iter(bench.engine._forks._starts_left))) is None


def test_the_server_keeps_no_children_and_no_pipes(forks: Forks, tmp_path: Path) -> None:
    """After ten trainings it has the descriptors that it had after the first, and no zombies for long."""
    argv = a_script(tmp_path, "")
    forked(forks, tmp_path, argv)
    pid = server_of(forks).pid

    def descriptors() -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    before = descriptors()
    for _ in range(10):
        forked(forks, tmp_path, argv)
    wait_until(lambda: descriptors() <= before, "pipes are left")  # it closes the last ones when it comes to it
    wait_until(lambda: not Path(f"/proc/{pid}/task/{pid}/children").read_text().strip(), "zombies are left")
