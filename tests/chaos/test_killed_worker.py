"""Workers that are killed, stopped or in each other's way: a sweep that was asked for goes on, and counts once."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lrsweep.records import SweepStatus
from lrsweep.store.queue import Queued, QueueState
from tests.agreement import results
from tests.commands import query, wait_for
from tests.drivers import SLOW, Home, a_study, until
from tests.workers import asked, over, registered, row, working

OUTCOMES = "SELECT count(*) FROM lrs_training WHERE status NOT IN ('queued', 'running')"

POINTS = [
    "after-create:1",
    "after-commit:4",
    *(
        pytest.param(each, marks=pytest.mark.chaos)
        for each in ("after-ask:3", "after-phase:1", "before-mirror:2", "mid-mirror:3")
    ),
]


@pytest.mark.parametrize("fault", POINTS)
def test_another_worker_goes_on_with_a_killed_ones_sweep(tmp_path: Path, fault: str) -> None:
    """Killed at each named point: the next one claims it at once, drives the same sweep, and all agree."""
    home = Home(tmp_path)
    sweep = asked(home)
    with working(home, fault=fault) as worker:
        assert worker.wait().code == -signal.SIGKILL
    assert row(home, sweep).state is QueueState.CLAIMED
    with working(home, "--once") as worker:
        ran = worker.wait()
    assert ran.code == 0, ran.err
    ended = over(home, sweep)
    assert (ended.state, ended.attempts, ended.error) == (QueueState.ENDED, 2, None)
    assert query(home.path, "SELECT group_concat(sweep_id) FROM lrs_sweep") == sweep
    home.assert_whole()


def test_a_worker_that_is_told_to_leave_saves_and_queues_again(tmp_path: Path) -> None:
    """SIGTERM: exit code 0, the claim is free, no attempt is counted; the next one ends the same sweep."""
    home = Home(tmp_path, trials=200)
    sweep = asked(home)
    with working(home, **SLOW) as worker:
        until(lambda: query(home.path, OUTCOMES) >= 2, worker)
        worker.send(signal.SIGTERM)
        ran = worker.wait()
    assert ran.code == 0, ran.err
    assert "queued again for the next worker" in ran.err
    assert ran.err.rstrip().endswith("stopped")
    left = row(home, sweep)
    assert (left.state, left.attempts, left.owner) == (QueueState.QUEUED, 0, None)
    assert query(home.path, "SELECT count(*) FROM lrs_training WHERE status = 'running'") == 0

    home.shrink()
    with results(home.path) as store:
        registered(home, store)
    with working(home, "--once") as worker:
        assert worker.wait().code == 0
    assert over(home, sweep).state is QueueState.ENDED
    home.assert_whole()


def test_an_idle_worker_leaves_at_once(tmp_path: Path) -> None:
    """SIGINT where nothing waits: 0."""
    home = Home(tmp_path)
    with working(home, "--poll", "10m") as worker:
        until(lambda: "waits for sweeps" in (worker.folder / "err").read_text(), worker)
        worker.send(signal.SIGINT)
        assert worker.wait(60).code == 0


def test_two_workers_and_five_requests_drive_each_sweep_once(tmp_path: Path) -> None:
    """Five studies: both work, every sweep is claimed once and ends, and no lease was ever in the way."""
    home = Home(tmp_path)
    text = (home.folder / "tiny.toml").read_text()
    sweeps = []
    for number in range(5):
        file = home.folder / f"study-{number}.toml"
        file.write_text(text.replace('name = "tiny"', f'name = "study-{number}"'))
        with results(home.path) as store:
            registered(home, store, file)
        sweeps.append(asked(home, f"study-{number}"))
    with working(home, PACE="0.1") as one, working(home, PACE="0.1") as two:
        rows = [over(home, sweep) for sweep in sweeps]
        for worker in (one, two):
            worker.send(signal.SIGTERM)
            assert worker.wait().code == 0
    assert [(each.state, each.attempts) for each in rows] == [(QueueState.ENDED, 1)] * 5
    told = [(worker.folder / "err").read_text() for worker in (one, two)]
    assert all("claimed" in each for each in told)
    assert not any("it waits" in each for each in told)
    assert query(home.path, "SELECT count(*) FROM lrs_sweep WHERE status = 'finished'") == 5


def test_a_sweep_that_somebody_drives_by_hand_waits_its_turn(tmp_path: Path) -> None:
    """No attempt is used up, it is said once, and the worker goes on where the other has left."""
    home = Home(tmp_path, trials=200)
    with results(home.path) as store:
        registered(home, store)
    by_hand = home.start(**SLOW)
    until(lambda: query(home.path, OUTCOMES) >= 2, by_hand)
    with results(home.path) as store:
        [sweep] = store.sweeps("tiny")
        store.queue.add(Queued(sweep.sweep_id, "tiny", "a test"))
    with working(home) as worker:
        until(lambda: "drives study 'tiny'" in (worker.folder / "err").read_text(), worker)
        until(lambda: row(home, sweep.sweep_id).state is QueueState.QUEUED, worker)
        assert row(home, sweep.sweep_id).attempts == 0
        by_hand.send(signal.SIGTERM)
        by_hand.wait()
        home.shrink()
        with results(home.path) as store:
            registered(home, store)
        ended = over(home, sweep.sweep_id)
        assert (worker.folder / "err").read_text().count("drives study 'tiny'") == 1
    assert (ended.state, ended.attempts) == (QueueState.ENDED, 1)
    home.assert_whole()


def test_a_running_sweep_is_cancelled_and_its_worker_takes_the_next(tmp_path: Path) -> None:
    """The wish in the queue reaches the driver; what it found stays."""
    home = Home(tmp_path, trials=200)
    sweep = asked(home)
    with working(home, **SLOW) as worker:
        until(lambda: query(home.path, OUTCOMES) >= 2, worker)
        with results(home.path) as store:
            store.queue.cancel(sweep)
        assert over(home, sweep).state is QueueState.CANCELLED
        with results(home.path) as store:
            assert store.sweep(sweep).status is SweepStatus.CANCELLED
            assert len(store.trials("tiny")) >= 2
        a_study(home.folder, trials=2)
        with results(home.path) as store:
            registered(home, store)
        second = asked(home)
        assert second != sweep
        assert over(home, second).state is QueueState.ENDED


def test_a_cancelled_sweep_that_its_worker_left_is_ended_by_the_next(tmp_path: Path) -> None:
    """Killed as it drove, cancelled meanwhile: the next worker trains nothing and ends the sweep."""
    home = Home(tmp_path)
    sweep = asked(home)
    with working(home, fault="after-commit:2") as worker:
        assert worker.wait().code == -signal.SIGKILL
    with results(home.path) as store:
        store.queue.cancel(sweep)
        trials = len(store.trials("tiny"))
    with working(home, "--once") as worker:
        assert worker.wait().code == 0
    assert over(home, sweep).state is QueueState.CANCELLED
    with results(home.path) as store:
        assert store.sweep(sweep).status is SweepStatus.CANCELLED
        assert len(store.trials("tiny")) == trials
        assert not any(row.status.value == "running" for row in store.trainings("tiny"))


def test_a_deadline_counts_what_a_killed_worker_has_spent(tmp_path: Path) -> None:
    """It ends in order, and the request is over with the reason; asked again the same sweep goes on. On a machine that
    stalls it may pass before the sweep has begun: then with a later one."""
    home = Home(tmp_path, trials=200)
    for deadline in (6.0, 20.0, 60.0, 180.0):
        sweep = asked(home, deadline=deadline)
        with working(home, **SLOW):
            ended = over(home, sweep)
        assert ended.state is QueueState.ENDED
        assert "the deadline passed" in (ended.error or "")
        with results(home.path) as store:
            found = store.sweeps("tiny")
        if found:
            break
    assert [(row.sweep_id, row.status) for row in found] == [(sweep, SweepStatus.RUNNING)]
    assert asked(home) == sweep


def test_what_cannot_be_driven_fails_with_a_sentence(tmp_path: Path) -> None:
    """A text that is wrong now, a folder that is gone, a text of another study: the worker goes on with others."""
    home = Home(tmp_path)
    with results(home.path) as store:
        registered(home, store)
        [kept] = store.queue.registered("tiny")
        sweeps = []
        for name, changed in {
            "wrong": replace(kept, study="wrong", text="[study]\n"),
            "gone": replace(kept, study="gone", folder=str(tmp_path / "nowhere")),
            "other": replace(kept, study="other"),
        }.items():
            store.queue.register(changed)
            sweeps.append((asked(home, name), name))
    good = asked(home)
    with working(home, "--once") as worker:
        assert worker.wait().code == 0
    told = {name: over(home, sweep) for sweep, name in sweeps}
    assert all(each.state is QueueState.FAILED for each in told.values())
    assert "1 problem" in str(told["wrong"].error) or "problems" in str(told["wrong"].error)
    assert "cannot be entered" in str(told["gone"].error)
    assert "is of 'tiny'" in str(told["other"].error)
    assert over(home, good).state is QueueState.ENDED


def test_mlflow_away_is_waited_for_and_said_once(tmp_path: Path) -> None:
    """The request stays, no attempt is used up; when MLflow is back the sweep is driven."""
    home = Home(tmp_path)
    sweep = asked(home)
    with working(home, MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0") as worker:
        until(lambda: "it waits" in (worker.folder / "err").read_text(), worker)
        wait_for(lambda: row(home, sweep).state is QueueState.QUEUED)
        waiting = row(home, sweep)
        assert waiting.attempts == 0
        assert waiting.expires_at is not None
        assert (worker.folder / "err").read_text().count("it waits") == 1
    with working(home) as worker:
        assert over(home, sweep).state is QueueState.ENDED
    home.assert_whole()
