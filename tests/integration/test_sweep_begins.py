"""How a sweep begins: the baseline has its first number, whatever is copied or imported before the search asks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrsweep.records import Origin, Status, StudyRow, SweepRow, SweepStatus, TrainingPlan, TrialState
from lrsweep.schedules import schedule
from lrsweep.study import Baseline, BudgetSpec, ResolvedStudy, SelectionSpec
from lrsweep.sweep import baseline, finals
from lrsweep.sweep.beginning import continued_or_new, is_over, newest_sweep, resolved_in, used_up
from lrsweep.sweep.exponents import FITTED_KEY
from lrsweep.sweep.importing import Stranger, import_trials
from lrsweep.sweep.recovery import recovered
from lrsweep.sweep.search import TRIAL_ATTRIBUTE
from lrsweep.sweep.warm_start import original_of
from tests.history import assert_history
from tests.scripted import Bench, End, completed, diverged
from tests.sweeps import a_study

INSIDE = Baseline(schedule("rex"), 0.2, "sgd")
BESIDE = Baseline(schedule("exponential"), 0.2, "sgd")


def a_space(*families: str, **changes: object) -> ResolvedStudy:
    none = SelectionSpec(finalists=0)
    return replace(a_study(families=families, optimizers=("sgd",), trials=6), selection=none, **changes)  # type: ignore[arg-type]


def begin(bench: Bench, study: ResolvedStudy) -> SweepRow:
    """As ``run_sweep`` does; the study is then with what the sweep has frozen."""
    row = StudyRow(study.name, study.meaning, study.generation, study.spec())
    bench.store.register_study(bench.lease, row)
    found = newest_sweep(bench.store, study)
    bench.sweep = continued_or_new(bench.store, bench.lease, study, found, "never", bench.said.append)
    bench.study = resolved_in(bench.sweep, study)
    return bench.sweep


def a_driven_sweep() -> Bench:
    """Of another space and the same meaning, without a baseline; it is finished."""
    bench = Bench(a_space("cosine", "linear"))
    begin(bench, bench.study)
    bench.drive()
    bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    return bench


@pytest.mark.parametrize("given", [INSIDE, BESIDE])
def test_the_baseline_has_its_number_before_what_is_copied(given: Baseline) -> None:
    """It waits for the driver, which trains it first and once; copies come after it."""
    bench = a_driven_sweep()
    begin(bench, a_space("cosine", "rex", baseline=given))
    first, *others = bench.trials
    assert (first.origin, first.state, first.number) == (Origin.BASELINE, TrialState.RUNNING, 6)
    assert others
    assert {trial.origin for trial in others} == {Origin.COPIED}
    executor = bench.drive()
    assert executor.begun[0].schedule.family == given.schedule.family
    origins = [trial.origin for trial in bench.trials]
    assert (origins.count(Origin.BASELINE), origins.count(Origin.SEARCH)) == (1, 5)
    assert [row.horizon for row in bench.trainings(6)] == [30, 90]
    assert_history(bench.store, bench.study.name)


def test_its_first_training_goes_by_the_exponents_that_the_sweep_has_frozen() -> None:
    """A quarter, as the sweep before has measured it; the optimizer's default is a half."""
    bench = a_driven_sweep()
    fit = {"exponent": 0.25, "interval": [0.2, 0.3], "trials": [], "refused": []}
    bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, settings={FITTED_KEY: {"sgd": fit}})
    begin(bench, a_space("cosine", baseline=BESIDE))
    [row] = bench.trainings()
    assert row.rate_scale == pytest.approx(3**0.25)


@pytest.mark.parametrize(("given", "known"), [(INSIDE, 1), (BESIDE, 0)])
def test_beside_the_space_optuna_is_not_told_of_it(given: Baseline, known: int) -> None:
    """Of a baseline in the space it is asked like any other, and the copies are known in either case."""
    bench = a_driven_sweep()
    begin(bench, a_space("cosine", "rex", baseline=given))
    state = recovered(bench.study, bench.sweep, bench.store, bench.lease, takes=2)
    assert state.search.knows(6) is bool(known)
    finished = [trial for trial in state.search._optuna.trials if trial.state.is_finished()]
    assert len(finished) == len(bench.trials) - 1
    assert len(state.search._optuna.trials) == len(finished) + known


def test_a_driver_that_dies_between_the_baseline_and_the_copies_loses_neither() -> None:
    """The next one copies what is missing, and adds no second baseline."""
    bench = a_driven_sweep()
    study = a_space("cosine", "rex", baseline=INSIDE)
    bench.store.register_study(bench.lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
    sweep = bench.store.create_sweep(bench.lease, SweepRow("died", study.name, study.generation))
    baseline.put_first(bench.store, bench.lease, study, sweep)
    assert begin(bench, study).sweep_id == "died"
    origins = [trial.origin for trial in bench.trials]
    assert origins[0] is Origin.BASELINE
    assert set(origins[1:]) == {Origin.COPIED}
    again = list(bench.trials)
    begin(bench, study)
    assert bench.trials == again


def test_the_baseline_is_trial_0_of_a_study_that_begins_with_an_import() -> None:
    """Strangers come after it. Into a sweep that has a baseline, or has finished, another import puts none."""
    study = a_space("cosine", "rex", baseline=BESIDE)
    bench = Bench(study)
    bench.store.remove_trials(bench.lease, bench.sweep.sweep_id, [])  # a study that never ran has no sweep

    def bring(name: str) -> None:
        stranger = Stranger(name, {"family": "cosine", "optimizer": "sgd", "lr": 0.1}, 0.5)
        import_trials(bench.store, bench.lease, study, [stranger], "minimize", same_metric=True)

    bring("optuna:theirs#0")
    begin(bench, study)
    bring("optuna:theirs#1")
    assert [trial.origin for trial in bench.trials] == [Origin.BASELINE, Origin.FOREIGN, Origin.FOREIGN]
    assert bench.trials[0].number == 0

    def script(plan: TrainingPlan) -> End:
        return completed(plan, 9.0 if plan.schedule.family == "exponential" else None)

    bench.drive(script)
    assert bench.trials[0].value == 9.0
    assert [row.status for row in bench.trainings(0)] == [Status.COMPLETED] * 2
    bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    bring("optuna:theirs#2")
    assert [trial.origin for trial in bench.trials].count(Origin.BASELINE) == 1
    assert_history(bench.store, study.name)


def test_a_copy_that_was_halted_at_a_later_rung_is_known_there() -> None:
    """Rungs of 30, 90 and 270 steps: two are halted at the second, where trial 3 diverges, and two at the first. A copy
    whose original was removed is known at the first."""
    study = replace(a_space("cosine", "linear"), horizon=270)
    bench = Bench(study)
    old = begin(bench, study)

    def script(plan: TrainingPlan) -> End:
        row = bench.store.training(plan.training_id)
        if (row.trial, row.rung) == (3, 1):
            return diverged(plan)
        at_first = 2.0 if row.trial >= 4 else 1.0 - 0.1 * row.trial
        return completed(plan, (at_first, 0.1 * row.trial, 0.1)[row.rung])

    bench.drive(script)
    bench.store.update_sweep(bench.lease, bench.sweep.sweep_id, status=SweepStatus.FINISHED)
    begin(bench, replace(study, space=replace(study.space, families=("cosine", "linear", "rex"))))
    halted = {1: "{3: 0.1}", 2: "{3: 0.2}", 3: "{3: nan}", 4: "{1: 2.0}", 5: "{1: 2.0}"}
    assert known_rungs(bench) == {0: "{}", **halted}
    bench.store.remove_trials(bench.lease, old.sweep_id, [2])
    assert known_rungs(bench) == {0: "{}", **halted, 2: "{1: 0.2}"}


def known_rungs(bench: Bench) -> dict[int, str]:
    """By the number of its original, what Optuna knows of a copy's rungs; NaN is equal to itself as text."""
    state = recovered(bench.study, bench.sweep, bench.store, bench.lease, takes=2)
    copies = {row.number: original_of(row) for row in bench.trials}
    known = [trial for trial in state.search._optuna.trials if trial.state.is_finished()]
    return {copies[trial.user_attrs[TRIAL_ATTRIBUTE]]: repr(trial.intermediate_values) for trial in known}


def test_another_baseline_is_trained_when_the_search_goes_on() -> None:
    """What the user runs has changed: finalists are compared with the new one, and the old one stays a trial."""
    study = a_space("cosine", "linear", baseline=INSIDE)
    bench = Bench(study)
    begin(bench, study)
    bench.drive()
    another = replace(study, baseline=replace(INSIDE, peak_lr=0.02), trials=8)
    begin(bench, another)
    bench.drive()
    baselines = [trial for trial in bench.trials if trial.origin is Origin.BASELINE]
    assert [trial.number for trial in baselines] == [0, 6]
    assert 0.02 in baselines[1].params.values()
    assert (
        finals.plan(replace(another, total_steps=100 * 90, selection=SelectionSpec()), bench.trials, []).trials[1] == 6
    )
    begin(bench, replace(another, trials=9))
    bench.drive()
    assert [trial.origin for trial in bench.trials].count(Origin.BASELINE) == 2


@pytest.mark.parametrize("budget", [BudgetSpec(trials=6), BudgetSpec(trainings=6)])
def test_more_seeds_of_the_finals_continue_a_finished_sweep(budget: BudgetSpec) -> None:
    """Whatever the budget is written in; the same file again is over."""
    study = replace(a_space("cosine"), budget=budget, selection=SelectionSpec(finalists=2, seeds=2))
    bench = Bench(study)
    sweep = begin(bench, study)
    bench.drive()
    finished = bench.store.update_sweep(
        bench.lease, sweep.sweep_id, status=SweepStatus.FINISHED, settings=used_up(bench.study)
    )
    assert is_over(bench.store, finished, study)
    assert not is_over(bench.store, finished, replace(study, selection=SelectionSpec(finalists=2, seeds=4)))


def test_a_stopped_sweep_that_was_cancelled_ends_as_cancelled() -> None:
    """The wish came while nobody drove it; the next `lrsweep run` keeps it, whichever sweep it drives. One that was
    stopped and not cancelled stays stopped."""
    bench = a_driven_sweep()
    for sweep in ("stopped", "wished"):
        bench.store.create_sweep(bench.lease, SweepRow(sweep, bench.study.name, bench.study.generation))
        bench.store.update_sweep(bench.lease, sweep, status=SweepStatus.STOPPED)
    bench.store.ask_to_cancel("wished")
    new = begin(bench, bench.study)
    by_id = {sweep.sweep_id: sweep.status for sweep in bench.store.sweeps(bench.study.name)}
    assert (by_id["stopped"], by_id["wished"]) == (SweepStatus.STOPPED, SweepStatus.CANCELLED)
    assert by_id[new.sweep_id] is SweepStatus.RUNNING
    assert new.sweep_id not in ("stopped", "wished")
    assert bench.said[-1] == "the last sweep was cancelled: this is a new one; the earlier results stay"
