"""Scripts that are started under a guard, in a fork and plainly, by the tests of forked trainings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lrsweep.engines.command.forks import Forks, _Server
from lrsweep.engines.command.process import Ended, Guarded, Start, plainly
from lrsweep.scripts.command import Command
from tests.scripted_commands import wait_until

NOT_OURS = ("PYTEST_CURRENT_TEST", "PYTHONUNBUFFERED")
"""The second would hide output that is still in a buffer at the end."""
ENVIRON = {name: value for name, value in os.environ.items() if name not in NOT_OURS}


def server_of(forks: Forks) -> _Server:
    (server,) = forks._servers.values()
    return server


def a_script(folder: Path, text: str, name: str = "train.py") -> list[str]:
    """Its command."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return [sys.executable, str(path)]


def begun(
    folder: Path,
    argv: Sequence[str],
    start: Start = plainly,
    environ: Mapping[str, str] = ENVIRON,
    stop_grace: float = 0.2,
    *,
    reports: Path | None = None,
    locks: Sequence[Path] = (),
) -> Guarded:
    folder.mkdir(exist_ok=True)
    script = Guarded(folder, environ, locks, start=start)
    script.begin(argv, stop_grace=stop_grace, reports=reports)
    return script


def end_of(script: Guarded) -> Ended:
    wait_until(lambda: (script.wait(0.1), script.ended)[1], "the script did not end")
    assert script.ended is not None
    return script.ended


def forked(forks: Forks, folder: Path, argv: Sequence[str], environ: Mapping[str, str] = ENVIRON) -> Ended:
    start = forks.start(Command(" ".join(argv)))
    assert start is not plainly
    script = begun(folder, argv, start, environ)
    try:
        assert not isinstance(script._process, subprocess.Popen), "it was started plainly"
        return end_of(script)
    finally:
        script.close()  # one that is given up is not left to the next test


def plain(folder: Path, argv: Sequence[str], environ: Mapping[str, str] = ENVIRON) -> Ended:
    return end_of(begun(folder, argv, plainly, environ))


IMPORTS = "import sys; was = 'numpy' in sys.modules; import numpy; print(was)"


def teach(forks: Forks, folder: Path, imports: str = IMPORTS, python: str = sys.executable) -> None:
    """Until a script finds imported what the one before has used."""
    argv = [python, *a_script(folder / "teaching", imports)[1:]]
    wait_until(lambda: forked(forks, folder / "taught", argv).output == "True\n", "nothing was imported beforehand")
