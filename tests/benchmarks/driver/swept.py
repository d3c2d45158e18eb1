"""A real sweep in this process, which measures itself: the driver's own processor time, its threads' included, and not
that of the engines, which have processes of their own.

    python -m tests.benchmarks.driver.swept STUDY.toml ENGINE FIRST

The last line of its output is a ``Swept`` as JSON. It works in the folder that it is started in.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lrsweep.executors.engine_option import EngineOption
from lrsweep.settings import make_homes, read_settings
from lrsweep.store import open_store
from lrsweep.study import load_study
from lrsweep.sweep.homes import Options
from lrsweep.sweep.progress import Progress
from lrsweep.sweep.run import run_sweep


@dataclass(frozen=True)
class Moment:
    trainings: int
    """that have ended"""
    cpu_seconds: float
    wall_seconds: float

    @classmethod
    def now(cls, trainings: int) -> Moment:
        return cls(trainings, cpu_seconds(), time.perf_counter())


@dataclass(frozen=True)
class Swept:
    """A sweep from the moment when its first trainings had ended: what starts once is not in it."""

    trainings: int
    """from there to the last outcome"""
    cpu_seconds: float
    """of the driver, in that time"""
    cpu_seconds_in_all: float
    """and then until everything was mirrored and closed"""
    wall_seconds: float
    startup_cpu_seconds: float
    """all before: imports, databases, the first trainings"""
    step_seconds: list[float]
    """of each completed training: its seconds by its updates"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(study_file: str, engine: str, first: str) -> None:
    moments: list[Moment] = []
    """the first with so many trainings ended, and the newest"""

    def observe(progress: Progress) -> None:
        if progress.trainings_ended >= int(first):
            now = Moment.now(progress.trainings_ended)
            moments[:] = [moments[0] if moments else now, now]

    study = load_study(Path(study_file))
    homes = make_homes(read_settings(os.environ))
    result = run_sweep(study, homes, Options(device="cpu", engine=EngineOption.parsed(engine)), observe=observe)
    end = Moment.now(0)
    begin, last = moments
    store = open_store(homes.results_url)
    rows = store.trainings(study.name, sweep_id=result.sweep.sweep_id)
    store.close()
    swept = Swept(
        trainings=last.trainings - begin.trainings,
        cpu_seconds=last.cpu_seconds - begin.cpu_seconds,
        cpu_seconds_in_all=end.cpu_seconds - begin.cpu_seconds,
        wall_seconds=last.wall_seconds - begin.wall_seconds,
        startup_cpu_seconds=begin.cpu_seconds,
        step_seconds=[row.seconds / row.steps for row in rows if row.status == "completed"],
    )
    print(json.dumps(asdict(swept)))


if __name__ == "__main__":
    main(*sys.argv[1:])
