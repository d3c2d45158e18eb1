"""Whatever happens to an engine or to a script: nothing of the script is left, and no two attempts train together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lrsweep.engines.command import guard as guard_module
from lrsweep.engines.command import training
from lrsweep.engines.command.process import GUARD, Ended, Guarded
from lrsweep.scripts.command import Command
from tests.forked_commands import begun, end_of
from tests.patience import in_time
from tests.scripted_commands import SCRIPTS, Bench, a_plan, lives, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="who left the process group is found by /proc")

STUBBORN = [sys.executable, "-I", "-S", str(SCRIPTS / "stubborn.py")]
NAMES = ("script", "child", "grandchild")


def stubborn(folder: Path) -> tuple[Guarded, list[int]]:
    """Three processes that take no notice of SIGTERM, one of them in a session of its own, and their ids."""
    script = begun(folder, [*STUBBORN, str(folder)])
    return script, stubborn_ids(folder)


def stubborn_ids(folder: Path) -> list[int]:
    files = [folder / f"{name}.pid" for name in NAMES]
    wait_until(lambda: all(file.exists() for file in files), "the processes did not start")
    ids = [int(file.read_text()) for file in files]
    assert all(map(lives, ids))
    return ids


def gone(ids: list[int]) -> Callable[[], bool]:
    return lambda: not any(map(lives, ids))


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that waits half a second between SIGTERM and SIGKILL."""
    text = GUARD.read_text()
    assert "\nTERM_SECONDS = 5.0\n" in text
    (tmp_path / "guard.py").write_text(text.replace("TERM_SECONDS = 5.0", "TERM_SECONDS = 0.5"))
    monkeypatch.setattr("lrsweep.engines.command.process.GUARD", tmp_path / "guard.py")


def test_a_kill_reaches_all_that_a_script_has_started(tmp_path: Path, impatient: None) -> None:
    """Also what takes no notice of SIGTERM, and what has left the process group and lost its parent."""
    script, ids = stubborn(tmp_path)
    assert os.getpgid(ids[2]) != os.getpgid(ids[0]) == os.getpgid(ids[1])
    script.close()
    assert script.ended is not None
    assert script.ended.code == -signal.SIGKILL
    assert gone(ids)()


def test_what_a_script_leaves_behind_is_ended_with_it(tmp_path: Path, impatient: None) -> None:
    """It ended in order; its daemon has no training left to serve. The exit code is the script's own."""
    code = "import os, subprocess, sys, time\n" + (
        f"subprocess.Popen([*{STUBBORN!r}, {str(tmp_path)!r}], start_new_session=True)\n"
        f"while not os.path.exists({str(tmp_path / 'script.pid')!r}): time.sleep(0.01)\n"
        "sys.exit(3)\n"
    )
    script = begun(tmp_path, [sys.executable, "-I", "-S", "-c", code])
    ids = stubborn_ids(tmp_path)
    assert end_of(script).code == 3
    assert gone(ids)()


def test_a_script_may_save_what_it_has_when_its_engine_is_gone(tmp_path: Path) -> None:
    """The pipe closes: the file `stop` asks it to leave, and it has its time for that without any signal."""

    def saved(times: float) -> None:
        folder = tmp_path / f"{times}"
        code = (
            "import os, time\n"
            f"while not os.path.exists({str(folder / 'stop')!r}): time.sleep(0.01)\n"
            f"time.sleep(0.3); open({str(folder / 'saved')!r}, 'w').close(); time.sleep(600)\n"
        )
        script = begun(folder, [sys.executable, "-I", "-S", "-c", code], stop_grace=1.0 * times)
        wait_until(lambda: (script.wait(0.1), script._pid)[1], "the script did not start")
        assert script._process.stdin is not None
        script._process.stdin.close()
        assert end_of(script).code == -signal.SIGTERM  # it did not leave by itself after it had saved
        assert (folder / "saved").exists()

    in_time(saved)


ENGINE = """
import os, sys
from pathlib import Path
from lrsweep.engines.command import process
process.GUARD = Path(sys.argv[1])
script = process.Guarded(Path(sys.argv[2]), os.environ)
script.begin(sys.argv[3:], stop_grace=0.2, reports=None)
while True:
    script.wait(1.0)
"""


def test_an_engine_that_is_killed_takes_its_script_along(tmp_path: Path, impatient: None) -> None:
    """SIGKILL leaves it no time for anything: the guard sees the pipe close."""
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(tmp_path / "guard.py"), str(tmp_path), *STUBBORN, str(tmp_path)]
    )
    ids = stubborn_ids(tmp_path)
    engine.kill()
    engine.wait()
    wait_until(gone(ids), "the script outlives its engine")


def test_a_guard_that_is_killed_takes_its_script_along(tmp_path: Path) -> None:
    """The engine sees the pipe close and kills all that have this plan; how the script ended is then not known."""
    script = begun(tmp_path, [*STUBBORN, str(tmp_path)], environ={**os.environ, "LRSWEEP_PLAN": str(tmp_path / "plan")})
    ids = stubborn_ids(tmp_path)
    wait_until(lambda: (script.wait(0.1), script._pid)[1], "the guard did not say that it has started")
    os.kill(script._process.pid, signal.SIGKILL)
    assert end_of(script) == Ended(None)
    wait_until(gone(ids), "something outlives its guard")


def test_the_lock_lasts_as_long_as_the_script_when_its_guard_is_killed(tmp_path: Path) -> None:
    """Nothing tells the script from a stranger here, so that one that left the group lives on: with the lock."""
    script, ids = stubborn(tmp_path)
    wait_until(lambda: (script.wait(0.1), script._pid)[1], "the guard did not say that it has started")
    os.kill(script._process.pid, signal.SIGKILL)
    assert end_of(script) == Ended(None)
    wait_until(gone(ids[:2]), "the group outlives its guard")
    second = Guarded(tmp_path, os.environ)
    second.wait(0.5)
    assert lives(ids[2])
    assert not second.is_locked
    os.kill(ids[2], signal.SIGKILL)
    wait_until(lambda: (second.wait(0.1), second.is_locked)[1], "the lock outlives the script")
    second.close()


def test_a_device_is_not_given_to_another_script_before_the_first_is_dead(tmp_path: Path, impatient: None) -> None:
    """Two trainings in folders of their own; the old one takes no notice of SIGTERM for a while."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    device, other = tmp_path / "host-0.lock", tmp_path / "host-1.lock"
    first = begun(old, [*STUBBORN, str(old)], locks=[device])
    ids = stubborn_ids(old)
    beside = Guarded(tmp_path, os.environ, [other])
    wait_until(lambda: (beside.wait(0.1), beside.is_locked)[1], "a device of its own is not free")
    second = Guarded(new, os.environ, [device])
    wait_until(lambda: (second.wait(0.1), second.lock == str(device))[1], "it does not wait for the device")
    assert not second.is_locked
    first.close()
    assert gone(ids)()
    wait_until(lambda: (second.wait(0.1), second.is_locked)[1], "the device is not given free")
    beside.close()
    second.close()


def test_a_folder_without_locks_is_named_with_the_reason(tmp_path: Path) -> None:
    """As of a file system that has none: here the lock's name is that of a folder."""
    (tmp_path / "lock").mkdir()
    cut = Bench().run(a_plan(Command("train {lr_table}"), tmp_path)).cut
    assert cut is not None
    assert cut.reason == f"{tmp_path / 'lock'} cannot be had: Is a directory"


def test_ctrl_c_and_a_closed_terminal_reach_neither_guard_nor_script(tmp_path: Path) -> None:
    """Both are in sessions of their own, and the guard takes no notice of signals that would end it politely."""
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('done')"
    script = begun(tmp_path, [sys.executable, "-I", "-S", "-c", code])
    wait_until(lambda: (script.wait(0.1), script._pid)[1], "the script did not start")
    assert os.getsid(script._process.pid) == script._process.pid
    wait_until(lambda: os.getsid(script._pid or 0) == script._pid, "the script is in the session of its guard")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(script._process.pid, number)
    go.touch()
    assert end_of(script) == Ended(0, "done\n", "")


def test_signals_are_the_scripts_again(tmp_path: Path) -> None:
    """Python and the guard ignore some; a script that inherited that could not be interrupted."""
    script = begun(tmp_path, ["sh", "-c", "kill -INT $$; echo survived"])
    ended = end_of(script)
    assert (ended.code, "survived" in ended.output) == (-signal.SIGINT, False)


def test_a_second_attempt_waits_until_the_first_is_dead(tmp_path: Path, impatient: None) -> None:
    """The lock is the guard's, and it holds it until the last process is gone."""
    first, ids = stubborn(tmp_path)
    wait_until(lambda: (first.wait(0.1), first.is_locked)[1], "the first has no lock")
    second = Guarded(tmp_path, os.environ)
    second.wait(0.5)
    assert not second.is_locked
    first.close()
    assert gone(ids)()
    wait_until(lambda: (second.wait(0.1), second.is_locked)[1], "the second has no lock")
    second.close()
    assert second.ended == Ended(None)


def test_an_attempt_that_cannot_have_the_lock_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as a death, so that the third in vain fails the training with this reason."""
    holder = Guarded(tmp_path, os.environ)
    wait_until(lambda: (holder.wait(0.1), holder.is_locked)[1], "the lock is not held")
    monkeypatch.setattr(training, "LOCK_PATIENCE", 0.2)
    cut = Bench().run(a_plan(Command("train", stop_grace=0.0), tmp_path)).cut
    holder.close()
    assert cut is not None
    assert cut.reason == f"{tmp_path / 'lock'} cannot be had: an earlier attempt still runs"
    assert cut.is_death


def test_a_script_that_prints_without_end_fills_no_disk(tmp_path: Path) -> None:
    """Ten megabytes: the last one or two are kept in files, and the last 4 kB in the answer."""
    code = "import sys; sys.stdout.write('0123456789abcde\\n' * 655_360); sys.stdout.write('the end')"
    ended = end_of(begun(tmp_path, [sys.executable, "-I", "-S", "-c", code]))
    kept = [(tmp_path / name).stat().st_size for name in ("output.log", "output.log.1")]
    assert sum(kept) < 2 * guard_module.OUTPUT_LIMIT + 200_000
    assert (tmp_path / "output.log").read_text().endswith("the end")
    assert (ended.code, len(ended.output), ended.output[-7:]) == (0, guard_module.TAIL, "the end")


def test_lines_that_are_reports_are_kept_whole_wherever_they_are_cut(tmp_path: Path) -> None:
    """The pipe cuts where it likes; a last line without an end is a line, and what is no report is left out."""
    reports = tmp_path / "reports.jsonl"
    code = (
        "import os, time; write = lambda text: (os.write(1, text.encode()), time.sleep(0.1)); "
        'write(\'noise {\\n{"st\'); write(\'ep": 1}\\n{"epoch": 2}\\n  {"step": 2}\\r\\n\'); write(\'{"step": 3}\')'
    )
    end_of(begun(tmp_path, [sys.executable, "-I", "-S", "-c", code], reports=reports))
    assert reports.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def test_a_guard_whose_engine_is_stopped_does_not_stop_the_script(tmp_path: Path) -> None:
    """Nobody reads what the guard says for as long as the debugger likes; the script's output still flows."""
    script = begun(tmp_path, ["sh", "-c", "i=0; while [ $i -lt 3 ]; do echo $i; sleep 0.1; i=$((i+1)); done"])
    time.sleep(1.0)
    assert end_of(script) == Ended(0, "0\n1\n2\n", "")


def test_no_guard_outlives_its_engine_before_it_has_begun(tmp_path: Path) -> None:
    """The engine ended between starting it and telling it what to run."""
    script = Guarded(tmp_path, os.environ)
    wait_until(lambda: (script.wait(0.1), script.is_locked)[1], "the lock is not held")
    assert script._process.stdin is not None
    script._process.stdin.close()
    assert end_of(script) == Ended(None)
