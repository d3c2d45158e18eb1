"""Where trainings keep what they need to go on: one folder each, the same for all attempts, gone with its result."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from lrsweep.errors import SettingsError
from lrsweep.records import SweepStatus, WorkloadSpec
from lrsweep.scripts.command import NAME as COMMAND
from lrsweep.store.base import Store
from lrsweep.sweep.remote_checkpoints import RemoteFolders
from lrsweep.sweep.remover import Remover

FORGOTTEN_SECONDS = 7 * 24 * 3600.0
"""A folder that this store knows nothing of may belong to another store that shares the home; after a week of silence
nobody is at work there."""

FINISH_SECONDS = 60.0

GONE = ".gone"
"""What a folder's name ends with while it is removed, which may take minutes: no lease waits for that."""

_TRAINING = re.compile(rf"[0-9a-f]{{32}}(?P<gone>{re.escape(GONE)})?")


@dataclass(frozen=True)
class Checkpoints:
    folder: Path | str
    """a URL as text"""
    remover: Remover = field(default_factory=Remover, compare=False)

    def url(self, training_id: str) -> str:
        return f"{self.folder}/{training_id}"

    def remove(self, training_id: str) -> None:
        """It is gone at once under its name; what cannot be removed now is left to the next start, for a result that
        is committed must not fail by it."""
        if isinstance(self.folder, str):
            self.remover.begin(partial(RemoteFolders(self.folder).remove, training_id))
            return
        gone = self.folder / f"{training_id}{GONE}"
        with suppress(OSError):  # most trainings have no folder
            (self.folder / training_id).rename(gone)
            self._remove_aside(gone)

    def finish(self, tick: Callable[[], None]) -> None:
        """Waits until all is removed, but no longer than a minute: the next start does the rest. ``tick`` is called
        meanwhile, and what it raises ends the waiting."""
        until = time.monotonic() + FINISH_SECONDS
        while not self.remover.is_done and time.monotonic() < until:
            time.sleep(0.05)
            tick()

    def tidy(self, store: Store) -> None:
        """Removes what drivers left behind that were killed: folders of trainings that have ended or are forgotten.
        Behind a URL their age is asked for in the background: each takes requests of its own."""
        if isinstance(self.folder, str):
            remote = RemoteFolders(self.folder)
            for folder in filter(_TRAINING.fullmatch, remote.names()):
                goes = _goes(store, folder)
                if goes == "now":
                    self.remove(folder)
                elif goes == "once forgotten":
                    self.remover.begin(partial(remote.remove_untouched, folder, time.time() - FORGOTTEN_SECONDS))
            return
        for found in _listed(self.folder):
            name = _TRAINING.fullmatch(found.name)
            if name and name["gone"]:
                self._remove_aside(found)
            elif name and _is_over(store, found):
                self.remove(found.name)

    def _remove_aside(self, gone: Path) -> None:
        self.remover.begin(partial(shutil.rmtree, gone, ignore_errors=True))


def refuse_remote(folder: Path | str, workload: WorkloadSpec) -> None:
    """Raises SettingsError for a script where checkpoints are behind a URL: it is given a folder."""
    if isinstance(folder, str) and workload.name == COMMAND:
        raise SettingsError(
            f"LRSWEEP_CHECKPOINTS is {folder!r}, but a script saves into a folder; set it to one that all machines see."
        )


def tidy_scratch(scratch: Path) -> None:
    """Removes where killed drivers asked scripts what they are."""
    for found in _listed(scratch):
        if found.name.startswith("lrsweep-") and _is_forgotten(found):
            shutil.rmtree(found, ignore_errors=True)


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_over(store: Store, folder: Path) -> bool:
    goes = _goes(store, folder.name)
    return goes == "now" or (goes == "once forgotten" and _is_forgotten(folder))


def _goes(store: Store, training_id: str) -> Literal["now", "once forgotten", "later"]:
    """A stopped sweep may be continued, and most are not."""
    try:
        training = store.training(training_id)
    except KeyError:
        return "once forgotten"
    if training.status.is_outcome:
        return "now"
    [sweep] = [each for each in store.sweeps(training.study) if each.sweep_id == training.sweep_id]
    return "later" if sweep.status is SweepStatus.RUNNING else "once forgotten"


def _is_forgotten(folder: Path) -> bool:
    touched = 0.0
    for each in (folder, *folder.rglob("*")):
        with suppress(OSError):  # it was removed meanwhile
            touched = max(touched, each.lstat().st_mtime)  # not what it links to, such as lrsweep's own files
    return time.time() - touched > FORGOTTEN_SECONDS
