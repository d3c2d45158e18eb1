"""What is to run every night: the same command in the same folder as by hand, with no secret in it.

A secret is named by its variable, and comes from a file that the user alone can read (or from GitHub's secrets).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrsweep.errors import SettingsError
from lrsweep.executors.executor_option import RAY, ExecutorOption
from lrsweep.executors.ray.connection import ADDRESS, AUTH_MODE
from lrsweep.nightly.telling.wanted import NOTIFY, NOTIFY_FILE, PING
from lrsweep.redaction import masked, public_link
from lrsweep.study.durations import seconds_of
from lrsweep.workloads.fetching import is_url

NAME = "lrsweep-nightly"
"""Of the files, without what they end in."""
SECRETS = ("LRSWEEP_DATABASE_URL", NOTIFY, PING)
TRACKING_URI = "MLFLOW_TRACKING_URI"
REMOTE = ("LRSWEEP_DATA", "LRSWEEP_CHECKPOINTS")
"""They may be URLs."""
PATHS = (*REMOTE, "LRSWEEP_DATABASE_URL_FILE", NOTIFY_FILE, "PGPASSFILE")
PLAIN = ("LRSWEEP_ENGINE", "LRSWEEP_EXECUTOR")
OF_RAY = (ADDRESS, AUTH_MODE)
"""Where trainings go to a Ray cluster: which it is, and whether it wants a token."""
MARGIN = 1_800
"""Seconds from the deadline, at which trainings are drained, to the moment at which somebody ends it from outside."""


@dataclass(frozen=True)
class Job:
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    """of `lrsweep nightly run`"""
    folder: Path
    """in which it runs"""
    path: str
    """PATH"""
    environment: Mapping[str, str]
    """without secrets"""
    secrets: tuple[str, ...]
    """variables that are set here and stand in no file that is printed"""
    secrets_file: Path
    user: str
    hour: int
    minute: int
    deadline: float
    """seconds"""

    def __post_init__(self) -> None:
        given = (*self.program, *self.arguments, str(self.folder), self.path, str(self.secrets_file))
        check_signs([*given, *self.environment.values(), self.user])

    @property
    def words(self) -> tuple[str, ...]:
        return (*self.program, *self.arguments)


def check_signs(texts: Iterable[str]) -> None:
    """Raises SettingsError."""
    for text in texts:
        if re.search(r"[\\\x00-\x1f\x7f\x85\u2028\u2029\ufeff]|\$\{\{", text):
            raise SettingsError(
                f"{text!r} has a backslash, a line break or a sign like them, which cron, systemd and GitHub each "
                "read in a way of their own. Rename it, or reach it by a link that has none."
            )


def arguments_of(
    studies: Sequence[str], deadline: str, files: Mapping[str, Path], more: Sequence[str] = ()
) -> tuple[str, ...]:
    """``files``: by the options that name them. ``more``: other options, as they are typed. No study that begins with a
    - is an option.

    >>> arguments_of(["-a.toml"], "6h", {"--summary": Path("night.json")})
    ('nightly', 'run', '--deadline', '6h', '--summary', 'night.json', '--', '-a.toml')
    """
    options = [*more, *(word for option, file in files.items() for word in (option, str(file)))]
    end = ["--"] if any(study.startswith("-") for study in studies) else []
    return ("nightly", "run", "--deadline", deadline, *options, *end, *studies)


def at_of(given: str) -> tuple[int, int]:
    """
    >>> at_of("02:30")
    (2, 30)
    """
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", given)
    hour, minute = (int(found[1]), int(found[2])) if found else (24, 0)
    if hour > 23 or minute > 59:
        raise SettingsError(f"--at is {given!r}; wanted is a time of the day such as '02:30' or '23:05'.")
    return hour, minute


def deadline_of(given: str) -> float:
    seconds = seconds_of(given)
    if seconds is None:
        raise SettingsError(f"--deadline is {given!r}; wanted a time above 0 such as '90s', '10m' or '6h'.")
    if seconds >= 86_400:
        raise SettingsError(f"--deadline is {given!r}; a night comes every 24 hours, so wanted is less, such as '6h'.")
    return seconds


def checked_studies(given: Sequence[str], folder: Path) -> tuple[str, ...]:
    """As they are given; what is no file and no folder is the name of a study in ``studies``, which is all of them
    where none is given, as `lrsweep nightly run` takes it."""
    if not given and not (folder / "studies").is_dir():
        raise SettingsError(
            f"no study is named, and there is no folder studies in {folder}; name studies or a folder of them, or call "
            "this where your studies are."
        )
    for study in given:
        if not (folder / study).exists() and not (folder / "studies" / f"{study}.toml").is_file():
            raise SettingsError(
                f"there is no {study} in {folder}, and no study of that name in its folder studies; name a study, a "
                "study file or a folder of them that is there."
            )
    return tuple(given) or ("studies",)


def environment_of(
    environ: Mapping[str, str], home: Path, executor: ExecutorOption
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What a night needs of this environment, and which variables of it are secret. Paths become absolute; a URL stays
    as it is. ``executor``: the one that it will have."""
    found = {"LRSWEEP_HOME": str(home)}
    secrets = [name for name in SECRETS if environ.get(name)]
    plain = (*PLAIN, *OF_RAY) if executor.name == RAY else PLAIN
    for name in (*PATHS, *plain, TRACKING_URI):
        value = environ.get(name)
        if not value:
            continue
        if name in PATHS and not is_url(value):
            found[name] = str(Path(value).expanduser().absolute())
        elif name in plain or _is_public(value):
            found[name] = value
        else:
            secrets.append(name)
    return found, tuple(secrets)


def remote_places(environment: Mapping[str, str]) -> list[str]:
    """The variables of these that name a place to which a library may have to log in.

    >>> remote_places({"LRSWEEP_DATA": "file:///data", "LRSWEEP_CHECKPOINTS": "s3://bucket/kept"})
    ['LRSWEEP_CHECKPOINTS']
    """
    found = ((name, environment.get(name, "")) for name in REMOTE)
    return [name for name, value in found if is_url(value) and not value.startswith("file://")]


def _is_public(uri: str) -> bool:
    return public_link(uri) == uri and masked(uri) == uri
