"""Data sets that lie behind a URL: each machine copies them once, and all processes there read the copy.

``LRSWEEP_DATA`` as a URL becomes a folder that is named after it, so that the path alone, on whatever machine, says
where its content comes from::

    s3://bucket/data   ~/.cache/lrsweep/from/s3%3A%2F%2Fbucket%2Fdata
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from lrsweep.errors import InvalidInput, SettingsError

COPIES = Path("~/.cache/lrsweep/from")


def is_url(given: str) -> bool:
    return "://" in given


def folder_for(url: str) -> Path:
    """Where each machine has its copy; nothing is made or read. Raises SettingsError for a password in it: the folder
    would show it.

    >>> folder_for("s3://bucket/data/").name
    's3%3A%2F%2Fbucket%2Fdata'
    """
    if urlsplit(url).password is not None:
        raise SettingsError(
            "LRSWEEP_DATA is a URL with a password, which would show in the name of a folder. Leave it out, and give "
            "it to the library that opens such URLs, as by its own variables or files."
        )
    return COPIES.expanduser() / quote(url.rstrip("/"), safe="")


def at_hand(folder: Path) -> Path:
    """The folder itself; for one of ``folder_for`` this machine's copy, made where it is missing.

    Raises InvalidInput where the URL cannot be read.
    """
    url = source_of(folder)
    if url is None:
        return folder
    copy = folder_for(url)
    if not copy.exists():
        with alone(copy.with_name(f"{copy.name}.lock")):
            if not copy.exists():  # nobody has made it while this process waited
                _fetch(url, copy)
    return copy


def source_of(folder: Path) -> str | None:
    """The URL that ``folder_for`` was given for it; None for any other folder."""
    is_copy = folder.parent.parts[-len(COPIES.parts[1:]) :] == COPIES.parts[1:]
    return unquote(folder.name) if is_copy else None


def is_anything_at(url: str) -> bool:
    """Raises InvalidInput where the URL cannot be asked."""
    try:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(url)
        return bool(files.exists(root))
    except Exception as error:  # of whatever library opens such URLs: there is no list of them
        raise _unreadable(url, error) from error


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process of the machine at a time; one that is killed gives it up."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(url: str, copy: Path) -> None:
    """A copy has its name only when it is whole."""
    part = copy.with_name(f"{copy.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of one that was killed
    try:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(url)
        found = files.find(root)
        if not found:
            raise FileNotFoundError(f"there is no file at {url}")
        for name in found:
            target = part / name.removeprefix(root).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(name, str(target))
        part.rename(copy)
    except Exception as error:
        shutil.rmtree(part, ignore_errors=True)
        raise _unreadable(url, error) from error


def _unreadable(url: str, error: Exception) -> InvalidInput:
    reason = " ".join(str(error).split()) or type(error).__name__
    return InvalidInput(
        f"LRSWEEP_DATA is {url!r}, which cannot be copied to this machine: {reason}. Wanted is a folder, or the "
        "URL of one as fsspec reads it, such as s3://bucket/folder; some need a package of their own (s3fs, gcsfs)."
    )
