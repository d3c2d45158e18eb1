"""Checkpoints of trainings behind a URL: listed and removed by fsspec, as ``checkpoints`` does with a folder's."""

from __future__ import annotations

from contextlib import suppress
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

    def names(self) -> list[str]:
        """Of the folders. Raises SettingsError where the URL cannot be reached: better at the start than a sweep whose
        checkpoints all fail."""
        try:
            files, root = self._open()
            return [str(each).rpartition("/")[2] for each in files.ls(root, detail=False)]
        except FileNotFoundError:
            return []
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
