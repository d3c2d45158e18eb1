"""Checkpoints of one training: all that its next update depends on, so that a resumed training has the same curve.

One file each, in the folder that the plan names, or behind its URL (``lrsweep.engines.remote``)::

    step-131-<SHA-256 of the content>.ckpt     after 131 updates
    next-<machine>.<pid>.<random>.draft        being written, or what a kill has left of one

A file is written as a draft, synced to the disk and then renamed, so that a name always stands for whole content, also
where two write: an engine that its driver has lost sight of goes on for a while. What a disk does to it later is found
by the checksum. The two newest are kept, and drafts that were left go when a training begins. Who committed the
training's result deletes the folder.

Nothing here ends a training. What cannot be written or read is said in a line to the log, which an engine's process
hands to its driver: a disk that is full costs the checkpoint, and a damaged file costs the updates since the one before
it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from lrsweep.engines.leftovers import is_left, tag
from lrsweep.engines.remote import RemoteFolder
from lrsweep.records import Curve, TrainingPlan, stable_hash
from lrsweep.schedules.course import States

CHECKPOINT_SECONDS = 60.0
"""Between two checkpoints; a shorter training writes none."""
KEPT = 2
FORMAT = 1

_NAME = re.compile(r"step-(\d+)-([0-9a-f]{64})\.ckpt")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training between two updates."""

    seconds: float
    """of training so far"""
    curve: Curve
    """its length is the number of updates done; its evaluations are those that the schedule has heard"""
    states: States
    """of the schedule's reactive parts"""
    model: dict[str, Any]
    optimizer: dict[int, Any]
    """what it holds per parameter; its settings are the plan's"""
    generators: dict[str, Tensor]
    """PyTorch's own, for a model that draws from them"""


def taken(
    seconds: float, curve: Curve, states: States, model: nn.Module, optimizer: torch.optim.Optimizer
) -> Checkpoint:
    """The training as it stands; to be saved before the next update, because the tensors are the training's own."""
    drawn_from = generators(_device_of(model))
    return Checkpoint(seconds, curve, states, model.state_dict(), optimizer.state_dict()["state"], drawn_from)


def generators(device: torch.device) -> dict[str, Tensor]:
    """The states of PyTorch's own that a training on the device may draw from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore(found: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Model, optimizer and PyTorch's generators as they were."""
    model.load_state_dict(found.model)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": found.optimizer})
    torch.set_rng_state(found.generators["cpu"])
    if "cuda" in found.generators and (device := _device_of(model)).type == "cuda":
        torch.cuda.set_rng_state(found.generators["cuda"], device)


class Checkpoints:
    """Those of one training, in a folder. Without a folder there are none, and none is ever due."""

    def __init__(self, url: str | None, identity: str) -> None:
        self._remote: RemoteFolder | None = None
        self._folder: Path | None = None
        if url is not None:
            self._remote, self._folder = _place(url)
        self._url = url
        self._identity = identity
        self._kept: list[Path] = []
        """oldest first; without those that could not be read"""
        self.due = math.inf
        """by the monotonic clock"""
        self._wait()

    @property
    def are_kept(self) -> bool:
        return self._folder is not None

    def newest(self) -> Checkpoint | None:
        """The newest that is whole and this training's own; None: the training starts from its first step."""
        if self._folder is None:
            return None
        for draft in self._folder.glob("*.draft"):
            if is_left(draft):
                with suppress(OSError):
                    draft.unlink()
        found = None
        for path in self._newest_first():
            if found is None:
                try:
                    found = self._read(path) if self._remote is None else self._fetched(self._remote, path.name)
                except Exception as error:  # whatever a damaged or foreign file makes of its reader
                    _log.warning("The checkpoint %s is not used: %s The one before it is tried.", path, _told(error))
                    continue
            self._kept.insert(0, path)
        return found

    def save(self, checkpoint: Checkpoint) -> None:
        assert self._folder is not None
        try:
            path = self._write(self._folder, checkpoint)
            if self._remote is not None:
                self._remote.put(path)
            self._kept.append(path)
        except (OSError, RuntimeError) as error:  # RuntimeError: PyTorch's, of a stream that fails
            _log.warning(
                "No checkpoint could be written to %s: %s The training goes on; the next try is in %.0f s.",
                self._url,
                _told(error),
                CHECKPOINT_SECONDS,
            )
        while len(self._kept) > KEPT:
            with suppress(OSError):  # what cannot be deleted lies there until the folder goes
                self._remove(self._kept.pop(0))
        self._wait()

    def _remove(self, path: Path) -> None:
        if self._remote is None:
            path.unlink(missing_ok=True)
        else:
            self._remote.remove(path.name)

    def _newest_first(self) -> list[Path]:
        """All that may be a checkpoint; those with a foreign name are the oldest."""
        assert self._folder is not None
        if self._remote is None:
            found = list(self._folder.glob("*.ckpt"))
        else:
            try:
                names = self._remote.names()
            except OSError as error:  # the training starts anew, as if there were none
                _log.warning("No checkpoint could be looked for in %s: %s", self._url, _told(error))
                names = []
            found = [self._folder / name for name in names if name.endswith(".ckpt")]
        return sorted(
            found, key=lambda path: int(name[1]) if (name := _NAME.fullmatch(path.name)) else -1, reverse=True
        )

    def _wait(self) -> None:
        if self._folder is not None:
            self.due = time.monotonic() + CHECKPOINT_SECONDS

    def _write(self, folder: Path, checkpoint: Checkpoint) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"next-{tag()}.draft"
        content = {
            "format": FORMAT,
            "identity": self._identity,
            "seconds": checkpoint.seconds,
            "curve": torch.frombuffer(bytearray(checkpoint.curve.to_bytes()), dtype=torch.uint8),
            "states": json.dumps(checkpoint.states),
            "model": checkpoint.model,
            "optimizer": checkpoint.optimizer,
            "generators": checkpoint.generators,
        }
        try:
            with draft.open("wb") as file:
                hashed = _Hashed(file)
                hashed.save(content)
                file.flush()
                os.fsync(file.fileno())
            path = draft.rename(folder / f"step-{checkpoint.curve.steps}-{hashed.hash.hexdigest()}.ckpt")
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_names(folder)
        return path

    def _fetched(self, remote: RemoteFolder, name: str) -> Checkpoint:
        path = remote.fetch(name)
        try:
            return self._read(path)
        finally:
            path.unlink()

    def _read(self, path: Path) -> Checkpoint:
        """Raises _Unusable, or whatever PyTorch does, for a file that is not this training's own and whole."""
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise _Unusable("its name is none that this engine gives.")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != name[2]:
                raise _Unusable("its content does not have the checksum in its name: it is torn, or was changed.")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if (content["format"], content["identity"]) != (FORMAT, self._identity):
            raise _Unusable(
                "it belongs to another training, or to this one under another plan, model or kind of device."
            )
        return Checkpoint(
            seconds=content["seconds"],
            curve=Curve.from_bytes(content["curve"].numpy().tobytes()),
            states=tuple(json.loads(content["states"])),
            model=content["model"],
            optimizer=content["optimizer"],
            generators=content["generators"],
        )


def identity(plan: TrainingPlan, model: nn.Module) -> str:
    """What a checkpoint must agree in: the plan but for its attempt, its folder and what is read at its end, the
    model's shapes, and the kind of device, because another kind gives other bits."""
    return stable_hash(
        {
            "training": plan.training_id,
            "workload": [plan.workload.name, dict(plan.workload.settings)],
            "schedule": plan.schedule.to_dict(),
            "peak_lr": plan.peak_lr,
            "optimizer": [plan.optimizer.name, dict(plan.optimizer.settings)],
            "horizon": plan.horizon,
            "seed": plan.seed,
            "evaluations": plan.evaluations,
            "metric": [plan.metric, plan.direction],
            "extra": dict(plan.extra),
            "engine": plan.engine.changed(),
            "device": _device_of(model).type,
            "model": {name: list(part.shape) for name, part in model.state_dict().items() if isinstance(part, Tensor)},
        }
    )


class _Unusable(Exception):
    pass


class _Hashed:
    """A file that is written from its beginning to its end, and the hash of what went into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._failure: OSError | None = None
        self.hash = hashlib.sha256()

    def save(self, content: Mapping[str, object]) -> None:
        try:
            torch.save(content, cast(IO[bytes], self))
        except RuntimeError as error:  # PyTorch closes its archive after a failed write, and tells of that instead
            raise self._failure or error from None

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        try:
            return self._file.write(data)
        except OSError as failure:
            self._failure = failure
            raise

    def flush(self) -> None:
        self._file.flush()


def _place(url: str) -> tuple[RemoteFolder | None, Path]:
    """The one place that knows where a URL leads: from a folder on this machine to another, or to this one alone."""
    if "://" in url:
        remote = RemoteFolder(url)
        return remote, remote.here
    return None, Path(url)


def _sync_names(folder: Path) -> None:
    """A rename is on the disk only when the folder is."""
    names = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _told(error: Exception) -> str:
    """In one line."""
    return str(error) if isinstance(error, _Unusable) else f"{type(error).__name__}: {error}".partition("\n")[0] + "."
