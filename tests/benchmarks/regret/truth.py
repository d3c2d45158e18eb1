"""The truth that methods are replayed on: every point of a pool, trained to the end with several seeds, and in all the
shorter ways in which a method may look at it.

    python -m tests.benchmarks.regret.truth [--only WORKLOAD …] [--horizon 1080] [--folder FOLDER]

With a horizon of its own a table is for the rungs alone (``tests/benchmarks/rungs``), lies in ``truth/HORIZON`` and has
every compressed training at the points' own rates too; no search is replayed on it.

Each finished training is a line of ``FOLDER/WORKLOAD.jsonl`` at once, so an interrupted run goes on where it was; a
workload that is whole is packed into ``truth/WORKLOAD.npz`` beside this file, which is all that a replay reads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrsweep.engines.device import open_device
from lrsweep.engines.fused.engine import FusedEngine
from lrsweep.records import Curve, EngineSettings, Json, Record, Status, TrainingPlan
from lrsweep.schedules import Search, core_names, family
from lrsweep.schedules.families.table import Table
from lrsweep.space import candidate, peak_lr_name
from lrsweep.study import ResolvedStudy, parse_study
from lrsweep.workloads.base import Workload, load
from tests.benchmarks.regret.table import ANNEAL, EVALUATIONS, FULL_SEEDS, RATE_EXPONENTS, SEARCH_SEEDS, TRUTH, Kind
from tests.benchmarks.regret.workloads import HORIZON, WORKLOADS
from tests.benchmarks.sweep.machine import machine, versions

SLOTS = 64
RATES = 10
"""Peak rates per family and optimizer, evenly on a log scale over the range that a study searches."""
DRAWS = 2
"""Settings of a family that has any."""
OWN_RATE: Sequence[Kind] = ("third_own", "ninth_own")


@dataclass(frozen=True)
class Job:
    """One training of the table."""

    kind: Kind
    point: int
    seed: int

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.point}/{self.seed}"


def pool(study: ResolvedStudy) -> list[dict[str, Json]]:
    """The points, as the parameters that a search would draw."""
    return [
        {"family": name, "optimizer": optimizer, peak_lr_name(name, optimizer): rate, **settings}
        for name, optimizer in itertools.product(core_names(), study.space.optimizers)
        for settings in settings_of(name)
        for rate in np.geomspace(*study.space.peak_lr[optimizer], RATES).tolist()
    ]


def settings_of(name: str) -> list[dict[str, float]]:
    """At a quarter and at three quarters of each range, the second setting the other way round than the first."""
    searched = {
        f"{name}.{drawn}": search
        for setting in family(name).settings()
        for drawn, search in setting.searched().items()
        if isinstance(search, Search)
    }
    if not searched:
        return [{}]
    return [
        {
            drawn: _between(search, 0.25 if (draw + place) % 2 == 0 else 0.75)
            for place, (drawn, search) in enumerate(searched.items())
        }
        for draw in range(DRAWS)
    ]


def _between(search: Search, share: float) -> float:
    if search.log:
        return float(search.low * (search.high / search.low) ** share)
    return float(search.low + share * (search.high - search.low))


def jobs(points: int, *, own_rate: bool = False) -> list[Job]:
    """All; at a rung's own rate only where these are asked for, else they are for diverged trainings alone."""
    full = [Job("full", point, seed) for seed in range(FULL_SEEDS) for point in range(points)]
    kinds: Sequence[Kind] = ("third", "ninth", "annealed_third", "annealed_ninth", *(OWN_RATE if own_rate else ()))
    short = [Job(kind, point, seed) for kind in kinds for seed in range(SEARCH_SEEDS) for point in range(points)]
    return full + short


def repeats(done: Mapping[str, Any]) -> list[Job]:
    """At their own rate, those that diverged at the raised one."""
    found = [key.split("/") for key, outcome in done.items() if outcome["value"] is None]
    own: Mapping[str, Kind] = {"third": "third_own", "ninth": "ninth_own"}
    return [Job(own[kind], int(point), int(seed)) for kind, point, seed in found if kind in own]


def plan(job: Job, params: Mapping[str, Json], study: ResolvedStudy) -> TrainingPlan:
    point = candidate(params, study)
    shaped, peak, horizon = point.schedule, point.peak_lr, study.horizon
    if job.kind in ("third", "ninth", *OWN_RATE):
        horizon = study.horizon // (3 if job.kind.startswith("third") else 9)
        share = study.horizon // horizon
        peak *= 1.0 if job.kind.endswith("own") else share ** RATE_EXPONENTS[params["optimizer"]]
    elif job.kind != "full":
        cut = study.horizon // (3 if job.kind.endswith("third") else 9)
        horizon = cut + round(ANNEAL * cut)
        cooled = shaped.cooled_down(at=cut / study.horizon, over=(horizon - cut) / study.horizon)
        rates = cooled.rates(study.horizon, peak)[:horizon]
        shaped, peak = Table.from_rates(rates), float(rates.max())
    return TrainingPlan(
        training_id=job.key,
        attempt=1,
        workload=study.workload,
        schedule=shaped,
        peak_lr=peak,
        optimizer=point.optimizer,
        horizon=horizon,
        # the draws of the weights and of the batches are a point's own, as they are in a sweep
        seed=1000 * job.seed + job.point,
        evaluations=EVALUATIONS if job.kind == "full" else EVALUATIONS // 3,
    )


def train(workload: Workload, plans: Sequence[TrainingPlan]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each training as it ends, by its key."""
    ended: list[tuple[str, dict[str, Any]]] = []
    curves: dict[str, Curve] = {}

    def hear(record: Record) -> None:
        key = record.training_id
        curves[key] = curves.get(key, Curve.empty()).extended(record)
        if record.outcome is None:
            return
        if record.outcome.status is Status.FAILED:
            raise RuntimeError(f"{key} failed: {record.outcome.error}")
        curve, metrics = curves.pop(key), record.outcome.metrics
        is_complete = record.outcome.status is Status.COMPLETED
        ended.append(
            (
                key,
                {
                    "value": metrics["val_loss"] if is_complete else None,
                    "decide": metrics["decide_loss"] if is_complete else None,
                    "steps": record.outcome.steps,
                    "curve": curve.evaluations.get("val_loss", np.empty(0)).tolist(),
                },
            )
        )

    engine = FusedEngine(workload, EngineSettings(), SLOTS, hear)
    for each in plans:
        engine.submit(each)
    while not engine.is_idle:
        engine.advance()
        yield from ended
        ended.clear()


def packed(params: Sequence[Mapping[str, Json]], done: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The table as arrays [point, seed, …]; NaN where a training diverged, or was not asked for."""
    points = len(params)
    arrays: dict[str, NDArray[Any]] = {
        "curves": np.full((points, FULL_SEEDS, EVALUATIONS), np.nan, dtype=np.float32),
        "decide": np.full((points, FULL_SEEDS), np.nan, dtype=np.float32),
        "steps": np.zeros((points, FULL_SEEDS), dtype=np.int32),
    }
    for key, outcome in done.items():
        kind, point, seed = key.split("/")
        place = int(point), int(seed)
        if kind == "full":
            curve = outcome["curve"]
            arrays["curves"][place][: len(curve)] = curve
            arrays["steps"][place] = outcome["steps"]
            arrays["decide"][place] = math.nan if outcome["decide"] is None else outcome["decide"]
            continue
        values = arrays.setdefault(kind, np.full((points, SEARCH_SEEDS), np.nan, dtype=np.float32))
        steps = arrays.setdefault(f"{kind}_steps", np.zeros((points, SEARCH_SEEDS), dtype=np.int32))
        values[place] = math.nan if outcome["value"] is None else outcome["value"]
        steps[place] = outcome["steps"]
    return arrays


def study_of(name: str, workload: Workload, horizon: int = HORIZON) -> ResolvedStudy:
    spec = WORKLOADS[name]
    settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in spec.settings.items())
    text = (
        f'[study]\nname = "{name}"\nhorizon = {horizon}\n[budget]\ntrials = 1\n'
        f'[study.workload]\nname = "{spec.name}"\n{settings}'
    )
    return parse_study(text, f"{name}.toml").resolved(workload.facts)


def read(lines: Path) -> dict[str, Any]:
    """What an interrupted run has finished, by its key."""
    done: dict[str, Any] = {}
    if lines.exists():
        for line in lines.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):  # the last one may have been cut off
                done |= json.loads(line)
    return done


def make(name: str, folder: Path, horizon: int = HORIZON) -> None:
    workload = load(WORKLOADS[name], open_device("cpu"))
    study = study_of(name, workload, horizon)
    params = pool(study)
    stem = name if horizon == HORIZON else f"{horizon}/{name}"
    lines = folder / f"{stem}.jsonl"
    lines.parent.mkdir(parents=True, exist_ok=True)
    done = read(lines)
    began = time.process_time()
    for again in (False, True):
        wanted = repeats(done) if again else jobs(len(params), own_rate=horizon != HORIZON)
        left = [job for job in wanted if job.key not in done]
        plans = [plan(job, params[job.point], study) for job in left]
        print(f"{name}: {len(plans)} trainings, {sum(each.horizon for each in plans):,} steps", flush=True)
        with lines.open("a", encoding="utf-8") as file:
            for key, outcome in train(workload, plans):
                done[key] = outcome
                file.write(json.dumps({key: outcome}) + "\n")
                file.flush()
    meta = {
        "workload": name,
        "facts": {
            "name": workload.facts.name,
            "settings": dict(workload.facts.settings),
            "data_hash": workload.facts.data_hash,
            "batch_size": workload.facts.batch_size,
            "horizon": horizon,
            "peak_lr": {each: list(searched) for each, searched in study.space.peak_lr.items()},
        },
        "cpu_seconds": round(time.process_time() - began),
        "machine": machine(),
        "versions": versions(),
        "params": params,
    }
    path = TRUTH / f"{stem}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as packed_file:
        arrays: dict[str, Any] = {"meta": np.array(json.dumps(meta)), **packed(params, done)}
        np.savez_compressed(packed_file, **arrays)
    print(f"{path}: {path.stat().st_size // 1024} KiB, {meta['cpu_seconds']} s of a core in this run", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.regret.truth", description="Trains the table.")
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), help="these workloads")
    parser.add_argument("--horizon", type=int, default=HORIZON, help="a multiple of 18 (default: %(default)s)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "lrsweep-bench-truth",
        help="where an interrupted run is kept (default: %(default)s)",
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.only or WORKLOADS:
        make(name, arguments.folder, arguments.horizon)


if __name__ == "__main__":
    main()
