"""A batch system in two programs: ``sbatch.py --wait SCRIPT`` hands a job over, ``sbatch.py --daemon`` runs jobs.

They share the folder ``SPOOL`` as a cluster shares its queue. The job runs as the daemon's child, on "another machine",
and has the environment of ``sbatch``, as with Slurm; it outlives ``sbatch --wait``, which cancels nothing when it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def submit(spool: Path, argv: list[str]) -> int:
    job = spool / f"{os.getpid()}"
    draft = job.with_suffix(".draft")
    draft.write_text(json.dumps({"argv": argv, "environ": dict(os.environ), "cwd": os.getcwd()}))  # noqa: PTH109
    draft.rename(job.with_suffix(".job"))
    while not (done := job.with_suffix(".done")).exists():
        time.sleep(0.02)
    return int(done.read_text())


def serve(spool: Path) -> None:
    running: dict[Path, subprocess.Popen[bytes]] = {}
    while True:
        for path in spool.glob("*.job"):
            job = json.loads(path.read_text())
            taken = path.rename(path.with_suffix(".running"))
            running[taken] = subprocess.Popen(job["argv"], env=job["environ"], cwd=job["cwd"], start_new_session=True)
        for path, process in list(running.items()):
            if (code := process.poll()) is not None:
                draft = path.with_suffix(".code")
                draft.write_text(str(code if code >= 0 else 1))
                draft.rename(path.with_suffix(".done"))
                del running[path]
        time.sleep(0.02)


def main() -> None:
    spool = Path(os.environ["SPOOL"])
    if sys.argv[1] == "--daemon":
        serve(spool)
    assert sys.argv[1] == "--wait"
    sys.exit(submit(spool, sys.argv[2:]))


if __name__ == "__main__":
    main()
