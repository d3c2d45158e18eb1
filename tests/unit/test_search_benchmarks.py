"""The benchmarks that compare searches: what a look at a table costs, what each method pays and picks."""

from __future__ import annotations

import doctest
import json
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrsweep.records import Purpose, Status, TrainingRow, TrialRow
from lrsweep.schedules import core_names
from lrsweep.space import peak_lr_name
from lrsweep.store import MemoryStore
from lrsweep.sweep.plans import next_plan
from tests.benchmarks.command import story
from tests.benchmarks.command.story import Moment, Truth, as_good, decided_at
from tests.benchmarks.driver import busy
from tests.benchmarks.driver.__main__ import QUICK, command, environment, measure, summary
from tests.benchmarks.driver.simulated import Ready
from tests.benchmarks.regret import figures, methods, ours
from tests.benchmarks.regret.figures import comparison, curves, pooled
from tests.benchmarks.regret.methods import RIVALS, Tried, finals, pick, search
from tests.benchmarks.regret.pool import Pool, study_of
from tests.benchmarks.regret.replay import NAMES, OURS, WITHOUT_FINALS, Replay
from tests.benchmarks.regret.table import EVALUATIONS, FULL_SEEDS, SEARCH_SEEDS, Seen, Table
from tests.benchmarks.sweep.machine import topology
from tests.patience import in_time
from tests.sweeps import a_study, a_training, a_trial

HORIZON = 360
RATES = (0.01, 0.1, 1.0)
"""The best is 0.1; with AdamW everything is worse by 1."""


def a_table() -> Table:
    """The core families without their settings, two optimizers, three rates; nothing diverges, seeds do not matter.

    A loss falls along a straight line to its end, 0 for the best points: a cut-off training is ahead by 2/3 or 8/9.
    """
    params: list[dict[str, Any]] = [
        {"family": name, "optimizer": optimizer, peak_lr_name(name, optimizer): rate}
        for name in core_names()
        for optimizer in ("sgd", "adamw")
        for rate in RATES
    ]
    ends = np.array(
        [
            abs(math.log10(each[peak_lr_name(each["family"], each["optimizer"])]) + 1) + (each["optimizer"] == "adamw")
            for each in params
        ]
    )
    points = len(params)
    left = 1 - np.arange(1, EVALUATIONS + 1) / EVALUATIONS
    arrays: dict[str, Any] = {
        "curves": np.broadcast_to(ends[:, None, None] + left, (points, FULL_SEEDS, EVALUATIONS)).copy(),
        "decide": np.broadcast_to(ends[:, None], (points, FULL_SEEDS)).copy(),
        "steps": np.full((points, FULL_SEEDS), HORIZON),
    }
    for kind, steps in {"third": 120, "ninth": 40, "annealed_third": 144, "annealed_ninth": 48}.items():
        arrays[kind] = np.broadcast_to(ends[:, None], (points, SEARCH_SEEDS)).copy()
        arrays[f"{kind}_steps"] = np.full((points, SEARCH_SEEDS), steps)
    for kind in ("third_own", "ninth_own"):
        arrays[kind] = np.full((points, SEARCH_SEEDS), np.nan)
        arrays[f"{kind}_steps"] = np.zeros((points, SEARCH_SEEDS), dtype=int)
    facts = {
        "name": "digits",
        "settings": {},
        "data_hash": "",
        "batch_size": 64,
        "horizon": HORIZON,
        "peak_lr": {"sgd": [0.01, 1.0], "adamw": [0.01, 1.0]},
    }
    return Table({"workload": "by-hand", "facts": facts, "params": params}, arrays)


def a_rival(name: str) -> methods.Rival:
    """With points at random, which are drawn at once."""
    return replace(next(rival for rival in RIVALS if rival.name == name), sampler=methods.at_random)


@pytest.fixture(scope="module")
def table() -> Table:
    return a_table()


@pytest.mark.parametrize("module", [figures, story, busy], ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    """Benchmarks are not collected, so nothing else runs them."""
    ran = doctest.testmod(module)
    assert ran.attempted > 0
    assert ran.failed == 0


def test_a_drawn_point_is_looked_up_at_the_nearest_rate(table: Table) -> None:
    """On a log scale 0.04 is nearer to 0.1 than to 0.01, and 0.02 is not."""
    pool = Pool(table)
    params = {"family": "cosine", "optimizer": "adamw"}
    found = [table.params[pool.nearest(params, rate)]["cosine.adamw.peak_lr"] for rate in (0.02, 0.04, 5.0)]
    assert found == [0.01, 0.1, 1.0]


def test_settings_come_before_the_rate() -> None:
    """A wsd with the right cool-down and a far rate is nearer than one with the wrong cool-down at the very rate."""
    table = a_table()
    low, high = 0.05, 0.6
    params = [
        {"family": "wsd", "optimizer": "sgd", "wsd.sgd.peak_lr": rate, "wsd.cooldown": low + share * (high - low)}
        for share, rate in ((0.25, 0.01), (0.75, 1.0))
    ]
    pool = Pool(Table({**table.meta, "params": params}, table.arrays))
    assert pool.nearest({"family": "wsd", "optimizer": "sgd", "wsd.cooldown": 0.2}, 1.0) == 0


def test_a_regret_counts_from_the_best_point_to_the_median(table: Table) -> None:
    """The best is 0.1 with SGD, where the loss is 0; the median of 0, 1, 1, 1, 2, 2 is 1."""
    assert sorted({round(table.regret(point), 9) for point in range(len(table.params))}) == [0.0, 1.0, 2.0]


def test_a_cut_off_training_costs_only_what_it_was_trained_for(table: Table) -> None:
    """A ninth, a third or all of 360 updates; and who goes on is never trained from the beginning again."""
    tried = search(
        a_rival("ASHA, cut off"), table, Pool(table), study_of(table, trainings=12, seed=0), steps=4000, seed=0
    )
    costs = {
        (each.share, each.spent - before)
        for before, each in zip([0, *(each.spent for each in tried)], tried, strict=False)
    }
    assert costs == {(9, 40), (3, 120), (1, 360)}


def test_a_cool_down_costs_the_copy_and_nothing_more(table: Table) -> None:
    """A trial that is halted at a third has paid 120 updates and the 24 of its copy; one that ends, 360 and these."""
    rival = a_rival("cut + anneal at 1/3")
    tried = search(rival, table, Pool(table), study_of(table, trainings=12, seed=0), steps=4000, seed=0)
    costs = {
        (each.share, each.spent - before)
        for before, each in zip([0, *(each.spent for each in tried)], tried, strict=False)
    }
    assert costs == {(3, 144), (1, 384)}


def test_a_diverged_training_costs_what_it_ran_for_and_is_no_pick() -> None:
    """Two trials at the full horizon diverge after 7 updates each; there is nothing to pick."""
    table = a_table()
    table.arrays["curves"][:] = np.nan
    table.arrays["steps"][:] = 7
    study = study_of(table, trainings=12, seed=0)
    tried = search(a_rival("random"), table, Pool(table), study, steps=14, seed=0)
    assert [(each.value, each.spent) for each in tried] == [(None, 7), (None, 14)]
    with pytest.raises(LookupError):
        pick(tried, table, study, trainings=12, has_finals=True)


def test_the_part_of_the_budget_for_finals_is_not_searched(table: Table) -> None:
    """Of 20 trainings 12 are for the search: the better trials after that come too late, unless there are no
    finals. 10 trainings pay for none, so all are searched."""
    study = study_of(table, trainings=20, seed=0)
    tried = [Tried(point, 5.0 - point, 1, HORIZON * (point + 1)) for point in range(20)]
    assert pick(tried, table, study, trainings=20, has_finals=False).point == 19
    with_finals = pick(tried, table, study, trainings=20, has_finals=True)
    assert with_finals.spent == 20 * HORIZON  # two finalists with four seeds each
    assert with_finals.point in (10, 11)
    without_a_final = pick(tried, table, study, trainings=10, has_finals=True)
    assert (without_a_final.point, without_a_final.spent) == (9, 10 * HORIZON)


def test_finals_go_by_the_other_half_of_validation_and_by_fresh_seeds() -> None:
    """The point that the search liked best is worse with the seeds that no search has seen."""
    table = a_table()
    table.arrays["curves"][0] = -9.0
    table.arrays["decide"][0, :SEARCH_SEEDS] = -9.0
    table.arrays["decide"][0, SEARCH_SEEDS:] = 3.0
    table.arrays["decide"][1] = 2.0
    picked = finals([0, 1], table, study_of(table, trainings=10, seed=0), steps=6 * HORIZON)
    assert picked is not None
    assert picked.point == 1
    assert picked.spent == 6 * HORIZON


def test_a_trial_that_was_trained_further_is_picked_before_one_with_a_smaller_loss(table: Table) -> None:
    """A loss at a third of the horizon says less than one at its end."""
    tried = [Tried(3, 0.5, 1, 360), Tried(4, 0.1, 3, 480)]
    assert pick(tried, table, study_of(table, trainings=10, seed=0), trainings=10, has_finals=False).point == 3


def test_lrsweep_pays_for_every_training_that_its_driver_asks_for(table: Table) -> None:
    """Rungs, full trainings and finals: the sum of their updates, about as many as the budget has."""
    study = study_of(table, trainings=40, seed=0)
    bench, executor = ours.sweep(table, Pool(table), study)
    rows = bench.trainings()
    assert executor.spent == sum(row.steps for row in rows if row.status is Status.COMPLETED)
    assert executor.spent <= 1.1 * 40 * HORIZON
    kinds = {(row.purpose, row.horizon) for row in rows}
    assert {(Purpose.SEARCH, 120), (Purpose.SEARCH, 360), (Purpose.FINAL, 360)} <= kinds


def test_lrsweep_finds_the_best_of_an_easy_table(table: Table) -> None:
    """With 40 trainings on 6 kinds of points it cannot miss it."""
    picked = ours.pick(table, Pool(table), study_of(table, trainings=40, seed=0))
    assert table.regret(picked.point) == 0.0


def test_a_rung_is_looked_up_at_the_rate_that_was_trained() -> None:
    """Another exponent than the usual one asks for another actual rate, and so for another point of the pool."""
    table = a_table()
    seen = {}
    for exponent in (0.5, 0.5 + math.log(10, 3)):
        executor = ours.Replayed(table, Pool(table), MemoryStore())
        row = TrainingRow("t", "s", 0, "w", 0, 120, 0, 3**exponent)
        trial = TrialRow("s", 0, "w", {"family": "cosine", "optimizer": "sgd", "cosine.sgd.peak_lr": 0.1}, {})
        seen[exponent] = executor._looked_up(row, trial)[0]
    assert [each.value for each in seen.values()] == [0.0, 1.0]
    assert {each.steps for each in seen.values()} == {120}


def test_what_diverged_at_the_raised_rate_is_looked_up_at_its_own() -> None:
    """The table holds its own training for that; where it has none, the neighbour's raised one stands for it."""
    table = a_table()
    table.arrays["third_own"][:] = 0.25
    table.arrays["third_own_steps"][:] = 119
    executor = ours.Replayed(table, Pool(table), MemoryStore())
    row = TrainingRow("t", "s", 0, "w", 0, 120, 0, 1.0)
    trial = TrialRow("s", 0, "w", {"family": "cosine", "optimizer": "sgd", "cosine.sgd.peak_lr": 0.1}, {})
    assert executor._looked_up(row, trial)[0] == Seen(0.25, 119)


def test_the_comparison_asks_for_the_cheapest_rival_with_the_same_regret() -> None:
    """At 20 trainings the best rival has 0.2; another has that with 16 already, and lrsweep with 8: a half."""
    replays = [
        Replay("w", method, seed, trainings, trainings, regret)
        for method, regrets in {
            OURS: {8: 0.2, 20: 0.15},
            OURS + WITHOUT_FINALS: {8: 0.0, 20: 0.0},
            "TPE": {8: 0.9, 20: 0.2},
            "random" + WITHOUT_FINALS: {8: 0.6, 20: 0.0},
        }.items()
        for trainings, regret in regrets.items()
        for seed in range(3)
    ]
    by_workload = curves(replays)
    [first, second] = comparison(by_workload["w"])
    assert (first["rival"], first["regret"], first["share"]) == ("random" + WITHOUT_FINALS, 0.6, 1.0)
    assert (second["rival"], second["regret"], second["share"]) == ("random" + WITHOUT_FINALS, 0.0, None)
    without_random = {name: curve for name, curve in by_workload["w"].items() if not name.startswith("random")}
    [_, second] = comparison(without_random)
    assert (second["rival_needs"], second["lrsweep_needs"], second["share"]) == (20, 8, 0.4)


def test_all_workloads_together_have_the_mean_of_their_means() -> None:
    """0.1 on one and 0.5 on the other is 0.3, however many replays there were of each."""
    replays = [Replay("a", OURS, seed, 5, 4, 0.1) for seed in range(9)] + [Replay("b", OURS, 0, 5, 5, 0.5)]
    [point] = pooled(curves(replays))[OURS]
    assert (point["spent"], point["regret"]) == (4.5, 0.3)


def test_every_rival_has_a_name_of_its_own() -> None:
    """Figures are kept by it."""
    assert len(set(NAMES)) == len(RIVALS) + 1


def test_a_pick_that_is_given_up_for_a_worse_one_is_no_decision() -> None:
    """Good at second 1, bad at 2, good again from 3 on: decided at 3. A diverged point is never as good."""
    truths = {"a": Truth([1.0, 1.1, 0.9]), "b": Truth([5.0, 5.1, 4.9]), "c": Truth([1.0, math.inf])}
    assert as_good(truths) == {"a"}
    assert decided_at([Moment(1, "a"), Moment(2, "b"), Moment(3, "a")], {"a"}) == 3
    assert decided_at([Moment(1, "a"), Moment(2, "b")], {"a"}) is None


def test_the_drivers_size_is_measured_on_the_rungs_that_studies_have() -> None:
    """Simulated trainings of 600 updates and their rungs; the smallest size is one time as dear as itself."""
    found: dict[str, list[dict[str, Any]]] = {}
    measure(["size"], 1, (12, 24), QUICK, found)
    by_trials = summary(found)["by_trials"]
    assert list(by_trials) == [12, 24]
    assert by_trials[12]["times_the_smallest"]["median"] == 1.0
    assert by_trials[24]["cpu_ms_per_trial"]["median"] > 0


def test_a_simulated_trial_counts_once_whichever_rung_it_begins_at() -> None:
    """The first runs both rungs, the second begins at the upper one, because the lower is dropped; and the third, which
    draws another family, would count also with the second's seed."""
    executor = Ready((30, 90), trials=3)
    for trial, rung, seed in (
        (a_trial(0), 0, 1),
        (a_trial(0), 1, 1),
        (a_trial(1), 1, 2),
        (a_trial(2, family="linear"), 1, 2),
    ):
        row = a_training(trial.number, rung, seed=seed)
        executor.submit(next_plan(row, trial, a_study(), checkpoint_url="nowhere"))
    assert executor.trials == 3


def test_what_a_simulated_driver_holds_is_its_own(tmp_path: Path) -> None:
    """Not what this process holds, which has loaded PyTorch and is several times as large."""
    code = "from tests.benchmarks.driver.simulated import most_memory_mib; print(most_memory_mib())"
    large = bytearray(1 << 30)
    large[:: 1 << 12] = b"x" * (1 << 18)  # so that each page of it is there
    held = subprocess.check_output([*command("")[:1], "-c", code], env=environment(tmp_path), text=True)
    assert 20 < float(held) < 900


def test_a_busy_process_ends_with_its_input_and_says_what_it_took(tmp_path: Path) -> None:
    """A fifth of a processor, which also a machine that others use has to spare."""

    def keeps_busy(times: float) -> None:
        with subprocess.Popen(
            command("busy", "0.2"), env=environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(2 * times)
            said, _ = process.communicate()
        assert process.returncode == 0
        assert 0.1 < json.loads(said)["share"] < 0.3

    in_time(keeps_busy)


@pytest.mark.parametrize(("siblings", "threads"), [(["0", "1"], 1), (["0-1", "0-1"], 2), (["0,2", "1,3"] * 2, 2)])
def test_the_machine_says_whether_its_cores_are_threads_of_one(
    siblings: list[str], threads: int, tmp_path: Path
) -> None:
    """As Linux lists for each of them who shares its core; nothing is said where it lists none."""
    assert "threads_per_core" not in topology(tmp_path)
    for number, each in enumerate(siblings):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{each}\n")
    assert topology(tmp_path)["threads_per_core"] == threads
