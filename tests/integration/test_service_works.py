"""The service, a worker and a real training, each in a process of its own: from a request to its result."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lrsweep.client import Client
from lrsweep.errors import SettingsError, TryAgain
from lrsweep.store import open_store, with_schema
from lrsweep.store.tokens import Scope
from tests.agreement import assert_agreement
from tests.commands import lrsweep, start_lrsweep, wait_for, write_study
from tests.served import give, served


@contextmanager
def a_worker(home: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = start_lrsweep("worker", "--poll", "0.2s", home=home, environ=environ)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), out + err


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_request_comes_to_a_result_though_everything_is_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The worker is killed as it trains, then the service; both start again, the same sweep ends with one result for
    each trial, and whoever has followed it has heard every line of its history once."""
    home, study = tmp_path / "home", write_study(tmp_path, trials=16, horizon=600)
    url = f"sqlite:///{home}/results.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    environ = {} if kind == "sqlite" else {"LRSWEEP_DATABASE_URL": url}
    results = url if kind == "sqlite" else with_schema(url, "lrsweep")
    ran = lrsweep("register", str(study), home=home, environ=environ)
    assert ran.code == 0, ran.err
    assert "POST /v1/studies/tiny/sweeps starts it" in ran.out
    token = give(results, "runner", Scope.RUN)
    store = open_store(results)

    def outcomes(sweep: str) -> int:
        return sum(row.status.is_outcome for row in store.trainings("tiny", sweep_id=sweep))

    heard: list[Any] = []
    try:
        with served(home, environ=environ) as service, a_worker(home, environ) as worker:
            client = Client(service.url, token, timeout=60)
            started = client.start("tiny", key="night-1", deadline="2h")
            assert client.start("tiny", key="night-1", deadline="2h") == started
            with pytest.raises(TryAgain, match="has a sweep already"):
                client.start("tiny", key="night-2")
            sweep = str(started["sweep"])
            events = client.events(sweep)
            heard.append(next(events))
            wait_for(lambda: outcomes(sweep) >= 2)
            worker.kill()
            worker.communicate()
            assert not client.sweep(sweep)["is_over"]
            while heard[-1]["event"] != "training_ended":
                heard.append(next(events))
            del events
            service.process.kill()
            service.process.communicate()
        last = max(each["id"] for each in heard if "id" in each)
        with served(home, environ=environ) as service, a_worker(home, environ):
            client = Client(service.url, token, timeout=60)
            assert client.start("tiny", key="night-1", deadline="2h") == started
            heard += client.events(sweep, after=last)
            found = client.wait(sweep, seconds=120)
            assert (found["state"], found["trials_told"], found["queue"]["state"]) == ("finished", 16, "ended")
            assert found["queue"]["attempts"] == 2
            assert "<html" in client.report(sweep)
            assert client.schedule("tiny").source == "sweep"
            assert list(client.events(sweep, after=max(each["id"] for each in heard if "id" in each))) == []
            over = client.start("tiny", key="night-3")
            assert (over["course"], over["sweep"]) == ("nothing", sweep)
            with pytest.raises(TryAgain, match="is finished already"):
                client.cancel(sweep)
        history = [event.kind for event in store.events("tiny") if event.sweep_id == sweep]
        assert [each["event"] for each in heard if "id" in each] == history
        assert len(store.sweeps("tiny")) == 1
    finally:
        store.close()
    assert_agreement(home, "tiny", trials=16, environ=environ)


def test_what_may_not_or_cannot_be_started_is_told(tmp_path: Path) -> None:
    """The client's words are the service's; a name with a path in it is a name."""
    home = tmp_path / "home"
    token = give(f"sqlite:///{home}/results.db", "reader")
    with served(home) as service:
        reader = Client(service.url, token, timeout=60)
        with pytest.raises(SettingsError, match="--scope run"):
            reader.start("tiny")
        token = give(service.database, "runner", Scope.RUN)
        runner = Client(service.url, token, timeout=60)
        wait_for(lambda: service.get("/v1/families", token=token).status == 200)
        for name in ("tiny", "../../etc/passwd", "tiny.toml", "/etc/passwd"):
            with pytest.raises(SettingsError, match="answers 404: there is no"):
                runner.start(name)
            with pytest.raises(SettingsError, match="there is no"):
                runner.cancel(name)
            with pytest.raises(SettingsError, match="there is no"):
                next(runner.events(name))


def test_a_study_with_problems_is_not_registered(tmp_path: Path) -> None:
    """Exit code 64 with all of them; `run` registers what it runs, but not random data."""
    home, study = tmp_path / "home", tmp_path / "bad.toml"
    study.write_text('[study]\nname = "bad"\nworkload = "digts"\n[budget]\ntrials = 0\n')
    ran = lrsweep("register", str(study), home=home)
    assert ran.code == 64
    assert "2 problems" in ran.err
    assert not (home / "results.db").exists()
