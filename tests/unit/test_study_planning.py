"""What a study comes to, by hand; and what earlier results say to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from lrsweep.cli.plan import Asked, asked_plan, show_plan
from lrsweep.errors import SettingsError
from lrsweep.records import (
    Curve,
    Outcome,
    Purpose,
    Status,
    StudyRow,
    SweepRow,
    TrainingRow,
    TrialRow,
)
from lrsweep.store import MemoryStore, Store
from lrsweep.study import ResolvedStudy, parse_study
from lrsweep.study.planning import Plan, plan
from tests.studies import FACTS, TWO_RUNGS

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def a_study(budget: str = "trials = 40", more: str = "") -> ResolvedStudy:
    search = "" if "[search]" in more else TWO_RUNGS
    text = f'[study]\nname = "q"\nworkload = "digits"\n[budget]\n{budget}\n{search}\n{more}\n'
    return parse_study(text, "s.toml").resolved(FACTS)


def planned(budget: str = "trials = 40", more: str = "", **known: Any) -> Plan:
    found = plan(a_study(budget, more), **known)
    assert found is not None
    return found


TWO = '[space]\nfamilies = ["cosine", "wsd"]'


def test_a_plan_of_40_trials() -> None:
    """17,600 updates of 40 and 16 trainings, 60 % of 29,334; the rest is 19 trainings: 3 finalists with 6 seeds."""
    found = planned(more=TWO)
    assert (found.trials, found.rungs, found.search_trainings, found.search_steps) == (40, (200, 600), 56.0, 17_600.0)
    assert found.families == (("cosine", (20.0, 8.0)), ("wsd", (20.0, 8.0)))
    assert (found.finalists, found.seeds, found.final_steps, found.total_steps) == (3, 6, 11_400, 29_334)
    assert found.trainings == pytest.approx(48.89)
    assert found.resolvable is not None
    assert found.resolvable.in_deviations == pytest.approx(1.80, abs=0.01)
    assert (found.resolvable.in_metric, found.cost, found.warnings) == (None, None, ())


def test_trials_that_do_not_come_out_even_go_to_the_first_families() -> None:
    """38 of 8 are five or four."""
    counts = {name: at[0] for name, at in planned("trials = 38").families}
    assert list(counts.values()) == [5, 5, 5, 5, 5, 5, 4, 4]


def test_a_pace_and_a_price_make_hours_and_money() -> None:
    """29,334 updates at 10 a second are 0.8148 hours."""
    found = planned("trials = 40\nprice_per_hour = 2.0", TWO, steps_per_second=10.0)
    assert found.cost is not None
    assert found.cost.seconds == pytest.approx(2933.4)
    assert found.cost.gpu_hours == pytest.approx(0.8148, abs=1e-4)
    assert found.cost.money == pytest.approx(1.6297, abs=1e-4)


def test_a_timed_budget_is_planned_once_the_pace_is_known() -> None:
    """293.34 seconds at 100 a second are the 40 trials; without a pace nothing follows."""
    assert plan(a_study("wall_clock = 293.34")) is None
    assert planned("wall_clock = 293.34", steps_per_second=100.0).trials == 40


def test_a_known_spread_of_seeds_puts_the_difference_in_units_of_the_metric() -> None:
    """1.80 deviations of 0.01; a worth below it names the seeds that would do, and one above it says nothing."""
    found = planned(more=f"{TWO}\n[selection]\nworth = 0.01", deviation=0.01)
    assert found.resolvable is not None
    assert found.resolvable.in_metric == pytest.approx(0.0180, abs=1e-4)
    assert found.warnings == (
        "selection.worth is 0.01, and 6 seeds of each finalist tell differences from 0.018 on: 17 seeds of each "
        "finalist would.",
    )
    assert planned(more=f"{TWO}\n[selection]\nworth = 0.04", deviation=0.01).warnings == ()
    [hopeless] = planned(more=f"{TWO}\n[selection]\nworth = 1e-5", deviation=0.01).warnings
    assert "more than 1000 seeds" in hopeless


def test_families_with_few_trials_are_warned_of_with_what_would_do() -> None:
    """64 trials are 6.4 that calibrate and 57.6 / 3 others at 600: 28,160 updates, 60 % of 78.2 trainings."""
    [warning] = planned().warnings
    assert warning == (
        "a family gets 5 first-rung trials, and under 8 its best is mostly luck: trials = 64, or 5 families, "
        "would give "
        "each 8."
    )
    [in_trainings] = planned("trainings = 48.89").warnings
    assert "trainings = 79, or 5 families," in in_trainings
    assert planned("trials = 64").warnings == planned("trainings = 79").warnings == ()
    assert "trainings = 78" not in in_trainings
    assert planned("trainings = 78").warnings != ()


def test_a_design_is_part_of_what_a_sweep_takes() -> None:
    """100 trainings are 60,000 updates: a design of 8,000 is above a tenth of them, and is made where it is asked for.
    A budget in trials pays for the search alone, so that there it comes on top."""
    wanted = f"{TWO}\n{TWO_RUNGS}\nfit_exponent = true"
    assert asked_plan(a_study("trainings = 100", TWO), None, None).plan == plan(a_study("trainings = 100", TWO))
    within = asked_plan(a_study("trainings = 100", wanted), None, None).plan
    on_top = asked_plan(a_study("trials = 40", wanted), None, None).plan
    assert within is not None
    assert on_top is not None
    assert (within.design_steps, within.total_steps) == (8_000, 60_000)
    assert within.search_steps + within.design_steps + within.final_steps <= 60_000
    assert (on_top.design_steps, on_top.total_steps) == (8_000, 29_334 + 8_000)


def test_a_design_is_paid_by_the_search_and_refused_where_it_would_take_more_than_half_of_that() -> None:
    """8,000 updates are 30 % of 26,667: with them the finalists keep their 40 %, and below it none is planned."""
    wanted = f"{TWO}\n{TWO_RUNGS}\nfit_exponent = true"
    enough = asked_plan(a_study("steps = 26700", wanted), None, None).plan
    too_few = asked_plan(a_study("steps = 26600", wanted), None, None).plan
    assert enough is not None
    assert too_few is not None
    assert (enough.design_steps, enough.finalists, enough.search_steps + 8_000 <= 0.6 * 26_700) == (8_000, 3, True)
    assert (too_few.design_steps, too_few.finalists) == (0, 3)
    assert too_few.warnings[-1].startswith(
        "search.fit_exponent takes 8000 updates, more than 30% of the whole budget's"
    )


def test_a_baseline_that_runs_all_rungs_is_part_of_what_a_search_takes() -> None:
    """200 and 600 updates in the place of the 440 that a trial is expected to take."""
    baseline = f"{TWO}\n{TWO_RUNGS}\n[baseline]\nfamily = 'constant'\npeak_lr = 0.1"
    without, with_it = planned("trials = 40", f"{TWO}\n{TWO_RUNGS}"), planned("trials = 40", baseline)
    assert with_it.search_steps == without.search_steps + 360
    assert with_it.total_steps == without.total_steps + 360
    within = planned("steps = 26600", baseline)
    assert within.search_steps <= 0.6 * 26_600 < within.search_steps + 440


def test_scripts_that_run_side_by_side_use_as_many_devices() -> None:
    """As the machine gives out where the file does not say it; before that is known, as one."""
    script = "[study.workload]\ncommand = 'train'\nsteps = 600\ngpus_per_training = 1"
    text = f"[study]\nname = 'q'\n{script}\n[space]\npeak_lr = [0.001, 0.1]\n[budget]\n"
    study = replace(parse_study(f"{text}gpu_hours = 1", "q.toml").resolved(FACTS), scripts_at_once=8)
    assert study.devices == 8
    assert replace(study, scripts_at_once=None).devices == 1


def test_a_share_that_pays_for_no_two_finalists_is_warned_of() -> None:
    """12 trials are 8.8 trainings, 60 % of 14.7: the rest is 5.9, and two finalists with three seeds need six."""
    found = planned("trials = 12", TWO)
    assert (found.finalists, found.seeds, found.final_steps, found.resolvable) == (0, 0, 0, None)
    few, none = found.warnings
    assert few.startswith("a family gets 6 first-rung trials")
    assert found.total_steps == found.search_steps == 5280
    assert none == (
        "the share for finalists would not pay for the 6 trainings of two finalists with 3 seeds each: all goes to the "
        "search, and the best is the luckiest. trials = 13 would do, or fewer selection.seeds."
    )
    assert planned("trials = 13", TWO).finalists == 2


def test_who_wants_no_finalists_is_not_warned() -> None:
    """All of the budget is the search's."""
    found = planned("steps = 17600", f"{TWO}\n[selection]\nfinalists = 0")
    assert (found.trials, found.finalists, found.warnings) == (40, 0, ())
    [told] = planned("trials = 40", f"{TWO}\n[selection]\nshare = 0").warnings
    assert told.startswith("selection.share is 0: no finalists are trained")


def test_a_deadline_that_comes_first_is_told() -> None:
    """The sweep is continued by the same command."""
    [told] = planned("trials = 40", f'{TWO}\n[run]\ndeadline = "10m"', steps_per_second=10.0).warnings
    assert told == "run.deadline comes after 600 s, and the budget takes 2933 s: the same command continues."


# ── what the results say ─────────────────────────────────────────────────────────────────────────────────────────────


def with_a_sweep(study: ResolvedStudy, *, seconds: float, name: str | None = None) -> Store:
    """A finished training of 600 updates in the search, and two finals whose values are 0.02 apart."""
    store = MemoryStore()
    name = name or study.name
    lease = store.acquire_lease(name, "here", seconds=60)
    store.register_study(lease, StudyRow(name, study.meaning, study.generation, study.spec()))
    store.create_sweep(lease, SweepRow("w", name, study.generation))
    rows = [
        TrainingRow(f"t{place}", name, 0, "w", 1, 600, place, 1.0, purpose=purpose)
        for place, purpose in enumerate((Purpose.SEARCH, Purpose.FINAL, Purpose.FINAL))
    ]
    store.add_trial(lease, TrialRow(name, 0, "w", {}, {}), rows)
    for row, value in zip(rows, (0.5, 0.10, 0.12), strict=True):
        store.start_training(lease, row.training_id, device="cpu")
        outcome = Outcome(Status.COMPLETED, 600, 1.0, {"val_loss": value})
        store.end_training(lease, row.training_id, 1, outcome, Curve.empty())
    store.update_sweep(lease, "w", add_seconds=seconds)
    return store


def test_the_pace_and_the_spread_are_those_of_the_newest_sweep() -> None:
    """1,800 updates in 18 seconds; values 0.02 apart deviate by 0.01414, and 0.5 is no final."""
    study = a_study("wall_clock = 293.34", TWO)
    asked = asked_plan(study, with_a_sweep(study, seconds=18.0), None)
    assert asked.plan is not None
    assert (asked.plan.steps_per_second, asked.pace_from, asked.plan.trials) == (100.0, "the pace of sweep w", 40)
    assert asked.plan.resolvable is not None
    assert asked.plan.resolvable.in_metric == pytest.approx(1.80 * 0.01414, rel=0.01)
    given = asked_plan(study, with_a_sweep(study, seconds=18.0), 200.0)
    assert given.plan is not None
    assert (given.plan.steps_per_second, given.pace_from) == (200.0, "--steps-per-second")


def test_another_study_of_the_same_workload_knows_the_pace_but_not_the_spread() -> None:
    """Its values may mean something else; another workload knows neither."""
    study = a_study("wall_clock = 293.34", TWO)
    other = asked_plan(study, with_a_sweep(replace(study, name="other"), seconds=18.0, name="other"), None)
    assert other.plan is not None
    assert other.plan.steps_per_second == 100.0
    assert other.plan.resolvable is not None
    assert other.plan.resolvable.in_metric is None
    larger = replace(study, facts=replace(FACTS, batch_size=128))
    assert asked_plan(study, with_a_sweep(larger, seconds=18.0), None).plan is None
    assert asked_plan(study, None, None).plan is None


def test_a_pace_that_is_none_is_refused() -> None:
    """Zero would make a plan of for ever."""
    with pytest.raises(SettingsError, match=r"--steps-per-second is 0; wanted a number above 0"):
        asked_plan(a_study(), None, 0.0)


# ── shown ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def shown(asked: Asked) -> str:
    console = Console(file=StringIO(), width=200, no_color=True)
    show_plan(console, asked, NOW)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_people_see_a_table_and_the_sums() -> None:
    """What is not known says how it can be."""
    study = a_study("trials = 40\nprice_per_hour = 2.0", TWO)
    text = shown(asked_plan(study, None, 10.0))
    assert text.splitlines()[:4] == [
        "q: trials = 40, price_per_hour = 2",
        "family  at 200  at 600",
        "cosine      20       8",
        "wsd         20       8",
    ]
    assert (
        "finalists: about 3 with 3 to 8 fresh seeds each, at most 11,400 steps: those that are still open to be best "
        "get more; 6 each would tell differences from 1.80 standard deviations of a seed on" in text
    )
    evenly = shown(asked_plan(a_study(more=f"{TWO}\n[selection]\nracing = false"), None, None))
    assert "finalists: about 3 with 6 fresh seeds each, 10,800 steps; they tell differences from 1.80" in evenly
    assert "in all: about 29,334 steps, as many as 48.9 trainings of 600" in text
    assert "time: 49 min at 10 steps per second (--steps-per-second), until 2026-11-21 12:48" in text
    assert "0.81 device hours, 1.63 in money" in text
    assert "time and money: unknown. Give --steps-per-second" in shown(asked_plan(a_study(more=TWO), None, None))
    assert "depends on the pace. Give --steps-per-second" in shown(asked_plan(a_study("gpu_hours = 1"), None, None))


def test_programs_get_one_object() -> None:
    """The same figures; a budget that waits for a pace says so too."""
    found = json.loads(json.dumps(asked_plan(a_study(more=TWO), None, 10.0).to_json(NOW)))
    assert found["families"] == [{"family": "cosine", "trials": [20, 8]}, {"family": "wsd", "trials": [20, 8]}]
    assert (found["trials"], found["finalists"], found["seeds"], found["total_steps"]) == (40, 3, 6, 29_334)
    assert found["looks"] == [3, 5, 8]
    assert (found["ends_at"], found["cost"]["money"]) == ("2026-11-21T12:48:53+00:00", None)
    waiting = asked_plan(a_study("gpu_hours = 1"), None, None).to_json(NOW)
    assert waiting["plan"] is None
    assert "--steps-per-second" in waiting["how_to_learn_the_pace"]
