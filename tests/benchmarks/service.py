"""How many requests a second the service answers, and how long one takes: clients on connections that stay open, on a
study with a champion and on one whose newest sweep decides. ``--busy`` lets so many processes compute beside it, as a
sweep does. Run by ``make bench``, or alone::

    python -m tests.benchmarks.service --clients 4 --seconds 10 --busy 2 --json service.json
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import lrsweep
from tests.served import PROMOTED, SWEPT, Served, fill, served

PATHS = {
    "nothing but an answer": "/healthz",
    "schedule, a champion": f"/v1/studies/{PROMOTED}/schedule",
    "schedule, a sweep": f"/v1/studies/{SWEPT}/schedule",
    "studies": "/v1/studies",
    "the page for people": "/",
}


def asked(service: Served, path: str, clients: int, seconds: float) -> list[float]:
    """Seconds of each request, of all clients."""
    took: list[list[float]] = [[] for _ in range(clients)]
    end = time.perf_counter() + seconds

    def ask(mine: list[float]) -> None:
        connection = http.client.HTTPConnection(*service.address, timeout=60)
        while (began := time.perf_counter()) < end:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            mine.append(time.perf_counter() - began)
            if answer.status != 200:
                raise SystemExit(f"{path}: {answer.status}")
        connection.close()

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in took]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(each for mine in took for each in mine)


def figures(took: list[float], seconds: float) -> dict[str, float]:
    """``took`` in order."""
    return {
        "per_second": round(len(took) / seconds),
        "median_ms": round(1000 * took[len(took) // 2], 2),
        "p99_ms": round(1000 * took[int(0.99 * len(took))], 2),
    }


def measure(clients: int, seconds: float, busy: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        fill(f"sqlite:///{home}/results.db")
        beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
        try:
            with served(home, "--rate", "1000000") as service:
                for name, path in PATHS.items():
                    asked(service, path, 1, 0.5)  # once unseen: an answer is made and then kept
                    found[name] = figures(asked(service, path, clients, seconds), seconds)
        finally:
            for each in beside:
                each.kill()
                each.wait()
    return {
        "benchmark": "service",
        "clients": clients,
        "seconds": seconds,
        "busy_processes": busy,
        "requests": found,
        "load_average": os.getloadavg()[0],
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), "lrsweep": lrsweep.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.clients, given.seconds, given.busy)
    for name, each in found["requests"].items():
        told = (
            f"{each['per_second']:>6} a second, median {each['median_ms']:.1f} ms, 99 % within {each['p99_ms']:.1f} ms"
        )
        print(f"{name:22} {told}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
