"""The benchmark on published curves: its figures by hand, and the file that the README quotes."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from tests.benchmarks.pretraining import curves, figures
from tests.benchmarks.pretraining.__main__ import RESULTS, table, written
from tests.benchmarks.pretraining.curves import SIZES, TABLE, Curve, read, thinned
from tests.benchmarks.pretraining.figures import Group, cut_off, gaps, report, sizes
from tests.benchmarks.pretraining.picture import draw


def a_curve(*losses: float) -> Curve:
    """Logged every 100 steps from 100 on."""
    return Curve(np.arange(1, len(losses) + 1, dtype=np.float64) * 100, np.array(losses, dtype=np.float64))


GROUP = Group(300, MappingProxyType({"late": "late", "early": "early", "never": "never"}))
CURVES = {"late": a_curve(5, 4, 1), "early": a_curve(4, 3, 2), "never": a_curve(5, 4, 3)}


def test_an_early_look_by_hand() -> None:
    """At a third the early one leads and two tie; at the end it is second, by 1. Of three pairs one is right, one wrong
    and one a tie. Ranks (2.5, 1, 2.5) against (1, 2, 3) do not correlate."""
    found = cut_off(GROUP, 1 / 3, CURVES)
    assert (found["picks"], found["best"], found["regret"]) == (["early"], "late", 1.0)
    assert (found["pairs_right"], found["pairs"], found["kendall"], found["spearman"]) == (1.5, 3, 0.0, 0.0)


def test_who_ties_for_the_pick_shares_its_regret() -> None:
    """Two of three look the best; one ends 2 behind the best, which is the other."""
    tied = {**CURVES, "early": a_curve(6, 5, 2)}
    found = cut_off(GROUP, 1 / 3, tied)
    assert (found["picks"], found["regret"]) == (["late", "never"], 1.0)


def test_an_order_of_ties_has_no_correlation() -> None:
    """Where all look alike half of the pairs are right, and nothing is ranked."""
    same = {name: Curve(curve.steps, np.array([5.0, *curve.losses[1:]])) for name, curve in CURVES.items()}
    found = cut_off(GROUP, 1 / 3, same)
    assert (found["spearman"], found["kendall"], found["pairs_right"]) == (None, 0.0, 1.5)


def test_the_end_is_the_last_step_that_all_have() -> None:
    """One was logged up to 250 alone; the others are read there, between two points."""
    short = {**CURVES, "never": Curve(np.array([100.0, 250.0]), np.array([5.0, 3.5]))}
    found = cut_off(GROUP, 2 / 3, short)
    assert found["end"] == 250
    assert found["final"] == {"late": 2.5, "early": 2.5, "never": 3.5}


def test_a_smaller_model_may_pick_for_a_larger_one() -> None:
    """The small one's best is the large one's second, 0.5 behind."""
    large = {"late": a_curve(5, 4, 1.5), "early": a_curve(4, 3, 1), "never": a_curve(5, 4, 3)}
    [found] = sizes(GROUP, {25: CURVES, 100: large})
    assert (found["picks"], found["regret"], found["spearman"]) == ("late", 0.5, 0.5)


def test_the_share_of_a_lead_that_is_seen_early() -> None:
    """Cosine leads by 0.8 at 72,000; by 0.2 on the same trainings at 24,000, by 0.4 on whole ones of that length."""
    steps = np.array([0.0, 24_000.0, 72_000.0])
    made = {
        "constant_72000": Curve(steps, np.array([5.0, 4.0, 3.0])),
        "cosine_72000": Curve(steps, np.array([5.0, 3.8, 2.2])),
        "constant_24000": Curve(steps[:2], np.array([5.0, 4.0])),
        "cosine_24000": Curve(steps[:2], np.array([5.0, 3.6])),
    }
    assert (gaps(made)["share_seen_cut_off"], gaps(made)["share_seen_whole"]) == (0.25, 0.5)


def test_beyond_its_ends_nothing_is_known_of_a_curve() -> None:
    """A loss is never continued past the last logged step."""
    with pytest.raises(ValueError, match=r"step 301: the curve was logged from 100 to 300\. Ask within\."):
        CURVES["late"].at(301)


def test_the_kept_figures_come_out_of_the_kept_curves() -> None:
    """``results/pretraining.json`` is what the fixture's curves give, to the last digit."""
    kept = (RESULTS / "pretraining.json").read_text(encoding="utf-8")
    assert written(report(read())) == kept
    assert "cosine" in table(json.loads(kept))


def test_nine_schedules_of_three_sizes_are_kept_with_their_licence() -> None:
    """Each curve has its first and last logged point around what is read, and the table stays small."""
    found = read()
    assert [len(found[size]) for size in SIZES] == [9, 9, 9]
    assert all(curve.steps[0] < 3_000 for of_size in found.values() for curve in of_size.values())
    assert TABLE.stat().st_size < 100_000
    assert "MIT License" in (TABLE.parent / "LICENSE").read_text(encoding="utf-8")


def test_thinning_keeps_what_is_read(tmp_path: Path) -> None:
    """Every sixth point, the points around a step that is read, and the last one; rates in four digits."""
    (tmp_path / "csv_25").mkdir()
    logged = "".join(f"{step},0.000123456,{step / 1000}\n" for step in range(6_400, 8_800, 100))
    (tmp_path / "csv_25" / "made.csv").write_text(f"step,lr,loss\n{logged}", encoding="utf-8")
    rows = list(thinned(tmp_path))
    kept = [int(step) for _, _, step, *_ in rows]
    assert kept == [6400, 7000, 7600, 7700, 7800, 7900, 8000, 8100, 8200, 8300, 8700]
    assert rows[0] == ("25", "made", "6400", "0.0001235", "6.4")


def test_the_picture_has_a_panel_for_each_size(tmp_path: Path) -> None:
    """And names every schedule once."""
    draw(read(), tmp_path / "p.svg")
    text = (tmp_path / "p.svg").read_text(encoding="utf-8")
    assert [text.count(f"{size}M parameters") for size in SIZES] == [1, 1, 1]
    assert text.count(">wsd, exponential<") == 1


@pytest.mark.parametrize("module", [curves, figures], ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_examples_in_its_docstrings_hold(module: object) -> None:
    """pytest leaves the benchmarks' folder out."""
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0
