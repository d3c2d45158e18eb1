"""What Optuna knows is a function of the rows: told live or rebuilt, it is the same."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from lrsweep.records import Direction, Origin, Status, TrainingRow, TrialRow, TrialState
from lrsweep.schedules import core_names, schedule
from lrsweep.store import TrialEnd
from lrsweep.study import Baseline, Plugin, ResolvedStudy, SearchSpec
from lrsweep.sweep import search as search_module
from lrsweep.sweep.search import Search, frozen_trial
from tests.sweeps import a_complete_trial, a_study, a_training, a_trial

CORE = core_names()
WIDE = ("cyclic", "knots", "multistep", "plateau", "threshold", "cosine_restarts", "greedy")
"""Families with names, lists, whole numbers and metrics; the last two are the unfinished ones of a mixed search."""


@dataclass
class Told:
    """A search and, beside it, the rows that a store would hold."""

    search: Search
    trials: dict[int, TrialRow] = field(default_factory=dict)
    trainings: dict[int, list[TrainingRow]] = field(default_factory=lambda: defaultdict(list))

    def ask(self) -> TrialRow:
        asked, params, distributions = self.search.ask()
        number = max(self.trials, default=-1) + 1
        self.search.accept(number, asked)
        stored = json.loads(json.dumps([params, distributions]))
        self.trials[number] = a_trial(number, params=stored[0], distributions=stored[1])
        return self.trials[number]

    def reach_rung(self, number: int, value: float) -> None:
        """The first rung is done and the trial goes on."""
        self.trainings[number].append(a_training(number, 0, value=value))
        self.search.report(number, 0, value)

    def end(self, number: int, state: TrialState, value: float | None = None, *, rung: int = 0) -> None:
        ended = a_training(number, rung, value=value) if value is not None else a_training(number, rung, rate_scale=1.0)
        if value is None:
            status = Status.DIVERGED if state is TrialState.PRUNED else Status.FAILED
            ended = replace(ended, status=status, attempt=1)
        self.trainings[number].append(ended)
        self.search.tell(number, TrialEnd(state, value), rung=rung)
        self.trials[number] = replace(self.trials[number], state=state, value=value)

    def rebuilt(self, study: ResolvedStudy, *, sweep_id: str = "s") -> Search:
        return Search(study, list(self.trials.values()), self.trainings, sweep_id=sweep_id)


def begun(study: ResolvedStudy | None = None) -> Told:
    return Told(Search(study or a_study(), [], {}, sweep_id="s"))


def known(search: Search) -> list[optuna.trial.FrozenTrial]:
    """Optuna's trials without those that only wait to be asked for."""
    return [trial for trial in search._optuna.trials if trial.state is not OptunaState.WAITING]


def knowledge(search: Search) -> list[str]:
    """All that a sampler can learn of each trial, in one order; NaN is equal to itself as text."""
    return sorted(
        repr((sorted(each.params.items()), each.state.name, each.values, sorted(each.intermediate_values.items())))
        for each in known(search)
    )


def test_rungs_are_seen_at_steps_1_and_3() -> None:
    """A trial that went all the way has both values, and the last is its own."""
    told = begun()
    told.ask()
    told.reach_rung(0, 0.5)
    told.end(0, TrialState.COMPLETE, 0.25, rung=1)
    [trial] = known(told.search)
    assert (trial.state, trial.value, trial.intermediate_values) == (OptunaState.COMPLETE, 0.25, {1: 0.5, 3: 0.25})


def test_a_halted_trial_is_pruned_with_the_value_of_its_rung() -> None:
    """Without it TPE would take a trial that just missed its place for one of the worst."""
    told = begun()
    told.ask()
    told.end(0, TrialState.PRUNED, 0.5)
    [trial] = known(told.search)
    assert (trial.state, trial.value, trial.intermediate_values) == (OptunaState.PRUNED, 0.5, {1: 0.5})


def test_a_divergence_is_pruned_with_nan_and_tpe_still_asks() -> None:
    """Fourteen of them, more than the ten that TPE draws at random before it models anything."""
    told = begun(a_study(families=("cosine",), optimizers=("sgd",)))
    for number in range(14):
        told.ask()
        if number % 2:
            told.end(number, TrialState.PRUNED)
        else:
            told.reach_rung(number, 0.5)
            told.end(number, TrialState.PRUNED, rung=1)
    told.ask()
    *ended, _ = known(told.search)
    assert {(trial.state, trial.value) for trial in ended} == {(OptunaState.PRUNED, None)}
    assert repr(ended[1].intermediate_values) == "{1: nan}"
    assert repr(ended[0].intermediate_values) == "{1: 0.5, 3: nan}"


def test_a_failed_trial_is_told_as_failed() -> None:
    """Its finished rung stays; the failure says nothing about the point."""
    told = begun()
    told.ask()
    told.reach_rung(0, 0.5)
    told.end(0, TrialState.FAILED, rung=1)
    [trial] = known(told.search)
    assert (trial.state, trial.value, trial.intermediate_values) == (OptunaState.FAIL, None, {1: 0.5})


def a_mixed_search(study: ResolvedStudy) -> Told:
    """One trial of each fate, then one after its first rung, and one that has just been asked for."""
    told = begun(study)
    for _ in range(7):
        told.ask()
    told.reach_rung(0, 0.5)
    told.end(0, TrialState.COMPLETE, 0.25, rung=1)
    told.end(1, TrialState.PRUNED, 0.75)
    told.end(2, TrialState.PRUNED)
    told.reach_rung(3, 0.375)
    told.end(3, TrialState.PRUNED, rung=1)
    told.end(4, TrialState.FAILED)
    told.reach_rung(5, 0.125)
    return told


@pytest.mark.parametrize("families", [CORE, WIDE], ids=["core", "wide"])
@pytest.mark.parametrize("warmup", [0.0, (0.0, 0.2)])
def test_a_search_rebuilt_from_rows_knows_what_the_live_one_knew(warmup: Any, families: tuple[str, ...]) -> None:
    """The same parameters, states, values and intermediate values, for the unfinished trials too."""
    study = a_study(warmup=warmup, families=families)
    told = a_mixed_search(study)
    assert knowledge(told.rebuilt(study)) == knowledge(told.search)
    assert {trial.params["family"] for trial in told.trials.values()} == set(families[:7])


def test_unfinished_trials_come_back_and_can_be_told() -> None:
    """With their parameters and finished rungs; each is then told under its number like any other."""
    told = a_mixed_search(a_study())
    again = replace(told, search=told.rebuilt(a_study()))
    again.end(5, TrialState.COMPLETE, 0.0625, rung=1)
    again.end(6, TrialState.PRUNED, 0.9)
    told.end(5, TrialState.COMPLETE, 0.0625, rung=1)
    told.end(6, TrialState.PRUNED, 0.9)
    assert knowledge(again.search) == knowledge(told.search)
    assert not [trial for trial in known(again.search) if trial.state is OptunaState.RUNNING]


def test_a_pruner_of_optunas_knows_after_a_restart_what_unfinished_trials_had_reached() -> None:
    """Successive halving writes a rung's value into the trial when it is asked, and later trials compare with that."""
    study = replace(a_study(), search=SearchSpec(pruner=Plugin("successive_halving")))
    told = begun(study)
    told.ask()
    told.reach_rung(0, 0.5)
    assert told.search.halts(0) is not None
    assert [trial.system_attrs.get("completed_rung_0") for trial in known(told.search)] == [0.5]
    assert [trial.system_attrs.get("completed_rung_0") for trial in known(told.rebuilt(study))] == [0.5]


def test_an_unfinished_trial_of_another_sweep_is_left_alone() -> None:
    """Its sweep may go on with it; the finished ones of the generation are history for all."""
    told = a_mixed_search(a_study())
    search = told.rebuilt(a_study(), sweep_id="another")
    assert [trial.state.is_finished() for trial in known(search)] == [True] * 5


def test_every_family_gets_an_equal_start_in_turn() -> None:
    """60 trials of 8 families: the first 24 asks are three rounds over all of them, in the study's order."""
    study = a_study(trials=60)
    told = begun(study)
    families = [told.ask().params["family"] for _ in range(25)]
    assert families[:24] == list(study.space.families) * 3


def test_a_small_budget_still_tries_every_family_once() -> None:
    """Half of eight trials is less than one round; one round it is."""
    told = begun(a_study(trials=8))
    assert len({told.ask().params["family"] for _ in range(8)}) == 8


def test_the_equal_start_goes_on_after_a_restart_and_over_sweeps() -> None:
    """Eleven trials are there, eight and three: the other thirteen of the 24 are asked for, whoever had the first."""
    study = a_study(trials=60)
    told = begun(study)
    for number in range(11):
        told.ask()
        told.end(number, TrialState.PRUNED, 0.5)
    search = told.rebuilt(study, sweep_id="another")
    more = Counter(search.ask()[1]["family"] for _ in range(13))
    had = Counter(trial.params["family"] for trial in told.trials.values())
    assert had + more == dict.fromkeys(study.space.families, 3)


def test_what_another_sweep_left_unfinished_does_not_count_for_the_equal_start() -> None:
    """It will never say anything: its family is asked for as if it had not been begun."""
    left = [replace(trial, sweep_id="another") for trial in (a_trial(0, family="constant"), a_trial(1, family="step"))]
    study = a_study(trials=16)
    search = Search(study, left, {}, sweep_id="s")
    assert [search.ask()[1]["family"] for _ in range(8)] == list(study.space.families)


def test_a_restart_does_not_draw_the_same_points_again() -> None:
    """Nor does another seed; the same rows and seed, however, give the same points."""
    study = a_study()
    told = begun(study)
    first = told.ask().params
    told.end(0, TrialState.PRUNED, 0.5)
    assert begun(study).ask().params == first
    assert begun(a_study(seed=1)).ask().params != first
    rates = {each.params[name] for each in known(told.search) for name in each.params if name.endswith("peak_lr")}
    restarted = replace(told, search=told.rebuilt(study))
    for _ in range(30):
        row = restarted.ask()
        rates |= {row.params[name] for name in row.params if name.endswith("peak_lr")}
    assert len(rates) == 31


def test_the_best_and_the_newest_are_kept_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best and the newest; the unfinished ones are no history and always come back."""
    monkeypatch.setattr(search_module, "LARGEST_HISTORY", 3)
    rows = [a_complete_trial(number, number / 8) for number in range(5)]
    search = Search(a_study(), [*rows, a_trial(5)], {}, sweep_id="s")
    *finished, running = known(search)
    assert [trial.user_attrs["lrsweep_trial"] for trial in finished] == [0, 3, 4]
    assert running.state is OptunaState.RUNNING


def test_a_finished_row_becomes_optunas_own_trial() -> None:
    """With the number in the study, by which its copy is recognised."""
    row = a_complete_trial(17, 0.25)
    trial = frozen_trial(row, [a_training(17, 0, value=0.5), a_training(17, 1, value=0.25)], a_study())
    assert trial.user_attrs == {"lrsweep_trial": 17}
    assert trial.params == row.params
    assert trial.intermediate_values == {1: 0.5, 3: 0.25}
    assert trial.value == 0.25


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_search_goes_to_where_the_metric_is_better(direction: Direction) -> None:
    """After 30 trials whose value is their peak rate, the next rates are mostly small, or mostly large."""
    study = a_study(direction=direction, families=("cosine",), optimizers=("sgd",))
    told = begun(study)
    for _ in range(30):
        row = told.ask()
        told.end(row.number, TrialState.COMPLETE, row.params["cosine.sgd.peak_lr"], rung=1)
    rates = []
    for _ in range(10):
        row = told.ask()
        rates.append(row.params["cosine.sgd.peak_lr"])
        told.end(row.number, TrialState.COMPLETE, rates[-1], rung=1)
    is_small = sum(rate < 0.1 for rate in rates)  # the middle of 0.01 to 1 on a log scale
    assert is_small >= 8 if direction == "minimize" else is_small <= 2


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_region_that_diverges_is_left_whichever_way_the_metric_is(direction: Direction) -> None:
    """Rates above 0.1 diverge, those below are halted with a value: NaN is worse than any value. Of trials 20 to 59,
    28 or more are below it."""
    study = a_study(direction=direction, families=("cosine",), optimizers=("sgd",))
    told = begun(study)
    good = []
    for _ in range(60):
        row = told.ask()
        good.append(row.params["cosine.sgd.peak_lr"] < 0.1)
        told.end(row.number, TrialState.PRUNED, 0.5 if good[-1] else None)
    assert sum(good[20:]) >= 28


# ── what is asked for first ──────────────────────────────────────────────────────────────────────────────────────────

POINT = {"family": "linear", "optimizer": "adamw", "linear.adamw.peak_lr": 0.01}


def test_points_are_asked_for_first_and_once_in_the_life_of_a_sweep() -> None:
    """They count for the equal start; after a restart those that were tried do not come again."""
    study = a_study(trials=16)
    told = Told(Search(study, [], {}, sweep_id="s", points=[POINT, {**POINT, "linear.adamw.peak_lr": 0.02}]))
    assert told.ask().params == POINT
    again = Search(
        study, list(told.trials.values()), {}, sweep_id="s", points=[POINT, POINT | {"linear.adamw.peak_lr": 0.02}]
    )
    assert again.ask()[1]["linear.adamw.peak_lr"] == 0.02
    families = [again.ask()[1]["family"] for _ in range(7)]
    assert families == [name for name in CORE if name != "linear"]


def test_a_point_that_is_given_twice_is_asked_for_once() -> None:
    """By an import and by an earlier meaning, or by a grid that was trained with several seeds."""
    imported = [
        a_trial(number, params=POINT, origin=Origin.FOREIGN, copied_from=f"optuna:x#{number}", state=TrialState.FAILED)
        for number in range(2)
    ]
    search = Search(a_study(), imported, {}, sweep_id="s", points=[POINT])
    assert [search.ask()[1] == POINT for _ in range(2)] == [True, False]


def test_an_imported_point_without_a_value_is_tried_and_one_with_a_value_is_known() -> None:
    """Neither belongs to the sweep's own; a failure would teach nothing, and here it is not even told."""
    bare = a_trial(0, origin=Origin.FOREIGN, copied_from="optuna:x#1", state=TrialState.FAILED)
    valued = a_complete_trial(1, 0.25, origin=Origin.FOREIGN, copied_from="optuna:x#2")
    search = Search(a_study(), [bare, valued], {}, sweep_id="s")
    assert [(trial.value, trial.user_attrs["lrsweep_trial"]) for trial in known(search)] == [(0.25, 1)]
    assert search.ask()[1] == bare.params


def test_a_copied_trial_that_was_halted_counts_with_its_value() -> None:
    """TPE takes one without for one of the worst; a diverged one is that."""
    halted = a_trial(0, origin=Origin.COPIED, state=TrialState.PRUNED, value=0.5)
    diverged = a_trial(1, origin=Origin.COPIED, state=TrialState.PRUNED)
    found = [
        repr(trial.intermediate_values) for trial in known(Search(a_study(), [halted, diverged], {}, sweep_id="s"))
    ]
    assert found == ["{1: 0.5}", "{1: nan}"]


def with_baseline(**changes: Any) -> ResolvedStudy:
    given = {"schedule": schedule("wsd", cooldown=0.25), "peak_lr": 0.5, "optimizer": "sgd", **changes}
    return replace(a_study(), baseline=Baseline(**given))


def test_a_baseline_inside_the_space_is_a_trial_that_is_asked_for() -> None:
    """With the parameters that a search would have drawn; it is told like any other."""
    search = begun(with_baseline()).search
    params, distributions, asked = search.baseline()
    assert params == {"family": "wsd", "optimizer": "sgd", "wsd.sgd.peak_lr": 0.5, "wsd.cooldown": 0.25}
    assert asked is not None
    assert asked.params == params
    assert set(distributions) == set(params)
    search.accept(0, asked)
    search.tell(0, TrialEnd(TrialState.COMPLETE, 0.25), rung=1)
    assert known(search)[0].value == 0.25


def test_a_baseline_beside_the_space_is_never_told_to_optuna() -> None:
    """Not by a search that is rebuilt either; the copy for people holds it, without parameters of Optuna's."""
    study = with_baseline(peak_lr=5.0)
    search = begun(study).search
    params, distributions, asked = search.baseline()
    assert (distributions, asked, search.knows(0)) == ({}, None, False)
    row = a_complete_trial(0, 0.25, params=params, distributions={}, origin=Origin.BASELINE)
    again = Search(study, [row, replace(row, number=1, state=TrialState.RUNNING, value=None)], {}, sweep_id="s")
    assert known(again) == []
    copy = frozen_trial(row, [], study)
    assert (copy.params, copy.value, copy.user_attrs["lrsweep_baseline"]["peak_lr"]) == ({}, 0.25, 5.0)


def test_a_history_that_grows_too_long_is_cut_while_trials_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that run keep their parameters and values, and are told as before."""
    monkeypatch.setattr(search_module, "LARGEST_HISTORY", 8)
    monkeypatch.setattr(search_module, "SLACK", 4)
    told = begun(a_study(families=("cosine",), optimizers=("sgd",), trials=40))
    told.ask()
    told.reach_rung(0, 0.5)
    for number in range(1, 30):
        told.ask()
        told.end(number, TrialState.COMPLETE, 1 / number, rung=1)
    sizes = [trial.user_attrs.get("lrsweep_trial") for trial in known(told.search)]
    assert len(sizes) <= 13
    assert {29, 28, 27} <= set(sizes)
    told.end(0, TrialState.COMPLETE, 0.001, rung=1)
    assert [trial.intermediate_values for trial in known(told.search) if trial.value == 0.001] == [{1: 0.5, 3: 0.001}]


# ── Optuna's own pruners ─────────────────────────────────────────────────────────────────────────────────────────────


def pruned_by(name: str, factor: int = 3, **settings: Any) -> ResolvedStudy:
    """Three rungs: 10, 30 and 90 steps."""
    search = SearchSpec(pruner=Plugin(name, settings), rungs=3, reduction_factor=factor, sampler=Plugin("random"))
    return replace(a_study(families=("cosine",), optimizers=("sgd",)), search=search)


def survivors(study: ResolvedStudy, trials: int = 40) -> list[int]:
    """How many trials begin each rung, on each of which they stand in another order."""
    search = Search(study, [], {}, sweep_id="s")
    reached = [0, 0, 0]
    for number in range(trials):
        search.accept(number, search.ask()[0])
        for rung in range(3):
            reached[rung] += 1
            value = ((7, 11, 3)[rung] * number % trials + 1) / trials / (rung + 1)
            search.report(number, rung, value)
            if rung == 2 or search.halts(number):
                state = TrialState.COMPLETE if rung == 2 else TrialState.PRUNED
                search.tell(number, TrialEnd(state, value), rung=rung)
                break
    return reached


@pytest.mark.parametrize("name", ["median", "percentile", "successive_halving", "hyperband"])
def test_each_rung_is_pruned_by_optunas_own(name: str) -> None:
    """Values are reported at steps 1, 3 and 9: fewer begin the second rung than the first, fewer still the third."""
    first, second, third = survivors(pruned_by(name))
    assert first == 40
    assert first > second > third > 0


def test_rungs_counted_one_by_one_would_not_all_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """At steps 1, 2, 3 successive halving has a rung at 1 and at 3, and none at 2."""
    monkeypatch.setattr(search_module, "rung_step", lambda rung, _factor: rung + 1)
    first, second, third = survivors(pruned_by("successive_halving"))
    assert first > second == third


def test_our_own_halving_leaves_the_word_to_the_driver() -> None:
    """None is neither yes nor no."""
    told = begun()
    told.ask()
    told.reach_rung(0, 0.5)
    assert told.search.halts(0) is None


def test_optunas_pruner_says_the_same_after_a_restart() -> None:
    """Successive halving writes into trials what it saw; a rebuilt search has it again."""
    study = pruned_by("successive_halving")
    told = begun(study)
    for number in range(12):
        told.ask()
        told.search.report(number, 0, number / 12)
        told.search.halts(number)
        told.end(number, TrialState.PRUNED, number / 12)
    for search in (told.search, told.rebuilt(study)):
        asked, *_ = search.ask()
        search.accept(99, asked)
        search.report(99, 0, 0.9)
        assert search.halts(99)
        asked, *_ = search.ask()
        search.accept(100, asked)
        search.report(100, 0, -1.0)
        assert not search.halts(100)
