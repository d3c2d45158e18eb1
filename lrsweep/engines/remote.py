"""Checkpoints behind a URL: what fsspec opens, such as an object store, where a name has its content at once or not.

The engine writes and reads files of this machine (``lrsweep.engines.checkpoints``); here they are carried to the folder
of the URL and back, under the same names. A name holds the checksum of its content, so what was carried in half is
found out when it is read.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrsweep.engines.leftovers import is_left, tag
from lrsweep.errors import InvalidInput

_PREFIX = "lrsweep-checkpoints-"


class RemoteFolder:
    """That of one training. Whatever the library raises that opens such URLs comes as an OSError."""

    def __init__(self, url: str) -> None:
        """Raises InvalidInput where no library here opens such a URL. Nothing is reached yet."""
        try:
            from fsspec.core import url_to_fs

            self._files, self._root = url_to_fs(url)
        except Exception as error:  # an ImportError, or a ValueError of any library
            raise InvalidInput(
                f"checkpoints cannot be written to {url!r}: {' '.join(str(error).split())}. Wanted is a folder, or a "
                "URL as fsspec reads it; some need a package of their own (s3fs, gcsfs)."
            ) from error
        self.here = _empty_folder()
        """where a file lies while it is carried"""
        weakref.finalize(self, shutil.rmtree, self.here, ignore_errors=True)

    def names(self) -> list[str]:
        with _as_oserror():
            self._files.invalidate_cache()  # other machines write there too
            try:
                return [str(each).rpartition("/")[2] for each in self._files.ls(self._root, detail=False)]
            except FileNotFoundError:
                return []

    def fetch(self, name: str) -> Path:
        path = self.here / name
        with _as_oserror():
            self._files.get_file(f"{self._root}/{name}", str(path))
        return path

    def put(self, path: Path) -> None:
        """The file goes there, and is gone here."""
        try:
            with _as_oserror():
                self._files.makedirs(self._root, exist_ok=True)
                self._files.put_file(str(path), f"{self._root}/{path.name}")
        finally:
            path.unlink()

    def remove(self, name: str) -> None:
        with _as_oserror():
            self._files.rm_file(f"{self._root}/{name}")


def _empty_folder() -> Path:
    """It goes with its training; engines end by a kill, too, and then with the next one on the machine."""
    parent = Path(tempfile.gettempdir())
    for found in parent.glob(f"{_PREFIX}*"):
        if is_left(found):
            shutil.rmtree(found, ignore_errors=True)
    folder = parent / f"{_PREFIX}{tag()}"
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def _as_oserror() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
