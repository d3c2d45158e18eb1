"""`lrsweep choose --target`: the cheapest that reaches it, and a target of another direction."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.choosing import STUDY, THREE, answered, lines, noisy, refused, written
from tests.looked import Typed, in_a_home, typed


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return typed(capsys, monkeypatch, tmp_path / "home", {})


def test_a_target_has_the_cheapest_that_is_shown_and_that_was_measured(run: Typed) -> None:
    """Cosine with 300 steps has a mean of 1.5, and its interval reaches beyond 1.51; with 900 it is far below."""
    rows = [*lines("cosine", 1.0, cost=3), *lines("linear", 2.0, cost=3), *lines("cosine", 1.5, horizon=300, cost=1)]
    file = written(*rows)
    found = answered(run, "--from", file, "--target", "value <= 1.51")["target"]
    assert (found["shown"]["horizon"], found["measured"]["horizon"]) == (900, 300)
    text = run("choose", "--from", file, "--target", "value <= 1.51").out
    assert "value <= 1.51 is shown to be reached by cosine at a peak of 0.1 at 900 steps" in text
    assert "On the mean, and not shown, a cheaper one does: cosine at a peak of 0.1 at 300 steps" in text
    assert (
        "Nothing that was trained reaches value <= 0.1" in run("choose", "--from", file, "--target", "value <= 0.1").out
    )
    nearly = run("choose", "--from", file, "--target", "value <= 1.0").out
    assert "value <= 1 is reached by cosine" in nearly
    assert "on the mean, the cheapest to do so; it is shown for none." in nearly
    assert answered(run, "--from", file)["target"] is None


@pytest.mark.parametrize("beside", [(), ("--baseline", "linear", "--worth", "0.1", "--horizon", "900")])
def test_a_target_of_the_other_direction_is_answered_by_the_lines_that_it_is_told(
    run: Typed, beside: tuple[str, ...]
) -> None:
    """Both of them, whichever is meant, with what else was asked."""
    written(*THREE)
    words = ("--from", "results.csv", *beside)
    text = refused(run, *words, "--direction", "minimize", "--target", "value >= 1.5")
    lines = re.findall(r"`(.*?)`", text)
    assert [shlex.split(line)[:2] for line in lines] == [["lrsweep", "choose"]] * 2
    minimized, maximized = (answered(run, *shlex.split(line)[2:]) for line in lines)
    assert (minimized["direction"], minimized["target"]["target"], minimized["winner"]) == (
        "minimize",
        "<= 1.5",
        "cosine",
    )
    assert (maximized["direction"], maximized["target"]["target"], maximized["winner"]) == (
        "maximize",
        ">= 1.5",
        "step",
    )
    assert {each["horizon"] for each in (minimized, maximized)} == {900}
    if beside:
        assert minimized["worth"] == 0.1


def test_of_a_study_the_direction_is_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line is right; the other direction is another study."""
    run = typed(capsys, monkeypatch, in_a_home(tmp_path / "home", STUDY, noisy), {})
    text = refused(run, "quick", "--worth", "0.2", "--target", "decide_loss >= 1.2")
    assert text.endswith("is to minimize by the study's file (study.direction). Type `" + text.split("Type `")[1])
    [line] = re.findall(r"`(.*?)`", text)
    assert line == "lrsweep choose quick --worth 0.2 --target 'decide_loss <= 1.2'"
    assert answered(run, *shlex.split(line)[2:])["target"]["target"] == "<= 1.2"
