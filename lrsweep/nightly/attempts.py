"""How often each training of a night has begun, a file for each: a script tells its attempts apart by it."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

from lrsweep.sweep.checkpoints import FORGOTTEN_SECONDS

_ATTEMPT = re.compile(r"[0-9a-f]{32}\.attempt")


def attempt_file(folder: Path, identity: str) -> Path:
    return folder / f"{identity}.attempt"


def next_attempt(file: Path) -> int:
    """One more than any process has begun."""
    try:
        attempt = int(file.read_text(encoding="ascii")) + 1
    except (OSError, ValueError):
        attempt = 1
    with suppress(OSError):  # a full disk: whoever goes on may train it from its first step
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(attempt), encoding="ascii")
    return attempt


def tidy_attempts(folder: Path) -> None:
    """Removes those of trainings that nobody has begun again for a week, and that have no checkpoint beside them: of
    a night that never ended, here or in other results that share the place."""
    for found in [*folder.iterdir()] if folder.is_dir() else []:
        if _ATTEMPT.fullmatch(found.name) and not found.with_suffix("").exists():
            with suppress(OSError):  # others tidy too
                if time.time() - found.lstat().st_mtime > FORGOTTEN_SECONDS:
                    found.unlink()
