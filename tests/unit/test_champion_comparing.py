"""``lrsweep diff A B``: what one would train differently with the other, and whether their values can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from lrsweep.champion.comparing import Comparison, compared, why_worse
from lrsweep.champion.reading import to_json, written
from lrsweep.champion.value import ChampionChoice, RateRule
from lrsweep.cli.diff_drawing import curves_of, show_comparison
from lrsweep.cli.main import app
from lrsweep.cli.picture import draw
from lrsweep.cli.preview import FINEST
from lrsweep.errors import SettingsError
from lrsweep.schedules import schedule
from tests.choices import ADAMW, STANDING, choice

OF_ONE_STUDY = {"provenance": {"study": "digits", "meaning": "m", "workload": {"name": "digits", "version": 1}}}


def differences(found: Comparison) -> dict[str, tuple[Any, Any]]:
    return {row.key: (row.a, row.b) for row in found.rows if not row.is_same}


def shown(a: ChampionChoice, b: ChampionChoice, width: int = 100) -> str:
    console = Console(width=width, height=30, force_terminal=False, color_system=None)
    with console.capture() as captured:
        show_comparison(console, compared(a, b), ("one", "other"))
    return captured.get()


def test_what_differs_is_told_with_both_values() -> None:
    """Settings by name; one that only one of them has is None in the other."""
    other = choice(
        schedule=schedule("wsd", cooldown=0.3),
        peak_lr=0.2,
        optimizer=ADAMW,
        batch_size=128,
        horizon=1200,
        rate_rule=RateRule(0.15, None),
        extra={"width": 64},
    )
    found = differences(compared(choice(), other))
    assert found == {
        "schedule": ("linear", "wsd"),
        "schedule.cooldown": (None, 0.3),
        "peak_lr": (0.4, 0.2),
        "optimizer": ("sgd", "adamw"),
        "optimizer.momentum": (0.9, None),
        "optimizer.weight_decay": (0.0, 0.01),
        "optimizer.beta1": (None, 0.9),
        "optimizer.beta2": (None, 0.999),
        "optimizer.eps": (None, 1e-8),
        "batch_size": (64, 128),
        "horizon": (600, 1200),
        "rate_rule.exponent": (0.5, 0.15),
        "rate_rule.interval": ([0.4, 0.6], None),
        "extra.width": (None, 64),
    }


def test_a_choice_does_not_differ_from_itself() -> None:
    """Not a row; and evidence that differs changes nothing of what one trains."""
    assert differences(compared(choice(), choice())) == {}
    better = choice(evidence={"evidence": "proven", "n": 5, "choice": {**STANDING, "mean": 0.07}}, test={"acc": 0.9})
    found = compared(choice(), better)
    assert found.is_same_training
    assert differences(found)["mean"] == (0.0748, 0.07)
    assert differences(found)["test.acc"] == (None, 0.9)
    assert not compared(choice(), choice(peak_lr=0.41)).is_same_training


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"horizon": 700}, "different horizons"),
        ({"provenance": {"meaning": "other"}}, "different meanings"),
        ({"provenance": {}}, "not kept with both"),
    ],
)
def test_values_are_only_comparable_where_they_mean_the_same(changes: Mapping[str, Any], why: str | None) -> None:
    """One meaning and one horizon; else the reason is given."""
    found = compared(choice(**OF_ONE_STUDY), choice(**{**OF_ONE_STUDY, **changes}))
    assert (found.not_comparable is None) == (why is None)
    assert why is None or why in (found.not_comparable or "")


def seen(mean: float, sd: float = 0.01, n: int = 3, direction: str = "minimize", **changes: Any) -> ChampionChoice:
    """A choice whose finals came to that."""
    standing = {**STANDING, "mean": mean, "sd": sd, "n": n}
    evidence = {"evidence": "proven", "metric": "decide_loss", "direction": direction, "n": n, "choice": standing}
    return choice(**{**OF_ONE_STUDY, "evidence": evidence, **changes})


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (seen(0.133), seen(0.0864)),
        (seen(0.86, direction="maximize"), seen(0.93, direction="maximize")),
        (seen(0.133, sd=0.0), seen(0.132, sd=0.0)),
    ],
)
def test_a_choice_whose_finals_are_shown_to_be_worse_is_told_with_both_means(
    new: ChampionChoice, old: ChampionChoice
) -> None:
    """Welch's interval of the difference does not hold 0."""
    why = why_worse(new, old)
    assert why is not None
    standings: list[Any] = [each.evidence["choice"] for each in (old, new)]
    assert (
        f"better decide_loss: {standings[0]['mean']:.4g} (3 seeds), and this one to {standings[1]['mean']:.4g}" in why
    )


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (seen(0.0864), seen(0.133)),
        (seen(0.133, sd=0.05), seen(0.0864, sd=0.05)),
        (seen(0.93, direction="maximize"), seen(0.86, direction="maximize")),
        (seen(0.133, n=1), seen(0.0864)),
        (seen(0.133), seen(0.0864, horizon=700)),
        (seen(0.133), seen(0.0864, provenance={"meaning": "other"})),
        (seen(0.133), choice(**OF_ONE_STUDY)),
    ],
    ids=["better", "within the noise", "better upwards", "one seed", "horizon", "meaning", "without a deviation"],
)
def test_nothing_is_said_of_a_choice_that_is_not_shown_to_be_worse(new: ChampionChoice, old: ChampionChoice) -> None:
    """Nor where the two values say nothing of each other."""
    assert why_worse(new, old) is None


def test_provenance_is_compared_inside_of_its_objects() -> None:
    """Another version of the workload is a row of its own."""
    other = {"provenance": {"study": "digits", "meaning": "m", "workload": {"name": "digits", "version": 2}}}
    assert differences(compared(choice(**OF_ONE_STUDY), choice(**other))) == {"workload.version": (1, 2)}


def test_the_terminal_shows_the_table_what_to_make_of_it_and_both_curves() -> None:
    """What is the same is counted, but for the main things; means have their intervals."""
    text = shown(choice(**OF_ONE_STUDY), choice(**{**OF_ONE_STUDY, "horizon": 300, "peak_lr": 0.2}))
    assert re.search(r"peak_lr +0\.4 +0\.2 *\n", text)
    assert re.search(r"mean decide_loss +0\.0748 \(0\.0637 to 0\.086\) +0\.0748 ", text)
    assert re.search(r"optimizer +sgd +sgd *\n", text)
    assert "optimizer.momentum" not in text
    assert "Their values are not comparable: they were reached on different horizons." in text
    assert "the same in both." in text
    assert "a one linear, peak 0.4, sgd, 600 steps" in text
    assert "b other linear, peak 0.2, sgd, 300 steps" in text


def test_the_mean_is_named_by_the_metric_of_the_finals_and_not_by_the_searchs() -> None:
    """A provenance has a metric too: what the search went by."""
    by_loss = {"provenance": {"study": "digits", "meaning": "m", "metric": "val_loss"}}
    text = shown(choice(**by_loss), choice(**{**by_loss, "peak_lr": 0.2}))
    assert re.search(r"mean decide_loss +0\.0748 ", text)
    assert "val_loss" not in text
    by_accuracy = {**by_loss, "provenance": {**by_loss["provenance"], "metric": "val_acc"}}
    evidence = {"evidence": "recommended", "metric": "decide_acc", "n": 3, "choice": STANDING}
    text = shown(choice(**by_loss), choice(**by_accuracy, evidence=evidence))
    assert re.search(r"\nmean +0\.0748 ", text)
    assert re.search(r"\nmetric +decide_loss +decide_acc", text)
    assert re.search(r"\nmetric of the search +val_loss +val_acc", text)


def test_the_same_training_is_said_to_be_the_same() -> None:
    """Two promotions often differ in their evidence alone."""
    text = shown(choice(), choice(evidence={}))
    assert "One would train the same with either." in text
    assert re.search(r"evidence +recommended +–", text)


def test_hostile_texts_do_not_reach_the_terminal() -> None:
    """Escape sequences of a file are shown as text, markup too, and long values are cut."""
    text = shown(choice(), choice(provenance={"study": "\x1b[31mred\x1b]0;title\x07", "sweep": "[bold]x" + "y" * 500}))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\u001b[31mred" in text
    assert "[bold]xyy" in text.replace("\n", "")
    assert "y" * 100 not in text


def test_the_shorter_curve_ends_where_its_training_does() -> None:
    """600 of 900 steps are drawn, and then nothing."""
    made = curves_of(choice(), choice(horizon=900, peak_lr=0.2), ("a", "b"))
    one, other = (curve.rates for curve in made.curves)
    assert (made.steps, made.top) == (900, 0.4)
    assert np.array_equal(one[:600], choice().rates())
    assert np.isnan(one[600:]).all()
    assert not np.isnan(other).any()
    [axes] = draw(made).axes
    assert len(axes.get_lines()) == 2


def test_long_trainings_and_reactive_schedules_are_drawn_too() -> None:
    """Sampled; a schedule that reacts is replayed on the example of ``preview``, which the drawing says."""
    made = curves_of(choice(horizon=10**9), choice(horizon=10**6, schedule=schedule("plateau")), ("a", "b"))
    assert [len(curve.rates) for curve in made.curves] == [FINEST, FINEST]
    assert np.count_nonzero(~np.isnan(made.curves[1].rates)) == 20
    assert made.notes == ["* reacts to a metric; here to an example: a loss that falls twice and twice stands still"]


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two choices under ``schedules/``, in a working folder without results."""
    for name in ("LRSWEEP_HOME", "LRSWEEP_DATABASE_URL", "LRSWEEP_DATABASE_URL_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schedules").mkdir()
    for name, value in {"one": choice(), "other": choice(peak_lr=0.2)}.items():
        (tmp_path / "schedules" / f"{name}.json").write_text(written(value))
    return tmp_path


def test_the_command_gives_one_json_object(files: Path) -> None:
    """Both choices whole, and what differs."""
    found = CliRunner().invoke(app, ["diff", "one", "schedules/other.json", "--json"])
    assert found.exit_code == 0
    told = json.loads(found.stdout)
    assert (told["a"], told["b"]) == (to_json(choice()), to_json(choice(peak_lr=0.2)))
    assert told["differences"] == [{"part": "training", "key": "peak_lr", "a": 0.4, "b": 0.2}]
    assert (told["same_training"], told["comparable"]) == (False, False)


@pytest.mark.parametrize(("name", "begins"), [("x.png", b"\x89PNG\r\n\x1a\n"), ("x.SVG", b"<?xml")])
def test_the_picture_is_what_its_name_says(files: Path, name: str, begins: bytes) -> None:
    """PNG or SVG, beside the table."""
    found = CliRunner().invoke(app, ["diff", "one", "other", "--picture", name])
    assert found.exit_code == 0
    assert "peak_lr" in found.stdout
    assert (files / name).read_bytes().startswith(begins)


def test_a_picture_of_another_kind_is_refused_before_anything_is_read(files: Path) -> None:
    """And one that cannot be written says so by the option's name."""
    found = CliRunner().invoke(app, ["diff", "none", "nothing", "--picture", "x.jpg"])
    assert isinstance(found.exception, SettingsError)
    assert str(found.exception) == "--picture x.jpg: wanted a name that ends in .png or .svg"
    found = CliRunner().invoke(app, ["diff", "one", "other", "--picture", "none/x.png"])
    assert str(found.exception).startswith("--picture none/x.png: cannot be written (No such file")
