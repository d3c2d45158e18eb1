"""What a night compares: the rung it may trust, the rates there, the seeds, and who may be better."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lrsweep.nightly.around as around
from lrsweep.nightly.around import Now
from lrsweep.nightly.contenders import Contender, others, scale_at
from lrsweep.nightly.planning import Plan, planned
from lrsweep.records import Origin, Status, TrainingPlan, TrainingRow, training_id
from lrsweep.schedules import schedule
from lrsweep.selection.nights import Surroundings
from lrsweep.store import Store
from lrsweep.store.champions import Alias
from lrsweep.store.nights import NightRow
from lrsweep.study import NightlySpec, ResolvedStudy
from lrsweep.sweep.trust import DROPPED_KEY
from tests.choices import ADAMW, SGD, choice
from tests.looked import a_driven_bench
from tests.nightly_runs import CHALLENGER, Nights
from tests.scripted import End, completed
from tests.sweeps import a_study

STUDY = a_study(trials=120, families=("cosine", "linear"), optimizers=("sgd",))
CHAMPION = Contender(schedule("wsd"), 0.3, SGD)
NOW = Now(Surroundings("cpu", {"torch": "2.15"}), STUDY.generation)


def ranked(plan: TrainingPlan) -> End:
    """The rung ranks as the full horizon does."""
    return completed(plan, abs(float(np.log10(plan.peak_lr / (3**0.5 if plan.horizon == 30 else 1))) + 1))


def misleading(plan: TrainingPlan) -> End:
    """The rung ranks the other way round."""
    if plan.horizon != 30:
        return ranked(plan)
    return completed(plan, -abs(float(np.log10(plan.peak_lr / 3**0.5)) + 1))


def plan_of(
    store: Store, study: ResolvedStudy = STUDY, nights: list[NightRow] | None = None, champion: Contender = CHAMPION
) -> Plan:
    return planned(store, study, NightlySpec(), champion, 1, NOW, "k", nights or [])


def test_the_canary_trains_at_the_shortest_rung_that_is_known_to_rank_well() -> None:
    """Of a sweep whose calibrating trials have shown it: 30 of 90 steps, at the rate that the rung has."""
    plan = plan_of(a_driven_bench(STUDY, ranked).store)
    assert (plan.rung, plan.horizon) == (30, 90)
    assert plan.scales[CHAMPION.name] == pytest.approx(3**0.5)


def test_a_rung_that_was_dropped_or_is_not_known_is_not_trusted() -> None:
    """The full horizon is, at its own rate."""
    bench = a_driven_bench(STUDY, misleading)
    [sweep] = bench.store.sweeps(STUDY.name)
    assert sweep.settings[DROPPED_KEY] == [0]
    few = a_driven_bench(replace(STUDY, trials=4), ranked)
    for store in (bench.store, few.store):
        plan = plan_of(store)
        assert (plan.rung, plan.scales[CHAMPION.name]) == (90, 1.0)


def test_the_rung_stays_from_night_to_night(tmp_path: Path) -> None:
    """A night began before any sweep, on the full horizon: so do those after it, since with another rung all limits
    would start anew; with another horizon they do anyway."""
    empty = Nights(tmp_path).store
    before = NightRow("quick", STUDY.generation, "k0", plan_of(empty).to_json(), id=1)
    store = a_driven_bench(STUDY, ranked).store
    assert plan_of(store, nights=[before]).rung == 90
    assert plan_of(store, nights=[]).rung == 30
    longer = replace(STUDY, horizon=180)
    assert plan_of(store, longer, [before]).rung == 180


def test_rates_at_the_rung_stay_those_of_the_question() -> None:
    """A sweep has frozen other exponents, and nights of another horizon lie between: as on the nights that these are
    compared with, and not as the exponents are by now."""
    store = a_driven_bench(STUDY, ranked).store
    first = plan_of(store).to_json()
    first["scales"] = {CHAMPION.name: 1.25}
    other = {**first, "same": "another", "horizon": 180, "scales": {CHAMPION.name: 2.5}}
    nights = [NightRow("quick", STUDY.generation, "k0", first, id=1), NightRow("quick", "g2", "k1", other, id=2)]
    plan = plan_of(store, nights=nights)
    assert (plan.rung, plan.scales[CHAMPION.name]) == (30, 1.25)


def test_an_earlier_plan_that_cannot_be_read_any_more_is_left_out() -> None:
    """It names a family that is gone: the night plans as the one before that."""
    store = a_driven_bench(STUDY, ranked).store
    first, gone = plan_of(store).to_json(), json.loads(json.dumps(plan_of(store).to_json()))
    gone["others"][0]["schedule"]["family"] = "gone"
    first["scales"] = {CHAMPION.name: 1.25}
    nights = [
        NightRow("quick", STUDY.generation, f"k{place}", each, id=place) for place, each in enumerate((first, gone))
    ]
    assert plan_of(store, nights=nights).scales[CHAMPION.name] == 1.25


def test_a_plan_is_read_back_as_it_was() -> None:
    """From the JSON that the store has."""
    plan = plan_of(a_driven_bench(STUDY, ranked).store)
    again = Plan.from_json(plan.to_json())
    assert again.to_json() == plan.to_json()
    assert again.champion.name == CHAMPION.name == plan.champion.name
    assert [each.name for each in again.others] == [each.name for each in plan.others]


def test_seeds_are_not_those_of_the_sweeps_finals() -> None:
    """Nor any that a sweep of the study has trained with."""
    store = a_driven_bench(STUDY, ranked).store
    used = {row.seed for row in store.trainings(STUDY.name)}
    plan = plan_of(store)
    seeds = [*plan.seeds, *plan.full_seeds]
    assert len(set(seeds)) == 6
    assert used.isdisjoint(seeds)
    taken = a_driven_bench(STUDY, ranked)
    trial = taken.store.trials(STUDY.name)[0]
    row = TrainingRow(
        training_id(trial.sweep_id, trial.number, 90, seeds[0], 1.0),
        STUDY.name,
        trial.number,
        trial.sweep_id,
        1,
        90,
        seeds[0],
        1.0,
    )
    taken.store.queue_trainings(taken.lease, [row])
    assert plan_of(taken.store).seeds[0] == seeds[1]


def test_what_diverged_at_the_raised_rate_has_its_own_there() -> None:
    """As the sweep repeated it."""
    bench = a_driven_bench(STUDY, ranked)
    trial = next(each for each in bench.store.trials(STUDY.name) if each.origin is Origin.SEARCH)
    contender = replace(CHAMPION, trial=trial.number, sweep_id=trial.sweep_id)
    assert scale_at(bench.store, STUDY, contender, 30) == pytest.approx(3**0.5)
    rows = {row.training_id: row for row in bench.store.trainings(STUDY.name, trial=trial.number)}
    raised = next(row for row in rows.values() if row.horizon == 30)
    tables = bench.store._tables
    tables.trainings[raised.training_id] = replace(raised, status=Status.DIVERGED)
    assert scale_at(bench.store, STUDY, contender, 30) == 1.0


def test_challengers_are_the_candidate_then_the_sweeps_best_then_the_baseline() -> None:
    """Each once, by what it trains; the champion is none of them."""
    store = a_driven_bench(STUDY, ranked).store
    nights = Nights(Path("unused"), store=store)
    nights.promote(replace(CHALLENGER, schedule=schedule("wsd"), horizon=90), Alias.CANDIDATE)
    baseline = Contender(schedule("exponential"), 0.2, SGD)
    found = others(store, STUDY, CHAMPION, baseline)
    assert (found[0].schedule.family, found[0].peak_lr) == ("wsd", 0.1)
    assert found[-1].name == baseline.name
    best = [abs(np.log10(each.peak_lr) + 1) for each in found[1:-1]]
    assert best[0] == min(best)
    names = [each.name for each in found]
    assert len(names) == len(set(names)) > 5
    assert CHAMPION.name not in names
    champion = next(each for each in found if each.trial is not None)
    assert champion.name not in [each.name for each in others(store, STUDY, champion, None)]


def test_a_name_is_of_what_is_trained_alone() -> None:
    """Not of where it was found; another rate, optimizer or setting is another name."""
    same = replace(CHAMPION, trial=7, sweep_id="s")
    assert same.name == CHAMPION.name
    assert CHAMPION.name.startswith("wsd-")
    different = [replace(CHAMPION, peak_lr=0.31), replace(CHAMPION, optimizer=ADAMW), replace(CHAMPION, extra={"x": 1})]
    assert len({CHAMPION.name, *(each.name for each in different)}) == 4


def test_the_device_is_known_by_its_kind_and_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the driver's own files, without PyTorch; a processor's model is no part of it."""
    card = tmp_path / "0000:3b:00.0"
    card.mkdir()
    (card / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 1\n")
    monkeypatch.setattr(around, "NVIDIA", tmp_path)
    monkeypatch.setattr(around, "nvidia_driver", lambda: "580.1")
    assert around.device_of("auto") == around.device_of("cuda:0") == "cuda (NVIDIA H200)"
    assert (around.device_of("cuda:1"), around.device_of("cpu")) == ("cuda", "cpu")
    monkeypatch.setattr(around, "nvidia_driver", lambda: None)
    assert around.device_of("auto") == "cpu"


def test_of_several_gpus_all_that_are_meant_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a list; of ``cuda`` and ``auto`` all there are. Each model once, whatever the order."""
    for place, model in enumerate(("NVIDIA H200", "NVIDIA A100", "NVIDIA H200")):
        (tmp_path / f"card-{place}").mkdir()
        (tmp_path / f"card-{place}" / "information").write_text(f"Model: \t {model}\n")
    monkeypatch.setattr(around, "NVIDIA", tmp_path)
    monkeypatch.setattr(around, "nvidia_driver", lambda: "580.1")
    assert around.device_of("cuda:0,cuda:2") == "cuda (NVIDIA H200)"
    assert around.device_of("cuda:1, cuda:0") == "cuda (NVIDIA A100, NVIDIA H200)"
    assert around.device_of("auto") == around.device_of("cuda") == "cuda (NVIDIA A100, NVIDIA H200)"
    assert around.device_of("cuda:1") == "cuda (NVIDIA A100)"


def test_a_champion_of_another_horizon_is_trained_on_todays(tmp_path: Path) -> None:
    """Its peak moves by its own rule: 0.4 on 600 steps is 0.8 on 150."""
    from lrsweep.nightly.contenders import of_row

    nights = Nights(tmp_path)
    row = nights.promote(choice())
    assert of_row(nights.store, row, a_study(horizon=150)).peak_lr == pytest.approx(0.8)
    assert of_row(nights.store, row, a_study(horizon=600)).peak_lr == 0.4
