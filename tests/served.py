"""The service as a person starts it: a real process on a free port, on results that have a bit of everything."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from lrsweep.champion.reading import written
from lrsweep.champion.value import ChampionChoice
from lrsweep.records import StudyRow, SweepRow, SweepStatus
from lrsweep.store import Store, open_store
from lrsweep.store.champions import Action, Alias, ChampionRow
from lrsweep.store.queue import Registered
from lrsweep.store.tokens import Scope, digest_of, new_token
from lrsweep.study import ResolvedStudy
from tests.choices import choice
from tests.commands import start_lrsweep
from tests.looked import a_driven_bench
from tests.promoted import STUDY, noisy

PATIENCE = 120.0

SWEPT, BEGUN, PROMOTED = "quick", "begun", "digits"
"""A study whose sweep has ended, one whose sweep has no value yet, and one of which a champion is all that is left."""
SWEEP = "sweep-1"
CHAMPION = choice()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """by their names in small letters"""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """Its text; it has to be a problem of this status."""
        assert self.headers["content-type"] == "application/problem+json", self
        found = self.json
        assert found["status"] == self.status
        assert found["title"]
        return str(found["detail"])


@dataclass(frozen=True)
class Served:
    url: str
    process: subprocess.Popen[str]
    database: str

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def get(self, path: str, token: str | None = None, **headers: str) -> Answer:
        return self.ask("GET", path, token=token, headers=headers)

    def post(self, path: str, body: Any, token: str | None = None, **headers: str) -> Answer:
        return self.ask("POST", path, token=token, body=body, headers=headers)

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The path goes out as it is written."""
        given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        text = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body=text, headers=given)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextmanager
def served(home: Path, *options: str, environ: Mapping[str, str] | None = None, database: str = "") -> Iterator[Served]:
    """Ends with SIGTERM; a test that has ended it itself is asked for nothing more."""
    process = start_lrsweep("serve", "--port", "0", *options, home=home, environ=environ)
    try:
        yield Served(_url_of(process), process, database or f"sqlite:///{home}/results.db")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def _url_of(process: subprocess.Popen[str]) -> str:
    """What it says once it listens."""
    lines: list[str] = []
    assert process.stdout is not None
    reading = Thread(target=lambda out: lines.append(out.readline()), args=(process.stdout,), daemon=True)
    reading.start()
    reading.join(PATIENCE)
    found = re.search(r"http://[\w.:\[\]]+:\d+", lines[0] if lines else "")
    if found is None:
        process.kill()
        raise AssertionError(f"the service did not start: {lines}, {process.communicate()}")
    return found[0]


def fill(url: str) -> None:
    """A store with a bit of everything; see ``SWEPT``."""
    store = open_store(url)
    try:
        bench = a_driven_bench(STUDY, noisy, store)
        store.update_sweep(bench.lease, SWEEP, status=SweepStatus.FINISHED)
        store.release_lease(bench.lease)
        begin(store, BEGUN, "sweep-2")
        promote(store, CHAMPION)
    finally:
        store.close()


def begin(store: Store, name: str, sweep_id: str) -> None:
    """A study with a sweep of which nothing has trained yet."""
    study = replace(STUDY, name=name)
    lease = store.acquire_lease(name, "a test", seconds=600)
    row = StudyRow(name, study.meaning, study.generation, json.loads(json.dumps(study.spec())))
    store.register_study(lease, row)
    store.create_sweep(lease, SweepRow(sweep_id, name, study.generation))
    store.release_lease(lease)


def register(url: str, name: str, study: ResolvedStudy = STUDY) -> None:
    """As ``lrsweep register`` does it, of a study that no worker of a test reads again."""
    mine = replace(study, name=name)
    store = open_store(url)
    try:
        spec = json.loads(json.dumps(mine.spec()))
        kept = Registered(name, "/nowhere", "", source=f"{name}.toml", meaning=mine.meaning, generation=mine.generation)
        store.queue.register(replace(kept, spec=spec))
    finally:
        store.close()


def promote(store: Store, value: ChampionChoice, alias: Alias = Alias.CHAMPION) -> None:
    row = ChampionRow(value.name, alias, Action.PROMOTE, written(value), value.name, "0123456789abcdef", 3)
    store.champions.promote(row)


def give(url: str, name: str, scope: Scope = Scope.READ) -> str:
    """A token that is in force from now on."""
    store = open_store(url)
    try:
        token = new_token()
        store.tokens.add(name, scope, digest_of(token))
        return token
    finally:
        store.close()


def until(condition: Any, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what}: it did not happen in time"
        time.sleep(0.05)
