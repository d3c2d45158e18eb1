"""Trainings of a script that are forked from a process with its libraries: the same as plainly started ones, sooner."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lrsweep.engines.command.forks import Forks
from lrsweep.engines.command.process import Ended, plainly
from lrsweep.records import Status
from lrsweep.scripts.command import Command
from tests.forked_commands import ENVIRON, IMPORTS, a_script, begun, end_of, forked, plain, server_of, teach
from tests.scripted_commands import Bench, a_plan, lives, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there anything is forked")


# ── the same as a plain start ────────────────────────────────────────────────────────────────────────────────────────

PROBE = """
import gc, json, os, signal, sys, threading
import __main__ as main
def link(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}").partition(":[")[0]
    except OSError:
        return "gone"
signals = {s.name: str(signal.getsignal(s)) for s in signal.Signals if s.name not in ("SIGKILL", "SIGSTOP")}
wakeup = signal.set_wakeup_fd(-1)
main_names = sorted(name for name in vars(main) if name.startswith("__"))
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "executable": sys.executable,
    "flags": str(sys.flags),
    "names": main_names,
    "file": main.__file__, "package": main.__package__, "spec": getattr(main.__spec__, "name", None),
    "loader": type(main.__loader__).__name__, "is_main": main.__dict__ is globals(), "builtins": str(__builtins__),
    "signals": signals, "wakeup": wakeup, "environ": dict(os.environ), "cwd": os.getcwd(),
    "threads": threading.active_count(), "main_thread": threading.current_thread() is threading.main_thread(),
    "native": threading.get_native_id() == os.getpid(), "leads": os.getsid(0) == os.getpid(),
    "descriptors": sorted(link(number) for number in os.listdir("/proc/self/fd")),
    "streams": [(s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty(), s.fileno())
                for s in (sys.stdin, sys.stdout, sys.stderr)],
    "gc": [gc.isenabled(), gc.get_threshold()], "limit": sys.getrecursionlimit(),
    "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__], "umask": os.umask(0o22),
}))
"""


@pytest.mark.parametrize("form", ["absolute", "relative", "dotted", "unbuffered", "module", "package"])
def test_a_fork_finds_what_a_plain_start_finds(
    forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """After another training has taught the server: only a socket for such lessons is there beside."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "package")
    a_script(tmp_path / "package", PROBE, "probe.py")
    a_script(tmp_path / "package", PROBE, "__main__.py")
    arguments = {
        "absolute": [str(tmp_path / "package" / "probe.py"), "--name", "a b", ""],
        "relative": ["link/probe.py"],
        "dotted": ["./package/../package/probe.py"],
        "unbuffered": ["-u", "package/probe.py"],
        "module": ["-m", "package.probe", "-m", "x"],
        "package": ["-u", "-m", "package"],
    }[form]
    argv = [sys.executable, *arguments]
    environ = {
        **ENVIRON,
        "PYTHONPATH": f"{tmp_path}/added:../b",
        "LRSWEEP_PLAN": "plan",
        "CUDA_VISIBLE_DEVICES": "3",
    }
    if "-u" not in arguments:
        teach(forks, tmp_path)
    start = forks.start(Command(" ".join(argv[:4])))
    script = begun(tmp_path / "t", argv, start, environ)
    assert not isinstance(script._process, subprocess.Popen)
    found, wanted = end_of(script), plain(tmp_path / "t", argv, environ)
    assert (found.code, found.errors) == (0, ""), found
    # the tail of output that a message has may be shorter
    texts = (tmp_path / "t" / "output.log").read_text().splitlines()
    first, second = json.loads(texts[0]), json.loads(texts[1])
    first["descriptors"].remove("socket")
    assert first == second
    assert wanted.code == 0


ENDS = {
    "nothing": "",
    "an exception": "def f():\n    return 1 / 0\n\nf()\n",
    "one with a cause": "try:\n    [][0]\nexcept IndexError as e:\n    raise ValueError('x') from e\n",
    "one in a group": "raise ExceptionGroup('g', [ValueError(1), KeyError(2)])",
    "a syntax error": "print('no')\nif:\n",
    "an import that is not there": "import no_such_module",
    "exit 3": "import sys; sys.exit(3)",
    "exit with a text": "import sys; print('out'); sys.exit('so and so')",
    "exit with nothing": "raise SystemExit",
    "exit -1": "raise SystemExit(-1)",
    "at once": "import os; print('lost'); os._exit(5)",
    "ctrl-c": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(9)",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(9)",
    "a crash": "import os; os.abort()",
    "exit functions": "import atexit; atexit.register(print, 'a'); atexit.register(print, 'b'); 1 / 0",
    "an exit function that fails": "import atexit; atexit.register(lambda: 1 / 0); print('x')",
    "threads": "import threading, time\ndef f():\n    time.sleep(0.2); print('late')"
    "\nthreading.Thread(target=f).start()",
    "a daemon": "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "a hook": "import sys; sys.excepthook = lambda *e: print('hook', e[0], e[2].tb_lineno, e[2].tb_next); 1 / 0",
    "a hook that fails": "import sys\ndef hook(*e):\n    1 / 0\nsys.excepthook = hook\nraise KeyError",
    "a file that nobody closes": "f = open('left', 'w'); f.write('x' * 9)",
    "a file inside of an object": "class A:\n    def __init__(self):\n        self.f = open('left', 'w')"
    "\n        self.f.write('in')\n        self.me = self\na = A(); a.b = [a]",
    "a destructor": "class A:\n    def __del__(self):\n        print('deleted')\na = A()",
    "C's own output": "import ctypes; ctypes.CDLL(None).printf(b'printed')",
    "output that cannot be written": "import os, sys; print('x'); os.close(1); os.open('/dev/full', os.O_WRONLY)",
    "no output any more": "import sys; sys.stdout.close()",
    "a child that goes on": "import os\nif os.fork():\n    os.wait()\n    print('parent')\nelse:\n    print('child')",
}


def test_every_end_is_that_of_a_plain_start(forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code, both outputs to the letter with the frames of tracebacks, and what is written to files."""
    monkeypatch.chdir(tmp_path)
    teach(forks, tmp_path)
    differing = {}
    for name, text in ENDS.items():
        argv = a_script(tmp_path / "scripts", text)
        ends = []
        for start in (forks.start(Command(" ".join(argv))), plainly):
            left = tmp_path / "left"
            left.unlink(missing_ok=True)
            ended = end_of(begun(tmp_path / "t", argv, start))
            errors = re.sub("0x[0-9a-f]+", "0x…", ended.errors)
            ends.append((ended.code, ended.output, errors, left.read_text() if left.exists() else None))
        if ends[0] != ends[1]:
            differing[name] = ends
    assert differing == {}


def test_a_file_that_is_not_there_ends_as_with_python(forks: Forks, tmp_path: Path) -> None:
    """The fork executes the command itself."""
    argv = [sys.executable, str(tmp_path / "missing.py")]
    assert forked(forks, tmp_path, argv) == plain(tmp_path, argv)
    assert plain(tmp_path, argv).code == 2


PROCESSES = """
import multiprocessing, os, sys
class Item:
    def __init__(self, x):
        self.x = x
def double(item):
    return Item(2 * item.x)
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, [each.x for each in pool.map(double, [Item(1), Item(2)])])
"""


def test_processes_of_a_script_know_its_classes(forks: Forks, tmp_path: Path) -> None:
    """Pickled by the name of `__main__`, in children that are forked and in such that read the script anew."""
    ended = forked(forks, tmp_path, a_script(tmp_path, PROCESSES))
    assert ended == Ended(0, "".join(f"{method} [2, 4]\n" for method in ("fork", "spawn", "forkserver")), "")


# ── what is imported beforehand ──────────────────────────────────────────────────────────────────────────────────────

TORCH = """
import sys
was = [name in sys.modules for name in ("torch", "torch._dynamo", "lrsweep.integrations.attach", "own")]
import own
import torch
from torch.utils.data import DataLoader, TensorDataset
import lrsweep
run = lrsweep.attach(peak_lr=0.1, total_steps=40)
torch.manual_seed(run.seed)
x = torch.randn(256, 8)
model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
optimizer = torch.optim.AdamW(model.parameters())
scheduler = run.torch(optimizer)
for step, (batch,) in enumerate(DataLoader(TensorDataset(x.repeat(40, 1)), 256, num_workers=2), 1):
    loss = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step(); scheduler.step()
    run.report(step, val_loss=loss.item(), weights=sum(p.double().sum().item() for p in model.parameters()))
print(was)
"""


def test_a_torch_script_has_the_same_values_bit_for_bit(tmp_path: Path) -> None:
    """The second finds torch, what torch imports at the first update, and lrsweep; never what is the user's own."""
    command = " ".join(a_script(tmp_path, TORCH))
    (tmp_path / "own.py").touch()
    bench, curves = Bench(), []
    for place, fork in enumerate((True, True, True, False)):
        ran = bench.run(a_plan(Command(command, fork=fork), tmp_path / f"t{place}", training_id=f"t{place}"))
        assert ran.outcome.status is Status.COMPLETED, ran.outcome
        curves.append({name: list(values) for name, values in ran.curve.evaluations.items()})
        if place == 0:
            wait_until(lambda: finds_torch(bench.engine._forks, tmp_path), "torch was not imported beforehand")
    assert curves[0] == curves[1] == curves[2] == curves[3]
    assert len(curves[0]["weights"]) == 40
    was = [(tmp_path / f"t{place}" / "output.log").read_text() for place in range(4)]
    assert was == [f"[{found}, {found}, {found}, False]\n" for found in (False, True, True, False)]
    bench.engine.drain()


def finds_torch(forks: Forks, folder: Path) -> bool:
    """Whether a script does; while the server imports it another one is started plainly."""
    text = "import sys; print(*(name in sys.modules for name in ('torch._dynamo', 'lrsweep.integrations.attach')))"
    argv = a_script(folder / "asking", text)
    script = begun(folder / "asked", argv, forks.start(Command(" ".join(argv))), forks._environ)
    return end_of(script).output == "True True\n"


def test_an_edited_script_counts_from_the_next_training(forks: Forks, tmp_path: Path) -> None:
    """And so do the modules beside it."""
    helper = tmp_path / "helper.py"
    for value in ("1", "22"):
        helper.write_text(f"VALUE = {value}")
        ended = forked(forks, tmp_path, a_script(tmp_path, f"import helper; print({value}, helper.VALUE)"))
        assert ended.output == f"{value} {value}\n"


def test_a_library_that_the_script_shadows_is_the_scripts_own(forks: Forks, tmp_path: Path) -> None:
    """Whether the server has the real one, or would learn of it."""
    argv = a_script(tmp_path / "own", "import numpy; print(numpy.__file__)")
    (tmp_path / "own" / "numpy.py").touch()
    wanted = Ended(0, f"{tmp_path / 'own' / 'numpy.py'}\n", "")
    assert forked(forks, tmp_path / "t", argv) == wanted
    teach(forks, tmp_path)
    assert forked(forks, tmp_path / "t", argv) == wanted


def test_a_module_of_the_standard_library_may_be_shadowed_too(forks: Forks, tmp_path: Path) -> None:
    """The server itself has imported `socket`."""
    argv = a_script(tmp_path / "own", "import socket; print(socket.WHOSE)")
    (tmp_path / "own" / "socket.py").write_text("WHOSE = 'mine'")
    assert forked(forks, tmp_path / "t", argv) == Ended(0, "mine\n", "")


def test_random_numbers_differ_between_forks(forks: Forks, tmp_path: Path) -> None:
    """As between processes: Python's and numpy's generators are seeded by the system."""
    teach(forks, tmp_path, IMPORTS.replace("numpy", "numpy.random"))
    argv = a_script(tmp_path, "import random, numpy; print(random.random()); print(numpy.random.random())")
    drawn = [forked(forks, tmp_path, argv).output.split() for _ in range(2)]
    assert len({*drawn[0], *drawn[1]}) == 4


def test_a_script_may_have_threads_at_import(forks: Forks, tmp_path: Path) -> None:
    """They are in its own process; numpy's begin anew in each."""
    text = "import threading, numpy; e = threading.Event(); threading.Thread(target=e.set).start(); e.wait()\n"
    argv = a_script(tmp_path, text + "x = numpy.ones((600, 600)); print((x @ x).sum())")
    for _ in range(3):
        assert forked(forks, tmp_path, argv) == Ended(0, "216000000.0\n", "")


def an_environment(folder: Path, library: str) -> str:
    """An interpreter with a pandas of three lines."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "pandas.py").write_text(library)
    return str(folder / "bin" / "python")


def test_a_library_that_cannot_be_forked_is_told_and_imported_by_each_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread would not be in a fork, and whoever waits for that waits for ever. It is said once."""
    forks = Forks(ENVIRON)
    python = an_environment(
        tmp_path / "venv",
        "import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    )
    argv = [python, *a_script(tmp_path, "import threading, pandas; print(threading.active_count())")[1:]]
    assert forked(forks, tmp_path, argv) == Ended(0, "2\n", "")
    wait_until(lambda: not lives(server_of(forks).pid), "the server forks with a thread")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            script = begun(tmp_path, argv, forks.start(Command(" ".join(argv))))
            assert isinstance(script._process, subprocess.Popen)
            assert end_of(script) == Ended(0, "2\n", "")
    assert [record.getMessage() for record in caplog.records] == [
        f"trainings of {python!r} are not forked any more, so that each imports its libraries itself: a library has "
        "started a thread as it was imported"
    ]
    forks.close()


def test_a_library_that_fails_as_it_is_imported_beforehand_is_the_scripts_affair(tmp_path: Path) -> None:
    """What it writes is not seen twice, and an exit at import ends no server."""
    forks = Forks(ENVIRON)
    library = "import sys, atexit\nif not sys.argv[0]:\n    print('beforehand'); sys.exit(3)\nprint('imported')"
    python = an_environment(tmp_path / "venv", library)
    argv = [python, *a_script(tmp_path, "import pandas")[1:]]
    for _ in range(3):
        assert forked(forks, tmp_path, argv) == Ended(0, "imported\n", "")
        time.sleep(0.2)
    forks.close()


# ── what is started plainly ──────────────────────────────────────────────────────────────────────────────────────────


def test_fork_can_be_turned_off(forks: Forks) -> None:
    """And a name in braces where the interpreter or the script stand is none that a server could be started for."""
    assert forks.start(Command("python train.py {seed}")) is not plainly
    assert forks.start(Command("python train.py", fork=False)) is plainly
    assert forks.start(Command("python {seed}.py")) is plainly
    assert forks.start(Command("torchrun train.py")) is plainly


def test_another_environment_starts_plainly(forks: Forks, tmp_path: Path) -> None:
    """Libraries read OMP_NUM_THREADS and its like as they are imported; the variables of a training are others."""
    argv = a_script(tmp_path, "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ['A'])")
    start = forks.start(Command(" ".join(argv)))
    script = begun(tmp_path, argv, start, {**ENVIRON, "A": "1", "CUDA_VISIBLE_DEVICES": "3"})
    assert isinstance(script._process, subprocess.Popen)
    assert end_of(script).output == "3 1\n"


def test_an_interpreter_that_cannot_be_a_server_starts_plainly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Here one that does not know the server's program, as one before Python 3.9; it is said once."""
    fake = tmp_path / "python3"
    fake.write_text(f'#!/bin/sh\ncase "$1" in *forking.py) exit 1;; esac\nexec {sys.executable} "$@"\n')
    fake.chmod(0o755)
    forks = Forks(ENVIRON)
    argv = [str(fake), *a_script(tmp_path, "print('trained')")[1:]]
    for _ in range(2):
        script = begun(tmp_path, argv, forks.start(Command(" ".join(argv))))
        assert end_of(script) == Ended(0, "trained\n", "")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith(f"trainings of {str(fake)!r} are not forked any more")
    forks.close()
