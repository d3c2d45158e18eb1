"""A forked process becomes a script: what ``python train.py`` would have made of it, as near as can be.

On the standard library alone, from Python 3.9: it runs in the interpreter of the script (``forking`` is its program),
and the engine asks it which commands can be forked at all. What stays different, and why nobody should mind:

    ``/proc/PID/cmdline``, ``/proc/PID/environ``   are the server's; ``sys.argv`` and ``os.environ`` are the script's
    the order of sets of texts                     is one for all trainings of a server, unless PYTHONHASHSEED is set
    warnings of imports that were done before      are not in errors.log
    destructors outside of ``__main__``            do not run at the end; files are flushed
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import gc
import io
import os
import re
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Sequence
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

PYTHON = re.compile(r"python(3(\.\d+)?)?")
FLUSH_FAILED = 120
"""Python's exit code where its last output could not be written."""


class Invocation(NamedTuple):
    """``python [-u] file.py …`` or ``python [-u] -m module …``."""

    interpreter: str
    unbuffered: bool
    is_module: bool
    name: str
    """of the file or the module"""
    arguments: tuple[str, ...]


class Interpreter(NamedTuple):
    """What was there before anything was imported for a script."""

    modules: frozenset[str]
    pythonpath: str


def read(argv: Sequence[str]) -> Invocation | None:
    """None for every other command: one with options of Python has a start of its own."""
    if not argv or PYTHON.fullmatch(Path(argv[0]).name) is None:
        return None
    unbuffered = list(argv[1:2]) == ["-u"]
    at = 2 if unbuffered else 1
    is_module = list(argv[at : at + 1]) == ["-m"]
    at += is_module
    if len(argv) <= at or argv[at].startswith("-") or not (is_module or argv[at].endswith(".py")):
        return None
    return Invocation(argv[0], unbuffered, is_module, argv[at], tuple(argv[at + 1 :]))


def become(argv: Sequence[str], before: Interpreter, teach: Callable[[], None]) -> NoReturn:
    """Runs the script in this process and ends it; ``teach`` is called when it has ended in order.

    The environment is the script's already. Where a fork would not be the same, the command is executed instead.
    """
    invocation = read(argv)
    if invocation is None or not _can_be_here(invocation, before):
        _execute(argv)
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGPIPE, signal.SIG_IGN),
        (signal.SIGXFSZ, signal.SIG_IGN),
    ):
        signal.signal(number, handler)  # as Python has them after its start
    sys.argv[:] = ["-m" if invocation.is_module else invocation.name, *invocation.arguments]
    sys.orig_argv = list(argv)  # Lightning and others start themselves again by it
    sys.path[:] = _path(invocation, before)
    if "numpy.random" in sys.modules:  # Python's own generator seeds itself anew in a fork
        sys.modules["numpy.random"].seed()
    code = 0
    failure: BaseException | None = None
    try:
        _run(invocation)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException as error:
        failure = error
    if failure is not None:
        code = 1
        _show(failure)
    if code == 0:
        with contextlib.suppress(Exception):
            teach()
    _leave(code, is_interrupted=isinstance(failure, KeyboardInterrupt))


def own_folder(invocation: Invocation) -> str:
    """What Python puts first into its path."""
    return str(Path.cwd() if invocation.is_module else Path(invocation.name).resolve().parent)


def hides(folder: str, roots: Collection[str]) -> bool:
    """Whether a script in this folder means a module of its own by one of these names. A folder of data hides none."""
    found = (PathFinder.find_spec(root, [folder]) for root in roots)
    return any(spec is not None and spec.origin is not None for spec in found)


def _can_be_here(invocation: Invocation, before: Interpreter) -> bool:
    """Not where a module that is loaded would be another one for the script, nor where there is no such file."""
    if not invocation.is_module and not Path(invocation.name).is_file():
        return False
    loaded = {name.partition(".")[0] for name in sys.modules} - before.modules
    return not hides(own_folder(invocation), loaded)


def _execute(argv: Sequence[str]) -> NoReturn:
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 (the user's own command, and no shell)
    except OSError as error:
        os.write(2, f"{argv[0]} cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _path(invocation: Invocation, before: Interpreter) -> list[str]:
    """As ``site`` makes it: whole names, each once."""
    earlier = _entries(before.pythonpath)
    rest = [entry for entry in sys.path if entry not in earlier]
    path = dict.fromkeys([*_entries(os.environ.get("PYTHONPATH", "")), *rest])
    own = [] if getattr(sys.flags, "safe_path", False) else [own_folder(invocation)]
    return [*own, *path]


def _entries(pythonpath: str) -> list[str]:
    entries = pythonpath.split(os.pathsep) if pythonpath else []
    return [os.path.abspath(entry) for entry in entries]  # noqa: PTH100 (as ``site`` does: no link is followed)


def _run(invocation: Invocation) -> None:
    main = ModuleType("__main__")
    space = vars(main)
    space.update(__builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = main
    if invocation.is_module:
        runpy._run_module_as_main(invocation.name)  # type: ignore[attr-defined]
        return
    path = os.path.join(Path.cwd(), invocation.name)  # noqa: PTH118 (as Python has it: "./" stays)
    space.update(__file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path))
    exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), space)  # noqa: S102 (it is the user's own script)


# ── the end of an interpreter ────────────────────────────────────────────────────────────────────────────────────────


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1


def _show(error: BaseException) -> None:
    begins = error.__traceback__
    while begins is not None and begins.tb_frame.f_code.co_filename == _show.__code__.co_filename:
        begins = begins.tb_next
    error.__traceback__ = begins
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, begins
    try:
        sys.excepthook(type(error), error, begins)
    except BaseException as other:  # a hook of the user's own
        sys.stderr.write("Error in sys.excepthook:\n")
        frames = other.__traceback__
        other.__traceback__ = frames and frames.tb_next
        sys.__excepthook__(type(other), other, other.__traceback__)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(type(error), error, begins)


def _leave(code: int, *, is_interrupted: bool) -> NoReturn:
    """Threads, exit functions, ``__main__``'s own objects, output; but not the modules of libraries: that takes 0.3 s
    with torch, and nobody sees it."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):  # it has shown them
        atexit._run_exitfuncs()
    code = _flush(code)
    if threading.active_count() == 1:  # else a daemon thread may still use them
        space = vars(sys.modules["__main__"])
        for name in [name for name in space if name != "__builtins__"]:
            space[name] = None
        gc.collect()
        code = _flush(code)
    ctypes.CDLL(None).fflush(None)
    if is_interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _flush(code: int) -> int:
    """Every file that the script has left open. What was there as the server froze its objects is not among those that
    are listed: its streams are older than that."""
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    for file in (*streams, *gc.get_objects()):
        if issubclass(type(file), (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
            try:
                if not file.closed:
                    file.flush()
            except Exception as error:  # whatever a file of the user's is
                if file is sys.stdout and code != FLUSH_FAILED:
                    code = FLUSH_FAILED
                    told = "".join(traceback.format_exception_only(type(error), error))
                    sys.stderr.write(f"Exception ignored in: {file!r}\n{told}")
    return code
