"""Nights that are killed, stopped, or run twice at once; databases that go away under them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrsweep.cli.signals import SAME_SECONDS
from lrsweep.store.champions import Alias, in_force
from tests.agreement import results
from tests.databases import a_postgres_server
from tests.drivers import SLOW, until
from tests.night_drivers import NightHome

MANY = ("--key", "k", "--always")


@pytest.fixture
def home(tmp_path: Path) -> NightHome:
    """A champion is in force."""
    made = NightHome(tmp_path)
    made.promote()
    return made


def assert_trained_once(home: NightHome, nights: int = 1) -> None:
    """Champion and baseline with three seeds each, and no file of a checkpoint is left."""
    with results(home.path, home.environ) as store:
        rows = store.nights.rows()
        assert [row.ended_at is not None for row in rows] == [True] * nights
        assert [len(store.nights.trainings(row.id)) for row in rows] == [6] * nights
    assert [path.name for path in (home.path / "nights").glob("*")] == []


def test_a_night_that_is_killed_in_its_canary_goes_on_with_the_rest(home: NightHome) -> None:
    """SIGKILL after two trainings; the same command waits for no lease, trains the other four, and a third start reads
    what came of it."""
    night = home.night(*MANY, PACE="2")
    until(lambda: home.trained >= 2, night)
    night.send(signal.SIGKILL)
    assert night.wait().code == -signal.SIGKILL
    assert 2 <= home.trained < 6
    with results(home.path) as store:
        before = store.nights.trainings(1)
        [row] = store.nights.rows()
        assert row.ended_at is None
    again = home.ran(*MANY)
    assert again.code == 0, again.err
    with results(home.path) as store:
        assert set(before) <= set(store.nights.trainings(1))
    assert_trained_once(home)
    third = home.ran(*MANY)
    assert third.code == again.code
    [first], [read] = again.answer["studies"], third.answer["studies"]
    assert read == {**first, "is_recorded": True}


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_drains_a_night(home: NightHome, signum: signal.Signals, code: int) -> None:
    """Its exit code, a sentence how to go on, a summary all the same; and the same command ends it."""
    summary = home.folder / "summary.json"
    night = home.night(*MANY, "--summary", str(summary), **SLOW)
    until(lambda: home.trained >= 1, night)
    night.send(signum)
    ran = night.wait()
    assert ran.code == code, ran.err
    assert "to continue: " in ran.err
    assert "nightly run" in ran.err
    assert f'"exit_code": {code}' in summary.read_text()
    assert home.ran(*MANY).code == 0
    assert_trained_once(home)


def test_a_second_signal_ends_a_night_at_once(home: NightHome) -> None:
    """Also while it waits for another process."""
    night = home.night(*MANY, PACE="30")
    until(lambda: "6 of 6 trainings" in (night.folder / "err").read_text(), night)
    night.send(signal.SIGTERM)
    time.sleep(SAME_SECONDS + 0.5)
    night.send(signal.SIGINT)
    assert night.wait(20).code == 130


def test_of_two_nights_at_once_one_runs(home: NightHome) -> None:
    """The other leaves the study out (99), or waits and reads what the first has found."""
    first = home.night(*MANY, "--json", PACE="4")  # 24 s: on a busy machine the others take half of that to start
    until(lambda: home.trained >= 1, first)
    waits = home.night(*MANY, "--json", "--on-locked", "wait")
    second = home.ran(*MANY)
    assert second.code == 99
    assert f"process {first.pid}" in second.answer["notes"][0]
    until(lambda: "waiting: process" in (waits.folder / "err").read_text(), waits)
    one, other = first.wait(), waits.wait()
    assert (one.code, other.code) == (0, 0), one.err + other.err
    assert other.answer["studies"][0]["is_recorded"]
    assert_trained_once(home)


def test_a_deadline_ends_a_night_in_order(home: NightHome) -> None:
    """Exit code 124; with enough time the same key ends."""
    ran = home.ran(*MANY, "--deadline", "1s", PACE="0.6")
    assert ran.code == 124
    assert ran.answer["studies"] == []
    assert "the same command goes on with it" in ran.answer["notes"][0]
    assert home.ran(*MANY, "--deadline", "10m").code == 0
    assert_trained_once(home)


# ── no champion ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_night_without_a_champion_runs_the_sweep_and_is_killed_in_it(tmp_path: Path) -> None:
    """The same key goes on with that sweep; its choice is the candidate, the verdict undecided, exit code 0; with it
    promoted the next night has a canary."""
    home = NightHome(tmp_path)
    night = home.night("--key", "k", **SLOW)

    def told() -> int:
        with results(home.path) as store:
            return sum(trial.is_told for trial in store.trials("tiny"))

    until(lambda: told() >= 1, night)
    night.send(signal.SIGKILL)
    night.wait()
    ran = home.ran("--key", "k")
    assert ran.code == 0, ran.err
    [study] = ran.answer["studies"]
    assert (study["verdict"], study["champion"]) == ("undecided", None)
    assert study["candidate"].split()[0] in ("constant", "cosine", "exponential")
    assert study["trainings"] > 6
    with results(home.path) as store:
        assert len(store.sweeps("tiny")) == 1
        candidate = in_force(store.champions.rows("tiny"), "tiny", Alias.CANDIDATE)
        assert candidate is not None
        assert candidate.note == "night k"
        assert store.champions.test_reads() == []
    home.assert_whole()
    promoted = home.command("nightly", "promote", "tiny", "--anyway").wait()  # on six trials it is undecided
    assert promoted.code == 0, promoted.err
    after = home.ran("--key", "l")
    assert after.code == 0, after.err
    assert after.answer["studies"][0]["judgement"]["charts"][0]["name"] == "champion"


def test_a_sweep_that_another_drives_counts_as_locked(tmp_path: Path) -> None:
    """Where the night needs it: 99, or it waits, and takes what the other one's sweep has chosen."""
    home = NightHome(tmp_path)
    driver = home.start(**SLOW)

    def driven() -> bool:
        with results(home.path) as store:
            return bool(store.holders())

    until(driven, driver)
    assert home.ran("--key", "k").code == 99
    waits = home.night("--key", "k", "--json", "--on-locked", "wait")
    until(lambda: "at work on the sweep of tiny" in (waits.folder / "err").read_text(), waits)
    assert driver.wait().code == 0
    ran = waits.wait()
    assert ran.code == 0, ran.err
    assert ran.answer["studies"][0]["candidate"] is not None
    with results(home.path) as store:
        assert len(store.sweeps("tiny")) == 1


# ── databases ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.chaos
def test_postgresql_that_goes_away_under_a_night_costs_nothing(tmp_path: Path) -> None:
    """An immediate shutdown: the study fails with 75 and the remedy; once it is back the same key goes on."""
    with a_postgres_server() as server:
        home = NightHome(tmp_path, {"LRSWEEP_DATABASE_URL": server.get_uri()})
        home.promote()
        night = home.night(*MANY, "--json", **SLOW)
        until(lambda: home.trained >= 1, night)
        postmaster = int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        ran = night.wait()
        assert ran.code == 75, ran.err
        assert "What was committed is safe" in ran.answer["studies"][0]["sentence"]
        server.ensure_postgres_running()
        assert home.ran(*MANY).code == 0
        assert_trained_once(home)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(place)], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.chaos
def test_a_disk_that_fills_up_under_a_night_costs_nothing(disk: Path) -> None:
    """Exit code 75 with the file and the remedy; with room again the same key goes on."""
    home = NightHome(disk.parent, path=disk / "home")
    home.promote()
    night = home.night(*MANY, "--json", **SLOW)
    until(lambda: home.trained >= 1, night)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    ran = night.wait()
    assert ran.code == 75, ran.err
    assert "Make room on that disk." in ran.answer["studies"][0]["sentence"]
    filler.unlink()
    assert home.ran(*MANY).code == 0
    assert_trained_once(home)
