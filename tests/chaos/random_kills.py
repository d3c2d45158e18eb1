"""Thirty sweeps, each killed at random moments until it ends: ``CHAOS_SEED=7 python -m tests.chaos.random_kills``.

Half of them keep their results in SQLite, half in PostgreSQL. What a seed does to a sweep is the same each time: how
many drivers are killed, and after how long each; a round that failed is run alone with ``CHAOS_ROUND=12``.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from sqlalchemy.engine import make_url

from tests.databases import a_postgres_server, administer
from tests.drivers import Home

ROUNDS = 30
MOST_KILLS = 4
LONGEST_LIFE = 3.0
"""A sweep of theirs takes two to five seconds."""
SEED = "CHAOS_SEED"
ROUND = "CHAOS_ROUND"


@dataclass(frozen=True)
class Told:
    """What became of one sweep."""

    database: str
    kills: int
    lives: list[float]
    seconds: float
    error: str | None


def main() -> int:
    console = Console()
    seed = int(os.environ.get(SEED) or secrets.randbelow(10**6))
    only = os.environ.get(ROUND)
    rounds = range(ROUNDS) if only is None else [int(only)]
    console.print(f"{SEED}={seed}, {len(rounds)} rounds")
    console.print(f"{'round':>5}  {'database':<10}  killed  {'took, s':>7}  result  lived, s")
    failed = []
    with postgres() as server, tempfile.TemporaryDirectory(prefix="lrsweep-chaos-") as folder:
        for number in rounds:
            told = one(Path(folder) / str(number), random.Random(f"{seed} {number}"), server if number % 2 else None)
            lives = " ".join(f"{life:.2f}" for life in told.lives)
            result = "whole" if told.error is None else "BROKEN"
            console.print(
                f"{number:>5}  {told.database:<10}  {told.kills:>6}  {told.seconds:>7.1f}  {result:<6}  {lives}"
            )
            if told.error is not None:
                failed.append(number)
                console.print(f"to run it again: {SEED}={seed} {ROUND}={number}\n{told.error}", markup=False)
    console.print(f"{len(rounds) - len(failed)} of {len(rounds)} sweeps are whole ({SEED}={seed})")
    return 1 if failed else 0


def one(folder: Path, chance: random.Random, server: str | None) -> Told:
    """Kills one driver after the other, then lets the last one end the sweep; all must agree."""
    environ = {}
    if server is not None:
        name = f"chaos_{secrets.token_hex(4)}"
        administer(server, f"CREATE DATABASE {name}")
        environ["LRSWEEP_DATABASE_URL"] = make_url(server).set(database=name).render_as_string(hide_password=False)
    lives = [chance.uniform(0.0, LONGEST_LIFE) for _ in range(chance.randint(1, MOST_KILLS))]
    began, kills, error = time.monotonic(), 0, None
    try:
        home = Home(folder, environ)
        for life in lives:
            driver = home.start()
            driver.process.join(life)
            if driver.process.exitcode is None:
                driver.send(signal.SIGKILL)
            kills += driver.wait().code == -signal.SIGKILL
        home.finish()
    except AssertionError as broken:
        error = str(broken) or "it did not end whole"
    return Told("SQLite" if server is None else "PostgreSQL", kills, lives, time.monotonic() - began, error)


@contextmanager
def postgres() -> Iterator[str]:
    with a_postgres_server() as server:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        administer(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")  # speed; no test cuts the power
        yield url


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
