"""What a night stands in: commit, data, versions, device. By it a night knows whether anything has changed.

A night's values hang on more than its schedule. What of it is a change of the surroundings, and what may be a drift, is
``selection.nights``' to say; here it is only looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrsweep.engines.machine import nvidia_driver
from lrsweep.executors.devices import names_in
from lrsweep.records import Json, stable_hash
from lrsweep.selection.nights import Surroundings
from lrsweep.study import ResolvedStudy
from lrsweep.tracking.surroundings import DIRTY, look_around

TRAIN_NOTHING = ("optuna", "mlflow", "processor")
"""Of ``versions``: the first two train nothing, and another model of processor moves last digits alone; a job that is
given another machine each night would never have limits."""
WORKLOAD = "workload"
"""The workload's own version, beside those of packages."""
NVIDIA = Path("/proc/driver/nvidia/gpus")
ON_RAY = " on Ray"
"""Behind a device that is a cluster's: trainings go to another machine, whatever this one has."""


@dataclass(frozen=True)
class Now:
    """Before tonight's first training."""

    surroundings: Surroundings
    generation: str

    def fingerprint(self, champion: str, asks: Mapping[str, Json]) -> dict[str, Json]:
        """Equal to that of the night before: nothing has changed that a training could show. ``asks`` is what the
        study asks of its nights."""
        around = self.surroundings.to_json()
        return {"surroundings": around, "generation": self.generation, "champion": champion, "asks": dict(asks)}


def now_of(study: ResolvedStudy, device: str) -> Now:
    """``device``: as it is told, by ``device_of`` or ``device_on_ray``."""
    here = look_around(with_user=False)
    known = {name: version for name, version in here.versions.items() if name not in TRAIN_NOTHING}
    commit = f"{here.commit or ''}{DIRTY if here.is_changed else ''}"
    return Now(
        Surroundings(
            device=device,
            versions={**known, WORKLOAD: str(study.facts.version)},
            data=study.facts.data_hash,
            commit=commit,
        ),
        study.generation,
    )


def device_of(asked: str) -> str:
    """The kind of this machine's device and the models of all that are meant, as far as that is known without PyTorch,
    which takes seconds to load.

    >>> device_of("cpu")
    'cpu'
    """
    names = names_in(asked)
    if names == ("cpu",) or (names == ("auto",) and nvidia_driver() is None):
        return "cpu"
    there = gpu_models()
    if len(names) == 1 and ":" not in asked:
        return of_models(there.values())
    found = [there.get(int(index)) for _, _, index in (name.partition(":") for name in names) if index.isdecimal()]
    return of_models(model for model in found if model)


def device_on_ray(device: str) -> str:
    """``device``: what the cluster gives to trainings, which is not this machine's. The cluster's address is no part:
    a head that moved trains the same.

    >>> device_on_ray("cuda (H200)")
    'cuda (H200) on Ray'
    """
    return f"{device}{ON_RAY}"


def of_models(models: Iterable[str]) -> str:
    """
    >>> of_models(["H200", "A100", "H200"]), of_models([])
    ('cuda (A100, H200)', 'cuda')
    """
    known = ", ".join(sorted(set(models)))
    return f"cuda ({known})" if known else "cuda"


def gpu_models() -> Mapping[int, str]:
    """By their numbers, as NVIDIA's driver tells them."""
    found = {}
    try:
        cards = sorted(NVIDIA.iterdir())
        for place, card in enumerate(cards):
            lines = (card / "information").read_text(encoding="utf-8", errors="replace").splitlines()
            found[place] = next(line.partition(":")[2].strip() for line in lines if line.startswith("Model:"))
    except (OSError, StopIteration):
        return found
    return found


def comparable(study: ResolvedStudy) -> str:
    """Hash of what makes the values of two nights those of one question. Data and version are left out, since they are
    what a night watches or tells; so are the rungs, since a night says on which it trained."""
    spec: Mapping[str, Any] = study.spec()
    keys = ("metric", "direction", "horizon", "evaluations", "training_rules", "objective", "engine")
    workload = {name: spec["workload"][name] for name in ("name", "settings", "batch_size")}
    return stable_hash({"workload": workload, **{key: spec.get(key) for key in keys}})
