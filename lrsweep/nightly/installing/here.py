"""The job as it is run here: this interpreter's `lrsweep`, this folder, this user, what this environment says."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lrsweep.errors import SettingsError
from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.nightly.installing.job import (
    Job,
    arguments_of,
    at_of,
    checked_studies,
    deadline_of,
    environment_of,
)

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def job_here(
    environ: Mapping[str, str],
    home: Path,
    studies: Sequence[str],
    *,
    at: str,
    deadline: str,
    files: Mapping[str, Path],
    executor: ExecutorOption,
    more: Sequence[str] = (),
) -> Job:
    """``home``: the folder of results. ``files``: what a night writes, by the options that name it. ``executor``:
    where it trains. ``more``: other options of a night, as they are typed. Raises SettingsError."""
    folder = Path.cwd()
    hour, minute = at_of(at)
    environment, secrets = environment_of(environ, home, executor)
    program = _program()
    return Job(
        program=program,
        arguments=arguments_of(checked_studies(studies, folder), deadline, files, more),
        folder=folder,
        path=f"{Path(program[0]).parent}:{SYSTEM_PATH}",
        environment=environment,
        secrets=secrets,
        secrets_file=_config(environ) / "lrsweep" / "nightly.env",
        user=getpass.getuser(),
        hour=hour,
        minute=minute,
        deadline=deadline_of(deadline),
    )


def in_repository(job: Job, studies: Sequence[str]) -> tuple[Job, str]:
    """For a checkout elsewhere: studies as they are named in the repository, and the folder in it to run in. Raises
    SettingsError for a study, or a file to write, that is outside of it."""
    root = next((each for each in (job.folder, *job.folder.parents) if (each / ".git").exists()), job.folder)
    for study in studies:
        if (job.folder / study).exists() and not (job.folder / study).resolve().is_relative_to(root.resolve()):
            raise SettingsError(
                f"{study} is not in the repository {root}, and a workflow has nothing else; move it there."
            )
    named = {study: os.path.relpath(study, job.folder) for study in studies if Path(study).is_absolute()}
    arguments = tuple(named.get(word, word) for word in job.arguments)
    return replace(job, arguments=arguments), job.folder.relative_to(root).as_posix()


def _program() -> tuple[str, ...]:
    """The command beside this interpreter, which finds its libraries by itself."""
    command = Path(sys.executable).with_name("lrsweep")
    return (str(command),) if os.access(command, os.X_OK) else (sys.executable, "-m", "lrsweep.cli")


def _config(environ: Mapping[str, str]) -> Path:
    given = environ.get("XDG_CONFIG_HOME")
    return Path(given) if given and Path(given).is_absolute() else Path.home() / ".config"
