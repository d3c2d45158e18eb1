"""Checkpoints of trainings behind a URL: listed and removed by fsspec, as ``checkpoints`` does with a folder's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from lrsweep.errors import SettingsError


class RemoteFolders:
    """One folder per training, below the URL. It is reached when something is to be removed, and no earlier."""

    def __init__(self, url: str) -> None:
        self._url = url

    def remove(self, name: str) -> None:
        """Most trainings have none. What cannot be removed now is left to the next start."""
        with suppress(Exception):  # of whatever library opens such URLs
            files, root = self._open()
            files.rm(f"{root}/{name}", recursive=True)

    def remove_untouched(self, name: str, since: float) -> None:
        """Where its newest file is older than that, in seconds since 1970. It stays where no age is told."""
        with suppress(Exception):  # of whatever library opens such URLs
            files, root = self._open()
            folder = f"{root}/{name}"
            touched = max(_seconds(files.modified(each)) for each in files.find(folder) or [folder])
            if touched < since:
                files.rm(folder, recursive=True)

    def names(self) -> list[str]:
        """Of the folders. Raises SettingsError where the URL cannot be reached: better at the start than a sweep whose
        checkpoints all fail."""
        with self._reached() as (files, root), suppress(FileNotFoundError):
            return [str(each).rpartition("/")[2] for each in files.ls(root, detail=False)]
        return []

    def is_there(self) -> bool:
        """The first checkpoint makes it. Raises SettingsError as ``names`` does."""
        with self._reached() as (files, root):
            return bool(files.exists(root))

    def has_parent(self) -> bool:
        """Such as its bucket, which no checkpoint makes. Raises SettingsError as ``names`` does."""
        with self._reached() as (files, root):
            parent = files._parent(root)
            return bool(parent.strip("/")) and bool(files.exists(parent))

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        try:
            yield self._open()
        except Exception as error:  # of whatever library opens such URLs
            raise SettingsError(
                f"LRSWEEP_CHECKPOINTS is {self._url!r}, which cannot be reached: {' '.join(str(error).split())}. "
                "Wanted is a folder, or a URL as fsspec reads it; some need a package of their own (s3fs, gcsfs)."
            ) from error

    def _open(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self._url)
        files.invalidate_cache()
        return files, root


def _seconds(modified: datetime) -> float:
    """Since 1970. A time without a zone is UTC, as object stores have it."""
    return (modified if modified.tzinfo else modified.replace(tzinfo=UTC)).timestamp()
