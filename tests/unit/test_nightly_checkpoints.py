"""Checkpoints of nights: whose they are, how long they stay, and who waits until they are removed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import lrsweep.nightly.around as around
from lrsweep.nightly.asked import Asked
from lrsweep.nightly.running import run_nights
from lrsweep.nightly.training import finish_removing
from lrsweep.records import TrainingPlan
from lrsweep.sweep.remote_checkpoints import RemoteFolders
from tests.nightly_runs import HERE, STUDY, NightExecutor, Nights, usual
from tests.patience import in_time
from tests.scripted import End, failed

WEEK = 7 * 24 * 3600.0


class Killed(BaseException):
    """As a signal that nobody catches."""


@pytest.fixture
def around_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What surrounds the nights stays the same."""
    monkeypatch.setattr(around, "look_around", lambda **_: HERE)
    monkeypatch.setattr(around, "nvidia_driver", lambda: None)


@pytest.fixture
def nights(tmp_path: Path, around_here: None) -> Nights:
    """A study whose champion is ``linear``."""
    made = Nights(tmp_path / "home")
    made.promote()
    return made


def urls(nights: Nights) -> set[str | None]:
    return {plan.checkpoint_url for plan in nights.begun}


def killed(nights: Nights, key: str, after: int) -> None:
    left = [after]

    def dies(plan: TrainingPlan) -> End:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return usual(plan)

    nights.script = dies
    with pytest.raises(Killed):
        nights.run(key)
    nights.script = usual


def test_two_homes_that_share_a_place_do_not_share_checkpoints(tmp_path: Path, around_here: None) -> None:
    """The same study, champion and key in two results, whose nights began at different times."""
    seen = []
    for place, began in (("one", 1.8e9), ("two", 1.8e9 + 1e-3)):
        made = Nights(tmp_path / place, now=began, checkpoints_at=tmp_path / "shared")
        made.promote()
        made.night("a")
        seen.append(urls(made))
    assert [len(each) for each in seen] == [6, 6]
    assert not seen[0] & seen[1]


def test_a_night_that_goes_on_has_the_checkpoints_that_it_had(nights: Nights) -> None:
    """A day later, after a kill amid its trainings."""
    killed(nights, "a", 2)
    before = urls(nights)
    nights.night("a")
    assert len(nights.begun) == 4
    assert before & urls(nights), "those that had begun before"


@pytest.mark.parametrize("is_remote", [False, True])
def test_attempts_of_a_night_that_never_ended_go_after_a_week(
    nights: Nights, is_remote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beside a checkpoint stay, and those of younger nights; wherever checkpoints are."""
    monkeypatch.setattr(RemoteFolders, "names", lambda _: [])
    nights.checkpoints_at = "memory://attempts" if is_remote else None
    folder = nights.folder / "nights"
    folder.mkdir(parents=True)
    old, young, kept = "0" * 32, "1" * 32, "2" * 32
    for name in (f"{old}.attempt", f"{young}.attempt", f"{kept}.attempt", "mine.attempt"):
        (folder / name).write_text("3")
        if not name.startswith(young):
            os.utime(folder / name, (time.time() - WEEK - 60,) * 2)
    (folder / kept).mkdir()  # touched just now
    nights.night("a")
    assert {each.name for each in folder.glob("*.attempt")} == {
        f"{young}.attempt",
        f"{kept}.attempt",
        "mine.attempt",
    }


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """An object store that removes nothing until it is called."""
    let = threading.Event()
    monkeypatch.setattr(RemoteFolders, "names", lambda _: [])
    monkeypatch.setattr(RemoteFolders, "remove", lambda *_: let.wait())
    return let.set


def test_a_night_has_its_result_whatever_is_still_being_removed(nights: Nights, slowly: Callable[[], None]) -> None:
    """All has ended and is committed: no deadline can make it an unfinished one by removals."""
    nights.checkpoints_at = "memory://slow"

    def attempt(longer: float) -> None:
        run = nights.run(f"k{longer:g}", deadline_seconds=5 * longer)
        assert (run.exit_code, run.notes) == (0, ())

    try:
        in_time(attempt)
    finally:
        slowly()


def test_failed_trainings_are_told_before_anything_is_removed(nights: Nights, slowly: Callable[[], None]) -> None:
    """Exit code 70 and not 124; nobody waits for the object store first."""
    nights.checkpoints_at = "memory://slow"
    nights.script = lambda plan: failed(plan) if plan.schedule.family == "exponential" else usual(plan)

    def attempt(longer: float) -> None:
        assert nights.run(f"k{longer:g}", deadline_seconds=5 * longer).exit_code == 70

    try:
        in_time(attempt)
    finally:
        slowly()


def test_the_end_of_a_run_waits_for_removals_until_it_is_over(nights: Nights, slowly: Callable[[], None]) -> None:
    """All nights of a run share what removes; a signal or the time that is left ends the waiting without a word."""
    nights.checkpoints_at = "memory://slow"
    at = replace(nights.at(), script=usual)
    assert run_nights([nights.study()], at, Asked("k", device="cpu")).exit_code == 0
    asked: list[bool] = []

    def is_over() -> bool:
        asked.append(at.removing.is_done)
        return len(asked) == 3

    finish_removing(at, is_over)
    assert asked == [False] * 3
    slowly()
    finish_removing(at, lambda: False)
    assert at.removing.is_done


def test_no_more_trainings_begin_than_there_is_room_for(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room may be less than none, as where slots were taken away while all are in use."""
    crowds: list[int] = []

    def free(self: NightExecutor) -> int:
        crowds.append(len(self.in_flight))
        return -1 if self.in_flight else 1

    monkeypatch.setattr(NightExecutor, "free", property(free))
    nights.night("a")
    assert max(crowds) == 1


@pytest.mark.parametrize("given", ["s3://bucket/checkpoints", "shared", None])
def test_checkpoints_of_a_night_lie_where_those_of_sweeps_do(
    nights: Nights, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of their own there: a folder or a URL; by default the home."""
    monkeypatch.setattr("lrsweep.sweep.checkpoints.RemoteFolders.names", lambda _: [])
    monkeypatch.setattr("lrsweep.sweep.checkpoints.RemoteFolders.remove", lambda *_: None)
    nights.checkpoints_at = nights.folder / given if given == "shared" else given
    at = nights.checkpoints_at or nights.folder
    nights.night("a")
    assert {plan.checkpoint_url for plan in nights.begun} == {f"{at}/nights/{p.training_id}" for p in nights.begun}
    assert {plan.attempt for plan in nights.begun} == {1}


def test_a_script_whose_checkpoints_are_behind_a_url_is_told(nights: Nights) -> None:
    """It saves into a folder, and is refused as by a sweep, before it is asked anything."""
    nights.checkpoints_at = "s3://bucket/checkpoints"
    text = STUDY.replace('workload = "digits"\nhorizon = 900\n', "")
    text = (
        text.replace('optimizers = ["sgd"]\n', "")
        .replace('optimizer = "sgd"\n', "")
        .replace("[space]", '[study.workload]\ncommand = "train"\nsteps = 900\n[space]')
    )
    run = nights.run("a", [nights.study(text=text)])
    assert run.exit_code == 64
    assert "but a script saves into a folder" in run.studies[0].sentence
    assert nights.loaded == []
