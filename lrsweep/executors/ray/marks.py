"""A file in the folder of checkpoints, by which each node can tell whether it sees that folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lrsweep.engines.leftovers import is_of_an_ended_process, tag

_PREFIX = ".seen-by-"


class Mark:
    """Made for a driver, and removed by it; what one has left that was killed goes with the next on its machine."""

    def __init__(self, checkpoints: str | None) -> None:
        """None, or a URL: nothing is to be seen."""
        self.folder = checkpoints
        self.path: str | None = None
        """what a node looks for; None: nothing"""
        self._made: Path | None = None

    def make(self) -> None:
        if self.folder is None or "://" in self.folder:
            return
        path = Path(self.folder) / f"{_PREFIX}{tag()}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in filter(is_of_an_ended_process, path.parent.glob(f"{_PREFIX}*")):
                left.unlink(missing_ok=True)
            path.touch()
            self._made = path
        except OSError:  # a full disk may have room for checkpoints later: then a folder of that name has to do
            path = path.parent
        self.path = str(path)

    def remove(self) -> None:
        if self._made is not None:
            with suppress(OSError):
                self._made.unlink(missing_ok=True)
        self._made = self.path = None
