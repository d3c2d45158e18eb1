"""Nights on which nothing has changed train nothing; each thing that matters makes one train, alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.nightly_runs import (
    HERE,
    STUDY,
    Nights,
    a_cluster,
    an_old_verdict,
    an_uncommitted_change,
    another_champion,
    another_commit,
    another_device,
    another_torch,
    another_workload,
    of_a_champion,
    other_data,
    packages,
)


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """A study whose champion is ``linear``; what surrounds its nights is what they say."""
    return of_a_champion(tmp_path, monkeypatch)


def test_nothing_trains_where_nothing_has_changed(nights: Nights) -> None:
    """It holds (unchanged), exit code 0, and the night it goes by is named; so again on the night after."""
    nights.night("a")
    for key in ("b", "c"):
        night = nights.night(key)
        assert nights.begun == []
        assert (night.verdict, night.is_unchanged, night.exit_code, night.trainings) == ("holds", True, 0, 0)
        assert "those of night a, whose verdict was undecided" in night.sentence


@pytest.mark.parametrize(
    "change",
    [
        another_commit,
        an_uncommitted_change,
        other_data,
        another_workload,
        another_torch,
        another_device,
        a_cluster,
        another_champion,
        an_old_verdict,
    ],
)
def test_what_has_changed_makes_a_night_train(nights: Nights, change: Callable[[Nights], None]) -> None:
    """Each of them alone; with the night after it nothing trains again."""
    nights.night("a")
    change(nights)
    assert not nights.night("b").is_unchanged
    assert len(nights.begun) == 6
    assert nights.night("c").is_unchanged


@pytest.mark.parametrize(
    "setting", ["seeds = 5", "challengers = 1", "worth = 0.25", "promote = true", 'restarts = ["device"]']
)
def test_what_the_study_asks_of_its_nights_makes_one_train(nights: Nights, setting: str) -> None:
    """Each setting of ``[nightly]`` alone; how long a verdict stands is no such one."""
    nights.night("a")
    nights.nightly = setting
    assert not nights.night("b").is_unchanged
    nights.nightly += '\nmax_age = "6d"'
    assert nights.night("c").is_unchanged


def test_another_baseline_makes_a_night_train(nights: Nights) -> None:
    """It is told as what has changed."""
    nights.night("a")
    other = nights.study(text=STUDY.replace("peak_lr = 0.2", "peak_lr = 0.3"))
    [night] = nights.run("b", [other]).studies
    assert not night.is_unchanged
    assert "the baseline changed" in night.sentence


def test_what_trains_nothing_changes_nothing(nights: Nights) -> None:
    """Another MLflow is no reason to train; nor is a night that was only skipped."""
    nights.night("a")
    nights.here = replace(HERE, versions=packages(mlflow="4.0"))
    assert nights.night("b").is_unchanged


def test_always_trains_and_a_short_age_too(nights: Nights) -> None:
    """``nightly.max_age`` of 12 hours is over on the next night."""
    nights.night("a")
    assert not nights.night("b", is_always=True).is_unchanged
    nights.nightly = 'max_age = "12h"'
    assert not nights.night("c").is_unchanged


def test_another_gpu_of_a_cluster_is_told_as_what_it_is(nights: Nights) -> None:
    """So is a night on a cluster after one on this machine; trainings there say no more than the kind."""
    nights.night("a")
    nights.device, nights.far_device = "cuda", "cuda (A100)"
    moved = nights.night("b")
    assert "the device changed from cpu to cuda (A100) on Ray" in moved.sentence
    assert nights.night("c").is_unchanged
    nights.far_device = "cuda (H200)"
    changed = nights.night("d")
    assert (changed.verdict, changed.exit_code) == ("undecided", 0)
    assert "the device changed from cuda (A100) on Ray to cuda (H200) on Ray" in changed.sentence
