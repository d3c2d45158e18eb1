"""A process that is as busy as a driver and has nothing to do with the sweep: what the cores of a machine share.

    python -m tests.benchmarks.driver.busy SHARE

It takes SHARE of one processor until its standard input ends, on whichever core it is put, as a driver does. Its work
is a driver's in kind: text into objects and back, which goes through caches and memory as counting would not. The last
line of its output is a ``Taken`` as JSON.
"""

from __future__ import annotations

import json
import select
import sys
import time
from dataclasses import asdict, dataclass

PERIOD_SECONDS = 0.02
"""about as long as a driver is busy with one result"""
ROWS = [{"training": f"training-{number}", "rate": 1 / (number + 1), "steps": number} for number in range(2000)]
"""half a megabyte of objects, and a few milliseconds to go through"""


@dataclass(frozen=True)
class Taken:
    share: float
    """of a processor, over all its time"""


def main(share: str) -> None:
    wanted = float(share)
    began, used_before = time.perf_counter(), time.process_time()
    while not _has_ended(idle_seconds(wanted, time.perf_counter() - began, time.process_time() - used_before)):
        json.loads(json.dumps(ROWS))
    taken = (time.process_time() - used_before) / (time.perf_counter() - began)
    print(json.dumps(asdict(Taken(taken))))


def idle_seconds(share: float, wall_seconds: float, cpu_seconds: float) -> float:
    """How long to sleep before the next piece of work: a whole period once it is ahead of its share, else not at all.

    >>> idle_seconds(0.5, wall_seconds=1.0, cpu_seconds=0.4), idle_seconds(0.5, wall_seconds=1.0, cpu_seconds=0.6)
    (0.0, 0.02)
    """
    return 0.0 if cpu_seconds < share * wall_seconds else PERIOD_SECONDS


def _has_ended(seconds: float) -> bool:
    """Waits so long for the end of standard input, to which nobody writes."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
