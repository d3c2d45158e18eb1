"""lrsweep: ``lrsweep run`` on the demo's study, live view, engine's process, SQL, mirrors and all."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path

from lrsweep.cli.main import app
from tests.benchmarks.sweep.workload import Job, Result


def sweep(job: Job) -> Result:
    study = Path("demo.toml")
    study.write_text(job.study_text, encoding="utf-8")
    os.environ["LRSWEEP_HOME"] = str(Path.cwd())
    with contextlib.redirect_stdout(io.StringIO()) as output:
        app(["run", str(study), "--device", "cpu", "--json"], standalone_mode=False)
    said = json.loads(output.getvalue().splitlines()[-1])
    if said["not_mirrored"]:
        raise RuntimeError(f"{said['not_mirrored']} trainings never reached MLflow: their time would be missing")
    return Result(said["seconds"], said["trials"], said["steps"], said["best"]["value"])
