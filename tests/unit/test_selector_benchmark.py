"""The selector's score: what later seeds of a table are for, what people do instead of a search, paired differences."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.regret import habits, methods, more
from tests.benchmarks.regret.habits import HABITS, SHARED, at_one_rate
from tests.benchmarks.regret.methods import search
from tests.benchmarks.regret.paired import score, scores
from tests.benchmarks.regret.pool import Pool, study_of
from tests.benchmarks.regret.replay import HABIT_NAMES, NAMES, OURS, WITHOUT_FINALS, Replay, replayed
from tests.benchmarks.regret.table import FINAL_SEEDS, FULL_SEEDS, SEARCH_SEEDS, Seen, Table
from tests.unit.test_search_benchmarks import HORIZON, a_table


def with_more(table: Table, value: float = 7.0, seeds: int = FINAL_SEEDS + 2) -> Table:
    """It got more seeds, each with ``value`` on both halves; a finals' seed has one more for each place."""
    points = len(table.params)
    found = np.full((points, seeds, 2), value)
    found[:, :FINAL_SEEDS, 1] += 1 + np.arange(FINAL_SEEDS)
    return Table(table.meta, {**table.arrays, "more": found, "more_steps": np.full((points, seeds), HORIZON)})


def test_a_table_without_later_seeds_has_its_own_as_truth() -> None:
    """Finals have three fresh ones there, and then see those of the search again."""
    table = a_table()
    assert table.truth.tolist() == table.own_truth.tolist()
    assert table.seeds_of_truth == FULL_SEEDS
    assert [table.fresh(number) for number in range(5)] == [2, 3, 4, 0, 1]


def test_finals_get_the_first_later_seeds_and_the_truth_goes_without_them() -> None:
    """Finals go on with them after the table's own fresh ones, and only then return to those that a search has seen."""
    found = with_more(a_table())
    assert set(found.truth.tolist()) == {7.0}
    assert found.seeds_of_truth == 2
    fresh = [found.fresh(number) for number in range(FULL_SEEDS - SEARCH_SEEDS + FINAL_SEEDS + 1)]
    assert fresh == [2, 3, 4, *range(FULL_SEEDS, FULL_SEEDS + FINAL_SEEDS), 0]
    assert found.decided(3, FULL_SEEDS + 1) == Seen(9.0, HORIZON)
    assert found.full(3, FULL_SEEDS + 1) == Seen(7.0, HORIZON)


def test_finals_race_where_the_table_has_fresh_seeds_for_it() -> None:
    """A race over three would see the same ones again and take them for others."""
    table = a_table()
    assert not study_of(table, trainings=12, seed=0).selection.racing
    assert study_of(with_more(table), trainings=12, seed=0).selection.racing


def test_a_point_that_diverges_with_one_of_its_later_seeds_is_never_the_best() -> None:
    """As it is with the table's own ones."""
    table = a_table()
    found = with_more(table, value=0.0)
    found.arrays["more"][5, -1] = math.nan
    assert np.flatnonzero(np.isinf(found.truth)).tolist() == [5]


def test_an_interrupted_run_leaves_whole_seeds_alone_in_the_table() -> None:
    """Of three seeds the last lacks a point, and is left out. What was compressed goes in as it is."""
    table = a_table()
    points = len(table.params)
    outcome = {"value": 0.5, "decide": 0.25, "steps": HORIZON}
    whole = [f"full/{point}/{seed}" for seed in (5, 6) for point in range(points)]
    done: dict[str, Any] = dict.fromkeys([*whole, "full/3/7"], outcome) | {
        "third_own/9/1": {"value": None, "decide": None, "steps": 11}
    }
    arrays = more.packed(table, done)
    assert arrays["more"].shape == (points, 2, 2)
    assert arrays["more"][0, 0].tolist() == [0.5, 0.25]
    assert math.isnan(arrays["third_own"][9, 1])
    assert arrays["third_own_steps"][9, 1] == 11


def test_more_seeds_are_trained_one_after_the_other() -> None:
    """All points' first new seed comes before their second."""
    table = a_table()
    found = [(job.seed, job.point) for job in more.jobs(table, seeds=2, own_rate=False)]
    assert found == [(seed, point) for seed in (FULL_SEEDS, FULL_SEEDS + 1) for point in range(len(table.params))]
    kinds = {job.kind for job in more.jobs(table, seeds=1, own_rate=True)}
    assert kinds == {"full", "third_own", "ninth_own"}


@pytest.mark.parametrize("habit", [each for each in HABITS if each.name.endswith("random")], ids=lambda each: each.name)
def test_who_always_takes_one_family_trains_no_other(habit: methods.Rival) -> None:
    """All of the budget goes to that family's rates and optimizers."""
    table = a_table()
    study = study_of(table, trainings=12, seed=0, families=habit.families)
    tried = search(habit, table, Pool(table), study, steps=12 * HORIZON, seed=0)
    assert {table.params[each.point]["family"] for each in tried} == set(habit.families)
    assert {table.params[each.point]["optimizer"] for each in tried} == {"sgd", "adamw"}


def test_families_share_the_rate_and_the_optimizer_that_were_best_for_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of 24 trainings finds these for cosine; the other half goes round the seven other families."""
    monkeypatch.setattr(habits, "RATE_OF", replace(habits.RATE_OF, sampler=methods.at_random))
    table = a_table()
    tried = at_one_rate(table, Pool(table), trainings=24, steps=24 * HORIZON, seed=0)
    points = [table.params[each.point] for each in tried]
    assert {(each["optimizer"], each[f"{each['family']}.{each['optimizer']}.peak_lr"]) for each in points} == {
        ("sgd", 0.1)
    }
    assert points[0]["family"] == "cosine"
    assert len({each["family"] for each in points}) == 8
    assert (tried[0].spent, tried[-1].spent) == (12 * HORIZON, 24 * HORIZON)


def test_where_every_rate_of_cosine_diverges_there_is_nothing_to_share() -> None:
    """An answer without a pick, as for a search that has ended no trial."""
    table = a_table()
    table.arrays["curves"][:] = np.nan
    assert at_one_rate(table, Pool(table), trainings=5, steps=5 * HORIZON, seed=0) == []


def test_a_difference_is_paired_by_repeat() -> None:
    """Regrets of 0.1 to 0.9 on both sides, lrsweep always 0.05 better: apart, although the spreads are far wider."""
    regrets = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    found = score({"w": {OURS: regrets - 0.05, "TPE": regrets}}, "TPE")
    assert (found["difference"], found["interval"], found["lrsweep_is"]) == (-0.05, [-0.05, -0.05], "ahead")
    assert score({"w": {OURS: regrets, "TPE": regrets - 0.05}}, "TPE")["lrsweep_is"] == "behind"
    assert score({"w": {OURS: regrets, "TPE": regrets[::-1]}}, "TPE")["lrsweep_is"] == "not told apart"


def test_every_workload_counts_the_same_in_a_score() -> None:
    """Ahead by 0.2 on one and behind by 0.1 on the other comes to -0.05, and each has its own entry."""
    level = np.full(4, 0.5)
    found = score({"a": {OURS: level - 0.2, "TPE": level}, "b": {OURS: level + 0.1, "TPE": level}}, "TPE")
    assert found["difference"] == -0.05
    assert {name: each["lrsweep_is"] for name, each in found["workloads"].items()} == {"a": "ahead", "b": "behind"}


def test_scores_have_every_budget_and_their_mean() -> None:
    """On 5 trainings 0.2 better, on 10 the same: 0.1 better in the mean. A rival that is not there is left out."""
    replays = [
        Replay("w", method, seed, trainings, trainings, regret)
        for trainings, ours, theirs in ((5.0, 0.3, 0.5), (10.0, 0.2, 0.2))
        for seed in range(3)
        for method, regret in ((OURS, ours), ("random" + WITHOUT_FINALS, theirs))
    ]
    found = scores(replays)
    assert list(found) == ["random" + WITHOUT_FINALS]
    assert [(each["trainings"], each["difference"]) for each in found["random" + WITHOUT_FINALS]] == [
        (5.0, -0.2),
        (10.0, 0.0),
        (None, -0.1),
    ]


def test_the_command_replays_in_processes_of_their_own(tmp_path: Path) -> None:
    """They import what they are to run, and what is in ``__main__`` is not theirs."""
    command = [sys.executable, "-m", "tests.benchmarks.regret", "--quick", "--only", "logistic", "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, timeout=600)
    found = json.loads((tmp_path / "regret.json").read_text())
    assert set(found["workloads"]) == {"logistic"}
    assert found["truth"]["logistic"]["seeds"] == 24 - FINAL_SEEDS


def test_a_kept_replay_is_not_made_again(tmp_path: Path) -> None:
    """The second run reads what the first has written, to the last digit."""
    first = replayed(["logistic"], (2.0,), 1, 1, tmp_path)
    [kept] = tmp_path.glob("*.json")
    written = kept.stat().st_mtime_ns
    assert replayed(["logistic"], (2.0,), 1, 1, tmp_path) == first
    assert kept.stat().st_mtime_ns == written
    assert {each.method.removesuffix(WITHOUT_FINALS) for each in first} == {*NAMES, *HABIT_NAMES}
    assert SHARED in HABIT_NAMES
