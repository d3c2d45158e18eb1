"""Workers in processes of their own, on sweeps that a test has queued as the service does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lrsweep.service.starting import Wish, started
from lrsweep.store import Store
from lrsweep.store.queue import Queued
from lrsweep.study import load_study
from lrsweep.sweep.remembering import remember
from tests.agreement import results
from tests.commands import wait_for
from tests.drivers import Driver, Home
from tests.sweeps import FACTS

POLL = ("--poll", "0.1s")


def registered(home: Home, store: Store, file: Path | None = None) -> None:
    """The home's study, as its engines describe it."""
    study = load_study(file or home.folder / "tiny.toml")
    with pytest.MonkeyPatch().context() as patch:
        patch.chdir(home.folder)
        remember(store, study, study.resolved(FACTS))


def asked(home: Home, name: str = "tiny", *, another: bool = False, deadline: float | None = None) -> str:
    """The id of the sweep that waits now."""
    with results(home.path, home.environ) as store:
        if not store.queue.registered(name):
            registered(home, store)
        found, is_new = started(store, Wish(name, "a test", None, deadline, another))
        assert is_new
        return str(found["sweep"])


def row(home: Home, sweep: str) -> Queued:
    with results(home.path, home.environ) as store:
        return store.queue.row(sweep)


@contextmanager
def working(home: Home, *options: str, fault: str = "", **environ: str) -> Iterator[Driver]:
    """Killed at the end, where the test has not ended it."""
    worker = home.start_command("worker", *POLL, *options, fault=fault, **environ)
    try:
        yield worker
    finally:
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def over(home: Home, sweep: str) -> Queued:
    """Once the queue is done with it."""
    wait_for(lambda: row(home, sweep).state.is_over)
    return row(home, sweep)
