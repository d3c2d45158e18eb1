"""``lrsweep nightly install``: the files made, printed or written, and what stands in none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import typer

from lrsweep import __version__
from lrsweep.errors import SettingsError
from lrsweep.executors.devices import names_in
from lrsweep.executors.engine_option import EngineOption
from lrsweep.executors.executor_option import RAY, ExecutorOption
from lrsweep.executors.ray.connection import ADDRESS
from lrsweep.executors.ray.share import check_device
from lrsweep.files import check_target, write_whole
from lrsweep.nightly.installing import cron, github, systemd
from lrsweep.nightly.installing.here import in_repository, job_here
from lrsweep.nightly.installing.job import Job, remote_places
from lrsweep.nightly.telling.prometheus import check_name
from lrsweep.nightly.telling.wanted import PROMETHEUS
from lrsweep.settings import ENGINE, EXECUTOR, read_settings


def install(
    environ: Mapping[str, str],
    kind: str,
    studies: Sequence[str],
    *,
    at: str,
    deadline: str,
    files: Mapping[str, Path | None],
    out: Path | None,
    package: str | None = None,
    always: bool = False,
    placed: Mapping[str, str | None] = MappingProxyType({}),
) -> None:
    """``kind``: cron, systemd or github. ``package``: what pip installs for the last one; None: this release.
    ``placed``: where and how it trains, by the options that say it."""
    if package is not None and kind != "github":
        raise SettingsError(
            f"--package is {package!r}, and --{kind} names the lrsweep that is installed here; leave it out. It says "
            "what a workflow of --github installs."
        )
    wanted = {option: file for option, file in files.items() if file is not None}
    if kind == "github":  # its summary and its report are kept beside the job
        wanted = {"--summary": Path(github.SUMMARY), "--report": Path(github.REPORT)} | wanted
    for option, file in wanted.items():
        check_target(file, option)
        if option == PROMETHEUS:
            check_name(file, option)
    settings = read_settings(environ)
    if kind == "github":  # of what is set here a machine elsewhere knows nothing
        placed = _with_what_is_set(placed, environ)
    given = {option: value for option, value in placed.items() if value is not None}
    executor = _checked(given, settings.executor)
    more = [*(["--always"] if always else []), *(word for pair in given.items() for word in pair)]
    job = job_here(
        environ, settings.home, studies, at=at, deadline=deadline, files=wanted, executor=executor, more=more
    )
    made = _files(kind, job, studies, package, executor)
    if out is None:
        typer.echo(_printed(made), nl=False)
    else:
        _write(made, out)
    _tell_what_is_left(kind, job, executor)


def _with_what_is_set(placed: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, str | None]:
    """The variables that stand for options, as options."""
    variables = {"--engine": ENGINE, "--executor": EXECUTOR}
    return {
        option: value if value is not None or option not in variables else environ.get(variables[option]) or None
        for option, value in placed.items()
    }


def _checked(given: Mapping[str, str], executor: ExecutorOption) -> ExecutorOption:
    """The executor that a night will have, which is ``executor`` where no option says it. Raises SettingsError where a
    night would be refused for what is given."""
    if (engine := given.get("--engine")) is not None:
        EngineOption.parsed(engine)
    if (named := given.get("--executor")) is not None:
        executor = ExecutorOption.parsed(named)
    if (device := given.get("--device")) is not None:
        names_in(device)
        if executor.name == RAY:
            check_device(device)
    return executor


def _files(
    kind: str, job: Job, studies: Sequence[str], package: str | None, executor: ExecutorOption
) -> dict[str, str]:
    if kind == "cron":
        return cron.files(job)
    if kind == "systemd":
        return systemd.files(job)
    job, within = in_repository(job, studies)
    extras = "nightly,ray" if executor.name == RAY else "nightly"
    return github.files(job, package=package or f"lrsweep[{extras}]=={__version__}", extras=extras, within=within)


def _printed(made: Mapping[str, str]) -> str:
    """Where there are several, each says what it is called."""
    if len(made) == 1:
        return next(iter(made.values()))
    return "\n".join(f"# ── {name} ──\n{text}" for name, text in made.items())


def _write(made: Mapping[str, str], folder: Path) -> None:
    """All of them or none: what is there and says something else is somebody's work."""
    if not folder.is_dir():
        raise SettingsError(f"--out {folder} is no folder that is there; make it, or name another one.")
    for name, text in made.items():
        file = folder / name
        check_target(file, "--out")
        if file.exists() and file.read_bytes() != text.encode():
            raise SettingsError(
                f"{file} is there and says something else; remove it, or name another folder with --out."
            )
    for name, text in made.items():
        write_whole(folder / name, text, "--out")
        typer.echo(f"written: {folder / name}", err=True)


def _tell_what_is_left(kind: str, job: Job, executor: ExecutorOption) -> None:
    place = "a secret of the repository" if kind == "github" else str(job.secrets_file)
    for name in job.secrets:
        typer.echo(f"{name} is set here and stands in no file, for it is a secret: put it into {place}.", err=True)
    if kind == "github":
        _tell_of_github(job, executor)
        return
    for name in remote_places(job.environment):
        typer.echo(
            f"{name} is a URL: what its library needs to log in there (variables such as AWS_ACCESS_KEY_ID) stands in "
            f"no file; put it into {place}, unless it finds that in a file of your home.",
            err=True,
        )


def _tell_of_github(job: Job, executor: ExecutorOption) -> None:
    if github.minutes(job) > github.LONGEST:
        typer.echo(
            f"the job may take {github.minutes(job)} minutes, and GitHub's own machines end it after {github.LONGEST}: "
            "run it on a machine of yours, or shorten --deadline to 5h.",
            err=True,
        )
    if executor.name == RAY and ADDRESS in job.environment:
        typer.echo(
            f"{ADDRESS} is set here and not in the workflow: set it on the machine that runs the job, which has to be "
            "part of the cluster.",
            err=True,
        )
