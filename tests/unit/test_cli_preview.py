"""``lrsweep preview``: the rates of schedules, and what is seen of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import lrsweep
from lrsweep.cli.preview import (
    EXAMPLE_LOSS,
    FINEST,
    PALETTE,
    Preview,
    example_metrics,
    make_preview,
    preview_json,
    show_preview,
)
from lrsweep.errors import SettingsError
from lrsweep.schedules import family_names, schedule


def previewed(*names: str, sets: tuple[str, ...] = (), steps: int = 10, **options: Any) -> Preview:
    return make_preview(names, sets, steps=steps, peak_lr=options.pop("peak_lr", 1.0), **options)


def problems(*names: str, sets: tuple[str, ...] = (), **options: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        previewed(*names, sets=sets, **options)
    assert refused.value.exit_code == 64
    return str(refused.value)


def shown(preview: Preview, *, width: int = 80, height: int = 24, encoding: str = "utf-8", **console: Any) -> str:
    terminal = io.TextIOWrapper(written := io.BytesIO(), encoding=encoding, write_through=True)
    show_preview(Console(file=terminal, width=width, height=height, **console), preview)
    return written.getvalue().decode(encoding)


def written(folder: Path, text: str, name: str = "given.json") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


# ── the rates ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_rates_are_those_of_the_schedule() -> None:
    """Four steps of linear, at a peak of 0.8."""
    [curve] = previewed("linear", steps=4, peak_lr=0.8).curves
    assert curve.rates.tolist() == schedule("linear").rates(4, 0.8).tolist()


@pytest.mark.parametrize("name", [name for name in family_names() if name not in ("table", "function")])
def test_a_long_horizon_is_sampled(name: str) -> None:
    """10 million steps are drawn from few numbers, and they lie on the curve: each within the rates of its steps."""
    steps = 20 * FINEST
    preview = previewed(name, sets=("warmup=2000 steps",), steps=steps)
    [curve] = preview.curves
    assert len(curve.rates) == FINEST
    full = schedule(name, warmup="2000 steps")
    exact = full.replay(curve.metrics, steps) if curve.metrics else full.rates(steps)
    blocks = exact.reshape(FINEST, 20)
    slack = 0.01
    low = np.minimum.reduce([blocks.min(1), np.roll(blocks.min(1), 1), np.roll(blocks.min(1), -1)]) - slack
    high = np.maximum.reduce([blocks.max(1), np.roll(blocks.max(1), 1), np.roll(blocks.max(1), -1)]) + slack
    assert np.all((low <= curve.rates) & (curve.rates <= high))


def test_a_very_long_horizon_costs_no_memory() -> None:
    """A trillion steps would be eight terabytes."""
    assert all(len(curve.rates) == FINEST for curve in previewed(steps=10**12).curves)


def test_a_part_too_short_for_the_sample_is_drawn_all_the_same(tmp_path: Path) -> None:
    """Ten steps of a million are none of the sample's; a reactive part needs its metrics at whole steps."""
    parts = lrsweep.sequence((schedule("linear"), "10 steps"), (schedule("plateau"), "rest"))
    file = written(tmp_path, parts.to_json())
    [curve] = previewed(file, steps=1_000_000).curves
    assert (len(curve.rates), curve.rates[1]) == (FINEST, 1.0)
    assert "it can be drawn on 10,000,000 or fewer" in problems(file, steps=10**9)


def test_a_reactive_schedule_is_replayed_on_the_example() -> None:
    """It falls twice and twice stands still, so a plateau drops in each of the level stretches."""
    [curve] = previewed("plateau", steps=100).curves
    assert curve.metrics is not None
    drops = np.flatnonzero(np.diff(curve.rates)) / 100
    assert any(0.3 < drop < 0.5 for drop in drops)
    assert any(0.75 < drop < 1.0 for drop in drops)
    assert not any(drop < 0.3 or 0.5 < drop < 0.75 for drop in drops)


def test_the_example_is_read_off_at_evenly_spaced_places() -> None:
    """Ten evaluations are the numbers themselves; where more is better it is the mirror image."""
    assert example_metrics(10, "min") == pytest.approx(EXAMPLE_LOSS[1:], rel=1e-12)
    assert example_metrics(2, "max") == pytest.approx((2.3 - 0.87, 2.3 - 0.23))


@pytest.mark.parametrize("steps", [1, 2, 5, 39, 40, 41])
def test_a_reactive_schedule_is_shown_on_few_steps(steps: int) -> None:
    """There cannot be more evaluations than steps."""
    for curve in previewed("plateau", "greedy", "slope", "threshold", steps=steps).curves:
        assert curve.metrics is not None
        assert (len(curve.rates), len(curve.metrics)) == (steps, min(40, steps))


def test_a_schedule_that_wants_more_of_the_metric_gets_a_rising_example() -> None:
    """Greedy with mode max does on the mirror image what it does with mode min on the loss."""
    up, down = (previewed("greedy", sets=(f"mode={mode}",), steps=40).curves[0] for mode in ("max", "min"))
    assert up.rates.tolist() == down.rates.tolist()
    assert up.metrics != down.metrics


@pytest.mark.parametrize("name", ["plateau", "greedy", "slope", "threshold"])
def test_a_reactive_schedule_may_begin_after_more_steps_than_the_sample_has(name: str) -> None:
    """Half of 100,000 steps as a count is drawn as half of them as a fraction."""
    by_count, by_fraction = (
        previewed(name, sets=(f"warmup={warmup}",), steps=5 * FINEST).curves[0] for warmup in ("50000 steps", "0.5")
    )
    assert by_count.rates.tolist() == by_fraction.rates.tolist()


def test_the_mode_is_that_of_the_first_schedule_inside_that_reacts(tmp_path: Path) -> None:
    """A plateau at the second place, in a cool-down, after a count longer than the sample: its metric rises."""
    wants_more = schedule("plateau", mode="max", warmup="30000 steps")
    parts = lrsweep.sequence(
        (schedule("linear"), 0.2), (wants_more.cooled_down(0.8, 0.2), 0.5), (schedule("slope"), 0.3)
    )
    [curve] = previewed(written(tmp_path, parts.to_json()), steps=5 * FINEST).curves
    assert curve.metrics == example_metrics(40, "max")


def test_metrics_can_be_given(tmp_path: Path) -> None:
    """Patience 0: the second is worse, so the rate drops after it; NaN is no improvement either, and null is NaN."""
    file = Path(written(tmp_path, "[1.0, 2.0, null, 0.5]"))
    preview = previewed("plateau", sets=("patience=0", "gamma=0.5"), steps=4, metrics_file=file)
    assert preview.curves[0].rates.tolist() == [1.0, 1.0, 0.5, 0.25]
    [written_as] = json.loads("".join(preview_json(preview)))["schedules"]
    assert written_as["metrics"] == [1.0, 2.0, None, 0.5]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[", "is not JSON"),
        ("[]", "wanted a list of numbers"),
        ('[1.0, "2"]', "wanted a list of numbers"),
        ("[1.0, true]", "wanted a list of numbers"),
        ("[1, 2, 3, 4, 5]", "has 5 evaluations, and there are 4 steps"),
    ],
)
def test_metrics_that_are_none_are_refused(tmp_path: Path, text: str, wanted: str) -> None:
    """With the file's name or the numbers."""
    assert wanted in problems("plateau", steps=4, metrics_file=Path(written(tmp_path, text)))


def test_metrics_that_nobody_hears_are_refused(tmp_path: Path) -> None:
    """They would change nothing; a missing file is told as well."""
    file = Path(written(tmp_path, "[1.0]"))
    assert "none of these does" in problems("cosine", metrics_file=file)
    assert f"there is no file {tmp_path / 'no'}" in problems("plateau", metrics_file=tmp_path / "no")


# ── what is seen ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_json_has_every_rate_and_the_schedule_itself() -> None:
    """In full precision, and a schedule that can be read back."""
    preview = previewed("linear", "plateau", sets=("warmup=0.3",), steps=7, peak_lr=0.3, exact=True)
    found = json.loads("".join(preview_json(preview)))
    assert (found["steps"], found["peak_lr"]) == (7, 0.3)
    linear, plateau = found["schedules"]
    assert (linear["name"], plateau["name"]) == ("linear", "plateau")
    assert linear["rates"] == schedule("linear", warmup=0.3).rates(7, 0.3).tolist()
    assert linear["metrics"] is None
    assert lrsweep.schedule_from_json(json.dumps(linear["schedule"])) == schedule("linear", warmup=0.3)
    again = lrsweep.schedule_from_json(json.dumps(plateau["schedule"]))
    assert plateau["rates"] == again.replay(plateau["metrics"], 7, 0.3).tolist()


def test_the_json_is_never_a_sample() -> None:
    """More steps than a drawing has are all there; more than fit in a text are refused."""
    assert len(previewed("linear", steps=FINEST + 1, exact=True).curves[0].rates) == FINEST + 1
    assert "at most 10,000,000 steps" in problems("linear", steps=10_000_001, exact=True)


def test_a_small_drawing_is_right_to_the_character() -> None:
    """Two steps of linear: the whole peak, then half of it. The letters are a and b, the curves meet at the top."""
    text = shown(previewed("linear", "constant", steps=2, peak_lr=0.2), width=20, height=10, encoding="ascii")
    assert [line.rstrip() for line in text.splitlines()] == [
        "rate",
        "0.2 |ababababbbbbbb",
        "    |       a",
        "0.1 |       aaaaaaa",
        "    |",
        "  0 |",
        "    +--------------",
        "     0      2 steps",
        "a linear",
        "b constant",
    ]


def test_the_legend_says_what_was_changed() -> None:
    """The name alone where nothing was; a file's schedule as code."""
    lines = [line.rstrip() for line in shown(previewed("wsd", "rex", sets=("wsd.cooldown=0.5",))).splitlines()]
    assert lines[-2:] == ["a wsd cooldown=0.5", "b rex"]


def test_the_legend_says_what_a_reactive_schedule_heard(tmp_path: Path) -> None:
    """An example, or what was given: its rates mean nothing without."""
    assert "here to an example" in shown(previewed("plateau"))
    assert "here to the metrics given" in shown(previewed("plateau", metrics_file=Path(written(tmp_path, "[1.0]"))))
    assert "metric" not in shown(previewed("cosine"))


@pytest.mark.parametrize("names", [(), ("cosine",), ("cosine", "plateau", "one_cycle"), family_names()[:8]])
@pytest.mark.parametrize("width", [10, 20, 40, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_the_drawing_fits_any_terminal(names: tuple[str, ...], width: int, encoding: str) -> None:
    """No line is too long, nothing crashes, and without UTF-8 there is nothing but ASCII."""
    text = shown(previewed(*names, steps=1000), width=width, encoding=encoding)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii() or encoding == "utf-8"
    assert "\x1b" not in text


@pytest.mark.parametrize("names", [("cosine",), ("plateau",), family_names()[:8]])
def test_one_drawing_fits_24_lines(names: tuple[str, ...]) -> None:
    """With the legend, and a line for the prompt."""
    assert len(shown(previewed(*names)).splitlines()) <= 23


def test_colours_tell_curves_apart_in_a_terminal_and_letters_elsewhere() -> None:
    """Where there is no colour, as in a pipe or with NO_COLOR, braille would make one tangle of the curves."""
    preview = previewed("cosine", "wsd")
    colour = [f"38;2;{int(one[1:3], 16)};{int(one[3:5], 16)};{int(one[5:7], 16)}m" for one in PALETTE]
    tinted = shown(preview, force_terminal=True, color_system="truecolor", no_color=False)
    assert colour[0] in tinted
    assert colour[1] in tinted
    assert colour[2] not in tinted
    assert any("⠀" < sign <= "⣿" for sign in tinted)
    without: list[dict[str, Any]] = [{}, {"force_terminal": True, "color_system": "truecolor", "no_color": True}]
    for console in without:
        plain = shown(preview, **console)
        assert "ab" in plain
        assert not any("⠀" < sign <= "⣿" for sign in plain)


def test_many_schedules_have_a_small_drawing_each() -> None:
    """All names are there; the reactive ones have a mark."""
    text = shown(previewed(), width=120)
    assert [name for name in family_names() if name not in text] == []
    assert "greedy *" in text
    assert "each from step 0 to 10, and from rate 0 to 1" in text
    assert "not shown, for want of a setting without a default: table, function" in text
