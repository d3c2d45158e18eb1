"""A file in the folder of checkpoints, by which each node can tell whether it sees that folder."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path


class Mark:
    """Made for a driver, and removed by it; one that was killed leaves an empty file."""

    def __init__(self, checkpoints: str | None) -> None:
        """None, or a URL: nothing is to be seen."""
        self.folder = checkpoints
        self.path: str | None = None

    def make(self) -> None:
        if self.folder is None or "://" in self.folder:
            return
        path = Path(self.folder) / f".seen-by-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with suppress(OSError):  # a disk that is full now may have room for checkpoints later
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            self.path = str(path)

    def remove(self) -> None:
        if self.path is not None:
            with suppress(OSError):
                Path(self.path).unlink(missing_ok=True)
            self.path = None
