"""How many requests a second the service answers, and how long one takes: clients on connections that stay open, on a
study with a champion and on one whose newest sweep decides. Idle, beside two processes that only compute, and beside a
real sweep that writes into the same results; each round takes all three. Run by ``make bench``, or alone::

    python -m tests.benchmarks.service --clients 4 --seconds 5 --rounds 3
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.benchmarks.sweep.figures import spread
from tests.benchmarks.sweep.machine import machine, versions
from tests.commands import query, start_lrsweep, wait_for
from tests.served import PROMOTED, SWEPT, Served, fill, served

PATHS = {
    "nothing but an answer": "/healthz",
    "schedule, a champion": f"/v1/studies/{PROMOTED}/schedule",
    "schedule, a sweep": f"/v1/studies/{SWEPT}/schedule",
    "studies": "/v1/studies",
    "the page for people": "/",
}
RESULT = Path(__file__).parent / "results" / "service.json"
SWEEP = '[study]\nname = "beside"\nworkload = "digits"\nhorizon = 600\n[budget]\ntrials = 5000\n'
Figures = Mapping[str, float]


@contextmanager
def alone(_: Path) -> Iterator[None]:
    yield


@contextmanager
def computing(_: Path) -> Iterator[None]:
    beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for each in beside:
            each.kill()
            each.wait()


@contextmanager
def sweeping(home: Path) -> Iterator[None]:
    """On the same results, with an engine per core; it has begun to train when this is entered."""
    file = home.parent / "beside.toml"
    file.write_text(SWEEP)
    sweep = start_lrsweep("run", str(file), "--new", "--engine", "sequential:2", home=home)
    ended = "SELECT count(*) FROM lrs_training WHERE study = 'beside' AND status = 'completed'"
    before = query(home, ended)
    try:
        wait_for(lambda: query(home, ended) > before + 4)
        yield
        if sweep.poll() is not None:
            raise SystemExit(f"the sweep was over before the measurement was: {sweep.communicate()}")
    finally:
        sweep.kill()
        sweep.communicate()


BESIDE: Mapping[str, Callable[[Path], AbstractContextManager[None]]] = {
    "idle": alone,
    "beside two processes that compute": computing,
    "beside a sweep": sweeping,
}


def asked(service: Served, path: str, clients: int, seconds: float) -> list[float]:
    """Seconds of each request, of all clients, in order of length."""
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


def figures(took: list[float], seconds: float) -> Figures:
    return {
        "per_second": round(len(took) / seconds),
        "median_ms": round(1000 * took[len(took) // 2], 2),
        "p99_ms": round(1000 * took[int(0.99 * len(took))], 2),
    }


def measured(home: Path, beside: str, clients: int, seconds: float) -> dict[str, Figures]:
    with served(home, "--rate", "1000000") as service, BESIDE[beside](home):
        found = {}
        for name, path in PATHS.items():
            asked(service, path, 1, 0.5)  # once unseen: an answer is made and then kept
            found[name] = figures(asked(service, path, clients, seconds), seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULT)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    rounds: list[dict[str, dict[str, Figures]]] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        fill(f"sqlite:///{home}/results.db")
        for number in range(given.rounds):
            in_turn = [*BESIDE][number % len(BESIDE) :] + [*BESIDE][: number % len(BESIDE)]
            rounds.append({beside: measured(home, beside, given.clients, given.seconds) for beside in in_turn})
    found = {
        beside: {
            name: {
                figure: spread([each[beside][name][figure] for each in rounds]) for figure in rounds[0][beside][name]
            }
            for name in PATHS
        }
        for beside in BESIDE
    }
    for beside, requests in found.items():
        print(beside)
        for name, each in requests.items():
            rate, p99 = each["per_second"]["median"], each["p99_ms"]["median"]
            print(f"  {name:22} {rate:>6.0f} a second, 99 % within {p99:.1f} ms")
    answer = {
        "benchmark": "service",
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "clients": given.clients,
        "seconds": given.seconds,
        "rounds": given.rounds,
        "load_before": round(load, 2),
        "machine": machine(),
        "versions": versions(),
        "requests": found,
    }
    given.json.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
