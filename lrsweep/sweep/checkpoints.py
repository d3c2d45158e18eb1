"""Where trainings keep what they need to go on: one folder each, the same for all attempts, gone with its result."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lrsweep.store.base import Store

FORGOTTEN_SECONDS = 7 * 24 * 3600.0
"""A folder that this store knows nothing of may belong to another store that shares the home; after a week of silence
nobody is at work there."""

_TRAINING_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Checkpoints:
    folder: Path

    def url(self, training_id: str) -> str:
        return str(self.folder / training_id)

    def remove(self, training_id: str) -> None:
        """What cannot be removed now is left to the next start: a result that is committed must not fail by it."""
        shutil.rmtree(self.folder / training_id, ignore_errors=True)

    def tidy(self, store: Store) -> None:
        """Removes what drivers left behind that were killed: folders of trainings that have ended or are forgotten."""
        if not self.folder.is_dir():
            return
        for found in self.folder.iterdir():
            if not _TRAINING_ID.fullmatch(found.name):
                continue
            try:
                is_over = store.training(found.name).status.is_outcome
            except KeyError:
                is_over = time.time() - _last_touched(found) > FORGOTTEN_SECONDS
            if is_over:
                self.remove(found.name)


def _last_touched(folder: Path) -> float:
    touched = 0.0
    for each in (folder, *folder.rglob("*")):
        with suppress(OSError):  # it was removed meanwhile
            touched = max(touched, each.stat().st_mtime)
    return touched
