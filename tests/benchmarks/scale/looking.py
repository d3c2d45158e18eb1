"""How long a look takes at a study with 100,000 trainings: whole commands, each in a fresh process, and requests to a
service that has just started and to one that has answered before."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.scale.figures import DATABASES, Home, a_home
from tests.benchmarks.scale.filled import FINALISTS, STUDY, SWEEP, fill
from tests.benchmarks.sweep.figures import spread
from tests.databases import administer
from tests.served import served

COMMANDS = {
    "list": ("list",),
    "status": ("status",),
    "show": ("show", STUDY),
    "show TRIAL": ("show", STUDY, "17"),
    "show TRAINING": ("show", STUDY, "17:600"),
    "choose": ("choose", STUDY),
}
PATHS = {
    "studies": "/v1/studies",
    "study": f"/v1/studies/{STUDY}",
    "sweep": f"/v1/sweeps/{SWEEP}",
    "schedule": f"/v1/studies/{STUDY}/schedule",
    "the page for people": "/",
}
STARTS = {"interpreter": ("-c", "pass"), "the command's own start": ("-m", "lrsweep.cli", "--version")}


def measure(trainings: int, rounds: int, databases: Sequence[str]) -> dict[str, Any]:
    return {"trainings": trainings, "rounds": rounds, **{each: _on(each, trainings, rounds) for each in databases}}


def _on(database: str, trainings: int, rounds: int) -> dict[str, Any]:
    with a_home(database) as home:
        began = time.monotonic()
        filled = fill(home.results_url, trainings)
        print(f"  {database}: {filled.trainings:,} trainings in {time.monotonic() - began:.0f} s", flush=True)
        if database == "PostgreSQL":
            _analyze(home.results_url)
        words = {**STARTS, **{name: ("-m", "lrsweep.cli", *given) for name, given in COMMANDS.items()}}
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in words}
        for _ in range(rounds):
            for name, given in words.items():
                took[name].append(_timed(given, home))
        return {
            "rows": {"trials": filled.trials, "trainings": filled.trainings, "events": filled.events},
            "commands": {
                name: {"seconds": spread([each for each, _ in of]), "cpu_seconds": spread([each for _, each in of])}
                for name, of in took.items()
            },
            "requests": _asked(home, rounds),
        }


def _timed(words: tuple[str, ...], home: Home) -> tuple[float, float]:
    """Wall clock, and processor time of the process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run(
        [sys.executable, *words], env=home.environ, cwd=home.folder, capture_output=True, text=True
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with exit code {process.returncode}:\n{process.stderr[-2000:]}")
    if STUDY in words and words[-1] == STUDY and len(process.stdout.splitlines()) < FINALISTS:
        raise RuntimeError(f"{' '.join(words)} shows too little:\n{process.stdout}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _asked(home: Home, rounds: int) -> dict[str, Any]:
    """The first answer of a service, and later ones."""
    environ = {} if home.database_url is None else {"LRSWEEP_DATABASE_URL": home.database_url}
    first: dict[str, float] = {}
    later: dict[str, list[float]] = {name: [] for name in PATHS}
    with served(home.folder, "--rate", "1000000", environ=environ) as service:
        for turn in range(rounds + 1):
            for name, path in PATHS.items():
                began = time.perf_counter()
                answer = service.get(path)
                seconds = time.perf_counter() - began
                if answer.status != 200:
                    raise RuntimeError(f"{path}: {answer.status} {answer.body[:500]!r}")
                if turn:
                    later[name].append(seconds)
                else:
                    first[name] = seconds
    return {name: {"first_seconds": first[name], "seconds": spread(later[name])} for name in PATHS}


def _analyze(url: str) -> None:
    """As the server's autovacuum does it a minute after so many rows have come."""
    administer(url, "VACUUM ANALYZE")


def told(found: dict[str, Any]) -> str:
    lines = []
    for database in [each for each in DATABASES if each in found]:
        for name, each in found[database]["commands"].items():
            seconds, cpu = each["seconds"], each["cpu_seconds"]
            lines.append(f"{database:10} lrsweep {name:24} {seconds['median']:.2f} s, processor {cpu['median']:.2f} s")
        for name, each in found[database]["requests"].items():
            first, later = each["first_seconds"], each["seconds"]["median"]
            lines.append(f"{database:10} GET {name:28} first {first:.2f} s, then {later:.3f} s")
    return "\n".join(lines)
