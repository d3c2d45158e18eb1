"""A soak: one real sweep of ``digits`` on PostgreSQL for so many minutes, with a service and a client that asks.

What each process holds is sampled: memory, open handles, threads, connections. A slope per hour says what grows, of the
time after the first fifth, in which libraries are imported and pools are filled; its interval is that of ten means of
stretches, for samples beside each other say the same.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from lrsweep.selection.statistics import t_quantile
from tests.benchmarks.scale.figures import Home, a_home, thinned
from tests.benchmarks.scale.processes import children, held
from tests.served import Served, served

WARM_UP = 0.2
STRETCHES = 10
PATHS = ("/v1/studies", "/v1/studies/soaked", "/v1/studies/soaked/schedule", "/", "/metrics")
ASK_EVERY = 0.2
ENDING_SECONDS = 120.0


def measure(minutes: float, every: float) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(a_home("PostgreSQL"))
        driver = stack.enter_context(_driver(home, minutes))
        environ = {"LRSWEEP_DATABASE_URL": str(home.database_url)}
        _until_begun(home, driver)
        service = stack.enter_context(served(home.folder, "--rate", "1000000", environ=environ))
        done = threading.Event()
        asked = {"answers": 0, "refusals": 0}
        client = threading.Thread(target=_ask, args=(service, done, asked), daemon=True)
        client.start()
        samples = _sampled(home, driver, service, minutes, every)
        done.set()
        client.join()
    return {
        "minutes": minutes,
        "requests": asked,
        "processes": {name: _grown(of) for name, of in samples.items()},
        "samples": {name: thinned(of) for name, of in samples.items()},
    }


@contextlib.contextmanager
def _driver(home: Home, minutes: float) -> Any:
    study = home.folder / "soaked.toml"
    study.write_text(
        f'[study]\nname = "soaked"\nworkload = "digits"\nhorizon = 200\n[budget]\nwall_clock = "{minutes + 5:g}m"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "lrsweep.cli", "run", str(study), "--device", "cpu", "--engine", "fused:8"]
    log = home.folder / "driver.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=home.environ, cwd=home.folder, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_begun(home: Home, driver: subprocess.Popen[bytes]) -> None:
    """Until its first training has ended."""
    while True:
        if driver.poll() is not None:
            raise RuntimeError(f"the driver has ended:\n{(home.folder / 'driver.log').read_text()[-2000:]}")
        if _scalar(home, "SELECT count(*) FROM lrsweep.lrs_training WHERE status = 'completed'"):
            return
        time.sleep(1.0)


def _ask(service: Served, done: threading.Event, asked: dict[str, int]) -> None:
    turn = 0
    while not done.wait(ASK_EVERY):
        answer = service.get(PATHS[turn % len(PATHS)])
        asked["answers" if answer.status in (200, 409) else "refusals"] += 1
        turn += 1


def _sampled(
    home: Home, driver: subprocess.Popen[bytes], service: Served, minutes: float, every: float
) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < 60 * minutes:
        if driver.poll() is not None:
            raise RuntimeError(f"the driver has ended:\n{(home.folder / 'driver.log').read_text()[-2000:]}")
        engines = sorted(children(driver.pid), key=_started)
        for name, pid in {
            "driver": driver.pid,
            "service": service.process.pid,
            **{f"engine {place}": pid for place, pid in enumerate(engines)},
        }.items():
            with contextlib.suppress(OSError):
                found[name].append({"seconds": seconds, **asdict(held(pid))})
        connections = _scalar(home, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        trainings = _scalar(home, "SELECT count(*) FROM lrsweep.lrs_training WHERE status = 'completed'")
        found["database"].append({"seconds": seconds, "connections": connections - 1, "trainings": trainings})
        time.sleep(every)
    return dict(found)


def _started(pid: int) -> float:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_ctime
    return 0.0


def _scalar(home: Home, query: str) -> int:
    """Nothing where the tables are not there yet."""
    engine = sa.create_engine(str(home.database_url).replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with engine.connect() as connection:
            return int(connection.scalar(sa.text(query)) or 0)
    except sa.exc.ProgrammingError:
        return 0
    finally:
        engine.dispose()


def _grown(samples: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Of each kind: at the end of the warm-up, at the end, and what it grows by in an hour."""
    last = samples[-1]["seconds"]
    later = [each for each in samples if each["seconds"] >= WARM_UP * last]
    return {
        kind: {
            "after_warm_up": round(later[0][kind], 1),
            "at_the_end": round(later[-1][kind], 1),
            "per_hour": slope([(each["seconds"] / 3600, each[kind]) for each in later]),
        }
        for kind in samples[0]
        if kind != "seconds"
    }


def slope(points: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    """Of a line through the means of ten stretches, with its 95 % interval.

    >>> slope([(hour / 100, 5.0 + 2 * hour / 100) for hour in range(100)])
    {'slope': 2.0, 'low': 2.0, 'high': 2.0}
    """
    stretches = [part for part in np.array_split(np.array(points), STRETCHES) if len(part)]
    if len(stretches) < 3:
        return {"slope": None, "low": None, "high": None}
    at, values = np.array([part.mean(axis=0) for part in stretches]).T
    spread = float(((at - at.mean()) ** 2).sum())
    found = float(((at - at.mean()) * (values - values.mean())).sum()) / spread
    rest = values - values.mean() - found * (at - at.mean())
    error = float(np.sqrt((rest**2).sum() / (len(at) - 2) / spread))
    reach = t_quantile(len(at) - 2) * error
    return {"slope": round(found, 3), "low": round(found - reach, 3), "high": round(found + reach, 3)}


def told(found: dict[str, Any]) -> str:
    lines = [f"{found['minutes']:g} minutes, {found['requests']['answers']:,} answers"]
    for process, kinds in found["processes"].items():
        for kind, each in kinds.items():
            grows = each["per_hour"]
            lines.append(
                f"{process:10} {kind:12} {each['after_warm_up']:>8} to {each['at_the_end']:>8}; per hour "
                f"{grows['slope']} ({grows['low']} to {grows['high']})"
            )
    return "\n".join(lines)
