"""``Client.wait`` while the service is away: it is waited for as ``Client.events`` waits, and no longer."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lrsweep.client import Client
from lrsweep.errors import Unavailable
from lrsweep.store import open_store
from lrsweep.store.queue import Queued
from tests.commands import wait_for
from tests.served import PATIENCE, Served, served


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrsweep.client.client.WAIT_SECONDS", 0.05)


def queued(home: Path) -> str:
    database = f"sqlite:///{home}/results.db"
    store = open_store(database)
    store.queue.add(Queued("sweep-1", "digits", "a test"))
    store.close()
    return database


def stop(service: Served) -> None:
    service.process.send_signal(signal.SIGTERM)
    service.process.communicate(timeout=PATIENCE)


def test_a_service_that_is_started_again_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped as a client waits: it hears the sweep's end from the next one."""
    home = tmp_path / "home"
    store = open_store(queued(home))
    failed: list[Unavailable] = []
    ask = Client.sweep

    def counted(self: Client, sweep_id: str) -> dict[str, Any]:
        try:
            return ask(self, sweep_id)
        except Unavailable as error:
            failed.append(error)
            raise

    monkeypatch.setattr(Client, "sweep", counted)
    with ThreadPoolExecutor(1) as threads:
        with served(home) as service:
            client = Client(service.url, timeout=60)
            waiting = threads.submit(client.wait, "sweep-1", seconds=PATIENCE)
            stop(service)
        wait_for(lambda: len(failed) >= 3)
        assert not waiting.done()
        with served(home, "--port", str(service.address[1])):
            store.queue.cancel("sweep-1")
            assert waiting.result(PATIENCE)["state"] == "cancelled"
    store.close()


def test_a_service_that_stays_away_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that was given, or after a minute (here less) from when it was heard last."""
    home = tmp_path / "home"
    queued(home)
    with served(home) as service:
        stop(service)
    client = Client(service.url)
    for most, seconds in ((60.0, 0.3), (0.3, None)):
        monkeypatch.setattr("lrsweep.client.client.GIVE_UP_SECONDS", most)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer"):
            client.wait("sweep-1", seconds=seconds)
        assert time.monotonic() - began >= 0.3
