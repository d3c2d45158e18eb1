"""What was appended to a file since the last look, line by line."""

from __future__ import annotations

from pathlib import Path


class Tail:
    """It opens the file anew for each look: over a network that shows what another machine has written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0

    def lines(self) -> list[str]:
        """The whole lines that are new; the last one waits for its end. None where the file is not there yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._seen)
                read = file.read()
        except FileNotFoundError:
            return []
        whole, newline, _ = read.rpartition(b"\n")
        self._seen += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines() if newline else []
