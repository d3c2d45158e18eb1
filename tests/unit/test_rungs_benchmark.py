"""What short looks say of full trainings: the looks of a table, their prices, their truth, and how they are judged."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lrsweep.space import peak_of
from tests.benchmarks.regret.table import SEARCH_SEEDS, Table
from tests.benchmarks.rungs import __main__ as rungs
from tests.benchmarks.rungs.judged import between, inside, judged, regret
from tests.benchmarks.rungs.looks import (
    ANNEALED,
    CEILING,
    CORRECTED,
    CUT,
    FITTED,
    KINDS,
    OWN_RATE,
    Look,
    curves_of,
    exponents,
    looks,
    unseen,
)
from tests.unit.test_search_benchmarks import HORIZON, a_table

SGD_A, ADAMW_A = 0.75, 0.25
"""How the best rate of the made-up table moves with the horizon."""


def with_own_rates(table: Table) -> Table:
    """Compressed at own rates everywhere, to values of 10 and more."""
    points = len(table.params)
    values = np.broadcast_to(10.0 + np.arange(points)[:, None], (points, SEARCH_SEEDS)).copy()
    own = {"third_own": values, "ninth_own": values + 1000}
    steps = {f"{kind}_steps": np.full((points, SEARCH_SEEDS), 120 if kind == "third_own" else 40) for kind in own}
    return Table(table.meta, {**table.arrays, **own, **steps})


def a_table_of_parabolas() -> Table:
    """One family with ten rates per optimizer: losses are squares of the distance from the best log rate, which is that
    of 0.1 at the full horizon, and at a share of it ``share**a`` times that."""
    rates = np.geomspace(0.01, 1.0, 10)
    params = [
        {"family": "cosine", "optimizer": optimizer, f"cosine.{optimizer}.peak_lr": rate}
        for optimizer in ("sgd", "adamw")
        for rate in rates.tolist()
    ]
    base = a_table()
    points = len(params)
    log_rates = np.log([peak_of(each) for each in params])
    a = np.array([SGD_A] * 10 + [ADAMW_A] * 10)
    usual = np.array([0.5] * 10 + [0.15] * 10)

    def losses(share: int, trained: np.ndarray) -> np.ndarray:
        value = (trained - math.log(0.1) - a * math.log(share)) ** 2
        return np.broadcast_to(value[:, None], (points, SEARCH_SEEDS)).copy()

    full = losses(1, log_rates)[:, :1]
    arrays = {
        "curves": np.broadcast_to(full[:, None], (points, 5, 18)).copy(),
        "decide": np.broadcast_to(full, (points, 5)).copy(),
        "steps": np.full((points, 5), HORIZON),
    }
    for name, share in (("third", 3), ("ninth", 9)):
        arrays[name] = losses(share, log_rates + usual * math.log(share))
        arrays[f"{name}_own"] = losses(share, log_rates)
        arrays[f"annealed_{name}"] = arrays[f"{name}_own"]
        for kind in (name, f"{name}_own", f"annealed_{name}"):
            arrays[f"{kind}_steps"] = np.full((points, SEARCH_SEEDS), HORIZON // share)
    return Table({**base.meta, "params": params}, arrays)


def test_a_table_has_the_looks_that_it_was_trained_for() -> None:
    """Own and fitted rates need trainings at own rates; a full training is there as what no look can do better than."""
    assert set(looks(a_table(), 3)) == {CUT, ANNEALED, CORRECTED, CEILING}
    assert set(looks(with_own_rates(a_table()), 3)) == {*KINDS, CEILING}


def test_a_look_costs_what_it_trains_and_loses_what_is_trained_again() -> None:
    """At a third: a cut is free for who goes on, its copy loses a fifth, and all of a compressed one is lost."""
    found = looks(with_own_rates(a_table()), 3)
    prices = {kind: (round(look.cost, 4), round(look.lost, 4)) for kind, look in found.items()}
    third, fifth = 0.3333, 0.0667
    assert prices == {
        CUT: (third, 0),
        ANNEALED: (0.4, fifth),
        OWN_RATE: (third, third),
        CORRECTED: (third, third),
        FITTED: (third, third),
        CEILING: (1, 0),
    }


def test_what_diverges_at_the_raised_rate_is_judged_and_paid_at_its_own_too() -> None:
    """One of 48 points ran for 6 updates and then for 120 more; without a repeat it is the worst."""
    table = with_own_rates(a_table())
    table.arrays["third"][7] = np.nan
    table.arrays["third_steps"][7] = 6
    found = looks(table, 3)[CORRECTED]
    assert found.values[7].tolist() == [17.0, 17.0]
    assert found.cost == pytest.approx((47 * 120 + 126) / 48 / HORIZON)
    without = a_table()
    without.arrays["third"][7] = np.nan
    assert np.isinf(looks(without, 3)[CORRECTED].values[7]).all()


def test_a_cut_is_seen_in_the_middle_of_the_full_schedule() -> None:
    """After a third of 18 evaluations two thirds of the way are left, after a ninth eight ninths."""
    table = a_table()
    at_end = table.arrays["curves"][:, :SEARCH_SEEDS, -1]
    assert np.allclose(looks(table, 3)[CUT].values, at_end + 2 / 3)
    assert np.allclose(looks(table, 9)[CUT].values, at_end + 8 / 9)


def test_the_truth_is_by_seeds_that_no_look_has() -> None:
    """Whatever the looks' seeds say. Later seeds count like the table's own; one that diverges makes it infinite."""
    table = a_table()
    table.arrays["curves"][:, :SEARCH_SEEDS] = 99.0
    table.arrays["decide"][:, :SEARCH_SEEDS] = 99.0
    table.arrays["curves"][:, SEARCH_SEEDS:, -1] = 1.0
    table.arrays["decide"][:, SEARCH_SEEDS:] = 3.0
    assert set(unseen(table).tolist()) == {2.0}
    assert set(unseen(table, ("search",)).tolist()) == {1.0}
    later = np.full((len(table.params), 3, 2), [5.0, 7.0])
    later[6, 2, 0] = math.nan
    found = unseen(Table(table.meta, {**table.arrays, "more": later}))
    assert found[[4, 6]].tolist() == [(3 * 2.0 + 3 * 6.0) / 6, math.inf]


def test_exponents_are_where_the_best_rate_moves_to() -> None:
    """Parabolas whose lowest points lie three fourths and a fourth of log 3, or log 9, further up."""
    table = a_table_of_parabolas()
    for share in (3, 9):
        found = exponents(table, share)
        assert {name: round(each.mean, 6) for name, each in found.items()} == {"sgd": SGD_A, "adamw": ADAMW_A}
        assert {each.curves for each in found.values()} == {1}


def test_at_fitted_exponents_a_rung_has_the_losses_of_the_full_horizon() -> None:
    """As well as straight lines between trained rates say, which end before the largest wanted; at own rates they are
    those of rates too low for it."""
    table = a_table_of_parabolas()
    found, truth = looks(table, 3), unseen(table)
    assert [len(points) for points in curves_of(table).values()] == [10, 10]
    inner = [point for points in curves_of(table).values() for point in points[:-1]]
    assert np.abs(found[FITTED].values - truth[:, None])[inner].max() < 0.1
    assert np.abs(found[OWN_RATE].values - truth[:, None])[inner].max() > 1.0


def test_families_are_ordered_by_their_best_points_within_each_optimizer() -> None:
    """By hand: with one optimizer the orders agree, with the other they are opposite, so the mean is 0."""
    families = np.array(["a", "a", "b", "b", "c", "c"] * 2)
    optimizers = np.array(["sgd"] * 6 + ["adamw"] * 6)
    truth = np.array([1.0, 9.0, 2.0, 9.0, 3.0, 9.0] * 2)
    values = np.array([8.0, 1.0, 8.0, 2.0, 8.0, 3.0, 6.0, 8.0, 5.0, 8.0, 4.0, 8.0])
    assert between(values[:6], truth[:6], families[:6], optimizers[:6], ["a", "b", "c"]) == pytest.approx(1.0)
    assert between(values, truth, families, optimizers, ["a", "b", "c"]) == pytest.approx(0.0)


def test_inside_a_family_only_its_own_points_are_compared() -> None:
    """Two families that are each in order, the second far above the first's truth and far below its values."""
    families = np.array(["a", "a", "a", "b", "b", "b"])
    truth = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0])
    values = np.array([21.0, 22.0, 23.0, 1.0, 2.0, 3.0])
    assert inside(values, truth, families) == pytest.approx(1.0)
    assert inside(values[::-1], truth, families) == pytest.approx(-1.0)


def test_the_regret_of_a_pick_is_the_mean_over_its_seeds_and_at_most_1() -> None:
    """The best point is 0, the median one and a diverging one are 1; where the draw decides it lies between."""
    truth = np.array([0.0, 1.0, 2.0, math.inf, 1.0])
    one = np.array([[0.0], [5.0], [5.0], [5.0], [5.0]])
    assert regret(one, truth, np.random.default_rng(0), 50) == 0.0
    assert regret(np.roll(one, 1, axis=0), truth, np.random.default_rng(0), 50) == 1.0
    assert regret(np.roll(one, 3, axis=0), truth, np.random.default_rng(0), 50) == 1.0
    either = np.array([[0.0, 9.0], [5.0, 5.0], [9.0, 9.0], [9.0, 9.0], [9.0, 9.0]])
    assert 0.4 < regret(either, truth, np.random.default_rng(0), 1000) < 0.6


def test_a_look_that_is_the_truth_has_no_regret_and_a_narrow_interval_around_1() -> None:
    """And one of noise has an interval over points that holds 0. All looks have the same draws."""
    table = a_table()
    random = np.random.default_rng(1)
    points = len(table.params)
    truth = random.permutation(points).astype(float)
    same = Look(np.column_stack([truth, truth]), 1.0, 0.0)
    noise = Look(random.normal(size=(points, 2)), 1.0, 0.0)
    found = judged(table, truth, {"same": same, "again": same, "noise": noise}, draws=200)
    assert found["same"].found == {"families": 1.0, "points": 1.0, "inside": 1.0, "regret": 0.0}
    assert np.array_equal(found["same"].draws["points"], found["again"].draws["points"])
    low, high = np.percentile(found["noise"].draws["points"], (2.5, 97.5))
    assert low < 0 < high


def test_the_published_figures_have_every_table_and_what_a_full_training_says() -> None:
    """The file beside the benchmark: every look has its price and its measures, the overfitting regime is there."""
    result = json.loads((rungs.RESULTS / "rungs.json").read_text(encoding="utf-8"))
    assert not result["quick"]
    assert set(result["tables"]) == set(rungs.known())
    for of_table in result["tables"].values():
        for share in ("1/3", "1/9"):
            found = of_table[share]["looks"]
            assert set(found) == {*KINDS, CEILING}
            assert found[CEILING]["cost"] > found[ANNEALED]["cost"] > found[CUT]["cost"]
            assert all(-1 <= each["points"]["value"] <= 1 and each["regret"]["value"] <= 1 for each in found.values())
    assert any(of_table["overfitting"] for of_table in result["tables"].values())


def test_a_table_of_another_horizon_is_known_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the usual horizon come first; a folder's name is a horizon."""
    monkeypatch.setattr(rungs, "TRUTH", tmp_path)
    for name in ("b.npz", "a.npz", "1080/a.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert rungs.known() == ["a", "b", "1080/a"]
