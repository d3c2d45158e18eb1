"""A sweep as ``lrsweep run`` drives it, with engines that replay: search, store, MLflow and Optuna's copy are real.

    python -m tests.benchmarks.scale.driving STUDY.toml SLOTS
    python -m tests.benchmarks.scale.driving STUDY.toml ray:HOST:PORT

Trainings end at once in engines of its own, or take their time in the stations of a cluster (``stations``). It is one
measurement's process. The last line of its output is a ``Driven`` as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

from lrsweep.executors.executor_option import ExecutorOption
from lrsweep.executors.messages import Busy
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.study import load_study
from lrsweep.sweep import run
from lrsweep.sweep.homes import Options
from lrsweep.sweep.progress import Progress, occupancy
from tests.benchmarks.scale.processes import cpu_seconds, held
from tests.benchmarks.scale.replaying import ReplayExecutor

SAMPLE_EVERY = 2.0
FIRST_SECONDS = 60.0


@dataclass(frozen=True)
class Sample:
    seconds: float
    """since the first trial was asked for"""
    trainings: int
    """that have ended"""
    behind: int
    """that MLflow lacked at its last look"""
    rss_mib: float
    cpu_seconds: float
    """of the driver's process, its mirror included"""
    occupancy: float | None
    """of the slots, since the first training"""


@dataclass(frozen=True)
class Driven:
    trials: int
    trainings: int
    driven_seconds: float
    """from the first ask until the last training was committed"""
    mirrored_seconds: float
    """and until MLflow and Optuna's copy had everything, too"""
    cpu_seconds: float
    occupancy: float | None
    """while trials were asked for: then the last of them end, and slots are idle by nature"""
    steady_occupancy: float | None
    """the same without the first minute, in which the slots are filled for the first time"""
    peak_rss_mib: float
    samples: list[Sample]


def _steady(asking: Sequence[tuple[float, Busy]]) -> float | None:
    later = [busy for seconds, busy in asking if seconds >= asking[0][0] + FIRST_SECONDS]
    if len(later) < 2 or later[-1].steps <= later[0].steps:
        return None
    places = (later[-1].steps - later[0].steps) * later[-1].slots
    return min(1.0, (later[-1].slot_steps - later[0].slot_steps) / places)


def main(study_file: str, engines: str) -> None:
    is_far = engines.startswith("ray:")
    option = ExecutorOption.parsed(engines) if is_far else ExecutorOption()
    ours = (
        nullcontext()
        if is_far
        else mock.patch.object(run, "open_executor", return_value=ReplayExecutor(slots=int(engines)))
    )
    samples: list[Sample] = []
    asking: list[tuple[float, Busy]] = []
    """how busy slots were, while trials were asked for"""
    began, cpu_before = time.monotonic(), cpu_seconds(os.getpid())

    def observe(progress: Progress) -> None:
        now = time.monotonic() - began
        busy = progress.busy
        share = occupancy(busy)
        wanted = progress.trials_wanted or 0
        if busy is not None and progress.trials_told + len(progress.running) < wanted:
            asking.append((now, busy))
        if samples and now - samples[-1].seconds < SAMPLE_EVERY:
            return
        mine = held(os.getpid())
        used = cpu_seconds(os.getpid()) - cpu_before
        samples.append(Sample(now, progress.trainings_ended, progress.behind, mine.rss_mib, used, share))

    study = load_study(Path(study_file))
    homes = make_homes(read_settings(os.environ))
    with ours:
        result = run.run_sweep(study, homes, Options(device="cpu", executor=option), observe=observe)
    if result.outage is not None or result.not_mirrored:
        raise RuntimeError(f"MLflow lacks {result.not_mirrored} trainings: {result.outage}")
    store = open_store(homes.results_url)
    events = [event for event in store.events(study.name) if event.kind in ("trial_added", "training_ended")]
    store.close()
    driven = Driven(
        trials=result.own_trials,
        trainings=len(result.trainings),
        driven_seconds=events[-1].at - events[0].at,
        mirrored_seconds=result.sweep.seconds,
        cpu_seconds=cpu_seconds(os.getpid()) - cpu_before,
        occupancy=occupancy(asking[-1][1]) if asking else None,
        steady_occupancy=_steady(asking),
        peak_rss_mib=max(each.rss_mib for each in samples),
        samples=samples,
    )
    print(json.dumps(asdict(driven)))


if __name__ == "__main__":
    main(*sys.argv[1:])
