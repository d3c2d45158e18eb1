"""Files that a command writes for its user: whole or not at all, and refused before the work rather than after it."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from lrsweep.errors import SettingsError


def check_target(file: Path, option: str) -> None:
    """Before the work is done whose result is to be in it. Raises SettingsError where it cannot be written, as far as
    that is known now; ``option`` is what the user has named it by, such as ``--out``. A folder that is not there is
    made later where a relative path names it in the working folder; elsewhere it is more likely a slip."""
    try:
        target = file.resolve()
        if target.is_dir():
            raise SettingsError(f"{option} {file} is a folder; wanted a file.")
        if is_stream(file):
            return
        folder = target.parent
        while _is_below_here(file, target) and not folder.exists():
            folder = folder.parent
        if not folder.exists():
            raise SettingsError(
                f"{option} {file}: there is no folder {file.parent}; make it, or name a file in another one."
            )
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} is not yours to write in")
    except (OSError, RuntimeError) as error:  # a RuntimeError where links lead in a circle
        raise _unwritable(file, option, error) from None


def write_whole(file: Path, content: str | bytes, option: str) -> None:
    """Whoever reads meanwhile has all of the old content or all of the new, and after a failure it is the old. What a
    link leads to is written, with the permissions that it has; what is no file, such as a pipe, gets it at once.

    Raises SettingsError as ``check_target`` does, and where writing shows more.
    """
    check_target(file, option)
    data = content.encode() if isinstance(content, str) else content
    try:
        if is_stream(file):
            file.write_bytes(data)
            return
        target = file.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data)
    except OSError as error:
        raise _unwritable(file, option, error) from error


def _replace(target: Path, data: bytes) -> None:
    fresh = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}")  # names may be 255 bytes long
    try:
        with fresh.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, fresh)
        fresh.replace(target)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def _is_below_here(file: Path, target: Path) -> bool:
    return not file.is_absolute() and target.is_relative_to(Path.cwd())


def is_stream(file: Path) -> bool:
    """``/dev/stdout``, a pipe: by its own name, as a pipe has no other."""
    return file.exists() and not file.is_file() and not file.is_dir()


def _unwritable(file: Path, option: str, error: Exception) -> SettingsError:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return SettingsError(f"{option} {file}: cannot be written ({reason}); wanted a file that can.")
