"""What is said out of counts and a few rows is what all rows say: families, who leads, rungs, the choice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lrsweep.findings.choosing import choose_of, results_of
from lrsweep.findings.extracted import calibrating_in, ends_of, families_in, leading_rows, told_in
from lrsweep.findings.look import standing_in, standing_of
from lrsweep.findings.reading import generation_of
from lrsweep.records import Origin, TrainingPlan, TrialState
from lrsweep.schedules import schedule
from lrsweep.selection import Ends, by_family
from lrsweep.study import Baseline, ResolvedStudy
from lrsweep.study.budgets import CALIBRATION_EVERY
from lrsweep.sweep.finals import standings
from lrsweep.sweep.halting import calibrates, calibrating_numbers
from lrsweep.sweep.progress import leading
from lrsweep.sweep.trust import calibrating, rung_trusts
from tests.looked import a_driven_bench
from tests.promoted import STUDY, noisy
from tests.scripted import Bench, diverged, failed
from tests.sweeps import a_complete_trial, a_study, a_trial


def ended(plan: TrainingPlan) -> Any:
    """Some fail, some diverge; the others are noisy."""
    end = failed if plan.seed % 11 == 0 else diverged if plan.peak_lr > 0.3 else noisy
    return end(plan)


FINALS = replace(
    a_study(trials=40, families=("cosine", "linear", "wsd", "exponential"), optimizers=("sgd",)),
    total_steps=40 * (30 + 90) + 2 * 3 * 90,
    selection=STUDY.selection,
)
BASED = replace(a_study(trials=30), baseline=Baseline(schedule("cosine"), 0.07, "sgd"))
LARGER = a_study(trials=30, direction="maximize")


def driven(study: ResolvedStudy) -> Bench:
    """With a trial that runs, and one that was copied and is better than all."""
    bench = a_driven_bench(study, ended)
    best = 1000.0 if study.direction == "maximize" else -1000.0
    bench.store.add_trial(bench.lease, a_trial(800, sweep_id="sweep-1"), [])
    bench.store.add_trial(bench.lease, a_complete_trial(801, best, sweep_id="sweep-1", origin=Origin.COPIED), [])
    return bench


@pytest.mark.parametrize("study", [FINALS, BASED, LARGER], ids=["finals", "baseline", "larger is better"])
def test_counts_say_what_the_rows_say(study: ResolvedStudy) -> None:
    """Families in their order with their bests, how trials ended, who leads, the finals and the rungs' correlations."""
    bench = driven(study)
    store, sweep = bench.store, bench.store.sweep("sweep-1")
    trials, trainings = store.trials("quick"), store.trainings("quick")
    counts = store.extracts.trial_counts("sweep-1")
    assert families_in(store, sweep, counts, study.sense) == by_family(trials, study.sense)
    assert ends_of(counts) == Ends.of(by_family(trials))
    assert told_in(counts) == sum(trial.is_told and trial.origin.counts for trial in trials)
    some, finals = leading_rows(store, sweep, counts, study.sense)
    assert len(some) < len(trials)
    assert leading(some, finals, study) == leading(trials, trainings, study)
    assert standings(study, some, finals) == standings(study, trials, trainings)
    row = generation_of(store, sweep)
    assert standing_in(store, sweep, row, counts, None) == standing_of(sweep, row, trials, trainings, None)
    steady, theirs = calibrating_in(store, "quick", {"sweep-1": counts})
    assert steady == calibrating(trials) != []
    assert rung_trusts(study, steady, theirs) == rung_trusts(study, calibrating(trials), trainings)


@pytest.mark.parametrize("most", [1, 2, 3, 1000])
def test_rungs_are_judged_by_the_first_calibrating_trials_alone(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Also out of counts, which read so many at a time; a trial that runs takes no place of one that was told."""
    bench = driven(BASED)
    store = bench.store
    store.add_trial(bench.lease, a_complete_trial(900, 0.5, sweep_id="sweep-1", origin=Origin.BASELINE), [])
    trials, trainings = store.trials("quick"), store.trainings("quick")
    whole = rung_trusts(BASED, calibrating(trials), trainings)
    first = calibrating(trials)[0]
    store._tables.trials["quick", first.number] = replace(first, state=TrialState.RUNNING, value=None)
    for module in ("lrsweep.findings.extracted", "lrsweep.sweep.trust"):
        monkeypatch.setattr(f"{module}.MOST_CALIBRATING", most)
    of = {"sweep-1": store.extracts.trial_counts("sweep-1")}
    trusts = rung_trusts(BASED, calibrating(store.trials("quick")), trainings)
    assert rung_trusts(BASED, *calibrating_in(store, "quick", of)) == trusts
    assert (trusts == whole) == (most >= 3)
    assert {each.n for each in trusts} <= {*range(most + 1)}
    assert calibrating_in(store, "quick", {"sweep-2": of["sweep-1"]}) == ([], [])


def test_a_baseline_calibrates_where_no_number_was_drawn_yet() -> None:
    """Of a generation that begins at 14, the turn's number is 11."""
    study = next(f"quick{each}" for each in range(99) if calibrating_numbers(f"quick{each}", 19)[1] in (11, 12))
    bench = Bench(replace(a_study(), name=study))
    for number, origin in ((14, Origin.BASELINE), (15, Origin.SEARCH)):
        trial = a_complete_trial(number, 0.5, study=study, sweep_id="sweep-1", origin=origin)
        bench.store.add_trial(bench.lease, trial, [])
    of = {"sweep-1": bench.store.extracts.trial_counts("sweep-1")}
    trials, _ = calibrating_in(bench.store, study, of)
    assert trials == calibrating(bench.store.trials(study)) != []


def test_a_choice_needs_no_more_of_the_search_than_its_best_and_the_finalists_other_peaks() -> None:
    """The choice of a part of the rows is the choice of all, to the last figure."""
    bench = driven(FINALS)
    part, whole = (results_of(bench.store, "quick", is_whole=each) for each in (False, True))
    assert part.finals == whole.finals != ()
    assert 0 < len(part.searched) < len(whole.searched)
    ours, theirs = (choose_of(each, "quick", worth=0.1).to_json() for each in (part, whole))
    assert ours == theirs
    assert (part.seconds, part.trainings, part.picked) == (whole.seconds, whole.trainings, whole.picked)


def test_where_this_release_cannot_read_the_best_trial_all_of_the_search_is_read() -> None:
    """Its point names a setting that is not there any more: the next best is the argmin."""
    bench = driven(FINALS)
    best = min((row for row in bench.trials if row.origin.counts and row.value is not None), key=lambda row: row.value)
    lost = {name: value for name, value in best.params.items() if not name.endswith("peak_lr")}
    bench.store._tables.trials["quick", best.number] = replace(best, params=lost)
    part, whole = (results_of(bench.store, "quick", is_whole=each) for each in (False, True))
    assert part == whole
    assert choose_of(part, "quick", worth=None).argmin.value > best.value


def test_the_numbers_that_calibrate_are_known_without_their_rows() -> None:
    """One of each ten, as ``calibrates`` says of a row."""
    numbers = calibrating_numbers("quick", 499)
    assert len(numbers) == 500 / CALIBRATION_EVERY
    assert numbers == [number for number in range(500) if calibrates(a_trial(number))]
