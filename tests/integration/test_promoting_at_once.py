"""Promotions of one choice in processes of their own: the test set is read once, whoever comes first."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest

from lrsweep.cli.db import Report, show
from lrsweep.errors import LeaseHeld, TryAgain
from lrsweep.executors.local import LocalExecutor
from lrsweep.executors.messages import Lost
from lrsweep.findings.promoting import alone
from lrsweep.findings.promoting import promoted as promoting
from lrsweep.findings.promoting.promoted import Promotion, Wanted
from lrsweep.records import Outcome, Record, SweepStatus, TrainingPlan, WorkloadFacts
from lrsweep.store import Store, open_store
from lrsweep.store.champions import reading_lease
from lrsweep.store.upkeep import check_store, without_drivers
from lrsweep.sweep.homes import Homes
from lrsweep.sweep.registering import Registered
from tests.looked import a_driven_bench
from tests.promoted import STUDY, noisy
from tests.racers import raced
from tests.scripted import ScriptedExecutor, completed
from tests.sweeps import FACTS

SCRIPT = """
import sys, time
from tests.integration.test_promoting_at_once import Slow, homes_at, promoted
from lrsweep.store import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
found = promoted(store, homes_at(sys.argv[1]), Slow, lambda text: print("said:", text, flush=True))
print("row", found.row.id, found.is_new, found.reads, flush=True)
store.close()
"""
"""Ends with the row, whether it is new, and how many reads there were."""


class OnTestSet(ScriptedExecutor):
    """Trains for the test set without a process."""

    def __init__(self) -> None:
        super().__init__(on_test)

    def describe(self, *_: object) -> WorkloadFacts:
        return FACTS


class Slow(OnTestSet):
    """Says that it reads, and takes a moment for each training."""

    def poll(self, seconds: float) -> list[Record | Lost]:
        sys.stdout.write("reads\n")
        sys.stdout.flush()
        time.sleep(0.4)
        return super().poll(seconds)


def on_test(plan: TrainingPlan) -> Outcome:
    outcome = completed(plan, 0.25 + (plan.seed % 3) / 100)
    return Outcome(outcome.status, outcome.steps, outcome.seconds, {**outcome.metrics, "test_loss": 0.25})


def homes_at(url: str) -> Homes:
    """Beside an MLflow that is away."""
    return Homes(Path("unused"), url, "sqlite://", "http://127.0.0.1:9", None)


def promoted(
    store: Store, homes: Homes, executor: type[OnTestSet] = OnTestSet, say: Callable[[str], None] = print
) -> Promotion:
    """MLflow's registry plays no part: loading it takes longer than all of this."""
    with patch.object(promoting, "register", lambda *_, **__: Registered()):
        return promoting.promote(store, homes, Wanted("quick"), lambda: cast(LocalExecutor, executor()), say)


@pytest.fixture
def swept(database_url: str) -> str:
    """The address of results with a sweep that is over."""
    store = open_store(database_url)
    bench = a_driven_bench(STUDY, noisy, store)
    store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    store.release_lease(bench.lease)
    store.close()
    return database_url


@pytest.fixture
def store(swept: str) -> Iterator[Store]:
    opened = open_store(swept)
    yield opened
    opened.close()


def test_of_promotions_at_once_one_reads_and_both_end_with_its_row(swept: str, store: Store) -> None:
    """One read, one row; the one that came later finds nothing new, and what the first has read."""
    written = raced(SCRIPT, swept, count=2)
    assert sorted(lines.splitlines()[-1] for lines in written) == ["row 1 False 1", "row 1 True 1"]
    [second] = [lines for lines in written if "row 1 False" in lines]
    assert "reads\n" not in second
    assert len(store.champions.test_reads()) == 1
    [row] = store.champions.rows()
    assert '"test_loss"' in (row.choice or "")
    assert store.holders() == {}


def test_a_promotion_that_was_killed_while_it_read_holds_up_nobody(swept: str, store: Store) -> None:
    """The next one sees that its process is gone, and reads; both reads count."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, swept], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as racer:
        assert racer.stdin is not None
        assert racer.stdout is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
        while (line := racer.stdout.readline()) != "reads\n":
            assert line, "it ended before it read"
        racer.kill()
    said: list[str] = []
    found = promoted(store, homes_at(swept), say=said.append)
    assert (found.is_new, found.reads) == (True, 2)
    assert not any("waiting" in text for text in said)


def test_one_that_died_on_another_machine_is_waited_for_until_its_lease_expires(swept: str, store: Store) -> None:
    """Nobody here can know that its process is gone; it is told whom the promotion waits for."""
    store.acquire_lease(reading_lease("quick"), "process 7 on elsewhere [boot:1 2]", seconds=6)
    said: list[str] = []
    found = promoted(store, homes_at(swept), say=said.append)
    assert (found.is_new, found.reads) == (True, 1)
    [waiting] = [text for text in said if "waiting" in text]
    assert "process 7 on elsewhere reads the test set for a promotion of quick" in waiting


def test_who_lives_keeps_its_claim_for_as_long_as_it_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is renewed meanwhile, and given back at the end."""
    monkeypatch.setattr("lrsweep.sweep.kept_lease.RENEW_EVERY", 0.1)
    with alone.reading_alone(store, "quick", print):
        assert seconds_left(store) <= 30
        monkeypatch.setattr("lrsweep.sweep.kept_lease.LEASE_SECONDS", 6000.0)
        end = time.monotonic() + 60
        while seconds_left(store) < 1000:
            assert time.monotonic() < end
            time.sleep(0.1)
    store.acquire_lease(reading_lease("quick"), "bob", seconds=60)


def seconds_left(store: Store) -> float:
    """Of the claim that somebody has."""
    with pytest.raises(LeaseHeld) as held:
        store.acquire_lease(reading_lease("quick"), "bob", seconds=60)
    return held.value.seconds_left


def test_one_that_was_stopped_until_another_took_its_place_counts_no_read(store: Store) -> None:
    """It is told what to do; the same command takes what the other has found."""
    with alone.reading_alone(store, "quick", print) as claim:
        store.acquire_lease(reading_lease("quick"), "bob", seconds=60, is_dead=lambda _: True)
        with pytest.raises(TryAgain, match=r"of 'quick' was stopped for so long.*The same command"):
            claim.confirm()
    with pytest.raises(LeaseHeld):
        store.acquire_lease(reading_lease("quick"), "ann", seconds=60)


def test_a_claim_is_no_drivers_lease(swept: str, store: Store) -> None:
    """The study may be driven meanwhile, and nobody is shown as its driver; only a migration waits."""
    with alone.reading_alone(store, "quick", print):
        assert store.holders() == {}
        store.release_lease(store.acquire_lease("quick", "a driver", seconds=60))
        told_of = r"a promotion of 'quick' reads the test set \(process"
        with pytest.raises(LeaseHeld, match=told_of) as held, without_drivers(swept):
            pass
        assert "driven" not in str(held.value)
        assert held.value.exit_code == 99
        found = check_store(swept)
        assert found is not None
        shown: list[str] = []
        report = Report(found, None, None, is_mlflow_ours=False)
        show(report, shown.append)
        [claim] = [line for line in shown if "reads the test set" in line]
        assert claim.startswith("a promotion of 'quick' reads the test set (process ")
        assert not any("is driven by" in line for line in shown)
        told = report.to_json()
        assert (told["leases"], list(told["test_sets_read_by"])) == ({}, ["quick"])
    checked = check_store(swept)
    assert checked is not None
    assert checked.problems == ()
