"""What to try first: which studies are of a kind, which of them speaks, and how a hint goes into another space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lrsweep.records import OptimizerSpec, Purpose, Status, StudyRow, SweepRow, TrialState, WorkloadFacts
from lrsweep.schedules import schedule
from lrsweep.selection.advice import Advised, Found, Kind, Past, advise, distance
from lrsweep.space import distributions_at, distributions_to_json, peak_lr_name
from lrsweep.store import MemoryStore
from lrsweep.study import ResolvedStudy
from lrsweep.study.specs import SearchSpec
from lrsweep.sweep.advising import advice_for, kind_of, pasts_in, peak_for, point_for
from lrsweep.sweep.stored import resolved_from
from lrsweep.sweep.warm_start import points_of, warm_start
from tests.sweeps import FACTS, a_complete_trial, a_study, a_training

KIND = Kind("acc+loss", horizon=600, batch_size=64, parameters=5_000, examples=1_000, data="d")
SGD = OptimizerSpec("sgd", {"momentum": 0.9, "weight_decay": 0.0})


def a_past(study: str = "old", kind: Kind = KIND, /, **costs: float) -> Past:
    found = tuple(
        Found(family, SGD, schedule(family).to_json(), 0.1, {}, cost, "val_loss", cost, n=3)
        for family, cost in sorted(costs.items(), key=lambda each: each[1])
    )
    return Past(study, "s", kind, found)


def families(advised: list[Advised]) -> list[str]:
    return [each.found.family for each in advised]


# ── of a kind ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ({}, 0.0),
        ({"horizon": 6_000}, 1.0),
        ({"parameters": 500, "batch_size": 640}, 2.0),
        ({"parameters": None}, 1.0),
        ({"horizon": 60_001}, None),
        ({"task": "loss+perplexity"}, None),
    ],
)
def test_distance_is_in_powers_of_ten_and_ends_at_a_hundredfold(
    changes: Mapping[str, Any], apart: float | None
) -> None:
    """An unknown size counts as a tenfold one; another task is no relative at all."""
    found = distance(KIND, replace(KIND, **changes))
    assert found == (None if apart is None else pytest.approx(apart))


def test_a_kind_that_nobody_knows_is_like_nothing() -> None:
    """Not even like itself: two workloads that say nothing have nothing in common."""
    assert distance(replace(KIND, task=""), replace(KIND, task="")) is None


# ── who speaks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_best_of_a_study_comes_first() -> None:
    """0 is the best, 1 the middle of the three, 3 the most that one study says against a family."""
    found = advise(KIND, [a_past(cosine=0.2, linear=0.3, constant=0.9)])
    assert [(each.found.family, each.place, round(each.score, 9)) for each in found] == [
        ("cosine", 1, 0.0),
        ("linear", 2, 1.0),
        ("constant", 3, 3.0),
    ]


def test_nearer_studies_count_for_more_and_give_the_point() -> None:
    """Two studies disagree: at ten times the horizon one counts half, and its rate is not the one that is advised."""
    far = a_past("far", replace(KIND, horizon=6_000), cosine=0.5, linear=0.1, rex=0.3)
    near = a_past("near", cosine=0.1, linear=0.5, rex=0.3)
    found = advise(KIND, [near, far])
    assert families(found) == ["cosine", "rex", "linear"]
    assert {each.past.study for each in found} == {"near"}
    assert {each.studies for each in found} == {2}
    [cosine] = [each for each in found if each.found.family == "cosine"]
    assert cosine.score == pytest.approx((1 * 0 + 0.5 * 2) / 1.5)


def test_of_two_that_are_as_near_the_newer_one_speaks_and_the_same_data_before_both() -> None:
    """Pasts come oldest first."""
    old, new = a_past("old", cosine=0.1), a_past("new", cosine=0.1)
    assert advise(KIND, [old, new])[0].past.study == "new"
    other_data = a_past("other", replace(KIND, data="e"), cosine=0.1)
    longer = a_past("longer", replace(KIND, horizon=1_200), cosine=0.1)
    assert advise(KIND, [longer, other_data])[0].past.study == "longer"


def test_one_lucky_seed_does_not_speak_before_several() -> None:
    """The newer study has the same sizes and no finals; three times the horizon is nearer than that, ten times not."""
    lucky = replace(a_past("new", cosine=0.1), found=tuple(replace(each, n=1) for each in a_past(cosine=0.1).found))
    assert advise(KIND, [a_past("old", cosine=0.2), lucky])[0].past.study == "old"
    assert advise(KIND, [a_past("old", replace(KIND, horizon=1_800), cosine=0.2), lucky])[0].past.study == "old"
    assert advise(KIND, [a_past("old", replace(KIND, horizon=6_000), cosine=0.2), lucky])[0].past.study == "new"


def test_nothing_of_a_kind_is_no_advice() -> None:
    """A study without a value says nothing either."""
    assert advise(KIND, [a_past("words", replace(KIND, task="loss+perplexity"), cosine=0.1), a_past()]) == []


# ── from the store into a space ──────────────────────────────────────────────────────────────────────────────────────

KNOWN = replace(FACTS, metrics={"loss": "minimize", "acc": "maximize"}, parameters=4_810, examples_per_epoch=1_152)


def a_known_study(name: str = "old", *, facts: WorkloadFacts = KNOWN, **given: Any) -> ResolvedStudy:
    return replace(a_study(**given), name=name, facts=facts)


class Home:
    """A store in which studies have been run."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def ran(self, study: ResolvedStudy, values: Mapping[str, float], finals: Mapping[int, float] | None = None) -> None:
        """A trial of each family at a peak of 0.1 under SGD, and finals by the trials' numbers."""
        lease = self.store.acquire_lease(study.name, "a test", seconds=600)
        self.begun(lease, study)
        for number, (family, value) in enumerate(values.items()):
            params = {"family": family, "optimizer": "sgd", peak_lr_name(family, "sgd"): 0.1}
            trial = a_complete_trial(number, value, study=study.name, sweep_id=f"sweep-{study.name}", params=params)
            at = distributions_to_json(distributions_at(params, study))
            running = replace(trial, distributions=at, state=TrialState.RUNNING, value=None)
            self.store.add_trial(lease, running, [])
            # told as a driver would, but without trainings, of which nothing here is asked
            self.store._tables.trials[study.name, number] = replace(running, state=TrialState.COMPLETE, value=value)
        for number, value in (finals or {}).items():
            for seed in range(3):
                row = a_training(number, 1, value=value + seed / 1000, training_id=f"{study.name}-{number}-{seed}")
                self.store._tables.trainings[row.training_id] = replace(
                    row, study=study.name, sweep_id=f"sweep-{study.name}", seed=seed, purpose=Purpose.FINAL
                )
        self.store.release_lease(lease)

    def begun(self, lease: Any, study: ResolvedStudy) -> SweepRow:
        self.store.register_study(lease, StudyRow(study.name, study.meaning, study.generation, study.spec()))
        return self.store.create_sweep(lease, SweepRow(f"sweep-{study.name}", study.name, study.generation))

    def begins(self, study: ResolvedStudy) -> Any:
        lease = self.store.acquire_lease(study.name, "a test", seconds=600)
        return warm_start(self.store, lease, study, self.begun(lease, study))


def test_a_kind_comes_back_from_the_store() -> None:
    """What a study knows of its sizes is kept with it."""
    study = a_known_study()
    row = StudyRow(study.name, study.meaning, study.generation, study.spec())
    assert kind_of(resolved_from(row)) == kind_of(study) == Kind("acc+loss", 90, 64, 4_810, 1_152, "d")


def test_a_study_of_an_earlier_release_that_kept_no_kind_is_like_nothing() -> None:
    """Its metrics are not known."""
    study = a_known_study(facts=FACTS)
    assert "kind" not in study.spec()
    assert advice_for(study, Home().store) == []
    assert kind_of(study).task == ""


def test_finals_speak_before_the_search_and_who_reached_none_stands_behind_them() -> None:
    """The search liked linear best, the finals cosine; the constant's lucky value says less than the last final's."""
    home = Home()
    home.ran(
        a_known_study(families=("cosine", "linear", "constant")),
        {"cosine": 0.30, "linear": 0.10, "constant": 0.05},
        finals={0: 0.2, 1: 0.4},
    )
    [past] = pasts_in(home.store, kind_of(a_known_study()))
    assert [(each.family, each.n) for each in past.found] == [("cosine", 3), ("linear", 3), ("constant", 1)]
    assert past.found[2].cost > past.found[1].cost
    assert past.found[0].value == pytest.approx(0.201)
    assert [each.metric for each in past.found] == ["val_loss", "val_loss", "val_loss"]


def test_who_diverges_more_often_is_no_better_hint() -> None:
    """Cosine's one seed that came through is better than all of linear's; two of its three did not."""
    home = Home()
    home.ran(a_known_study(families=("cosine", "linear")), {"cosine": 0.3, "linear": 0.3}, finals={0: 0.2, 1: 0.3})
    for seed in (1, 2):
        rows = home.store._tables.trainings
        rows[f"old-0-{seed}"] = replace(rows[f"old-0-{seed}"], status=Status.DIVERGED, metrics={})
    found = advice_for(a_known_study("new", families=("cosine", "linear")), home.store)
    assert [(each.found.family, each.place, each.found.n, each.found.diverged) for each in found] == [
        ("linear", 1, 3, 0),
        ("cosine", 2, 1, 2),
    ]


def test_a_study_that_cannot_be_read_keeps_nobody_from_beginning() -> None:
    """Another release shares the database, and has a setting that this one has never heard of."""
    home = a_home()
    home.ran(a_known_study("other", families=("rex",)), {"rex": 0.2})
    rows = home.store._tables.studies
    for key, row in list(rows.items()):
        if row.name == "other":
            rows[key] = replace(row, spec={**row.spec, "selection": {"unheard_of": 1}})
    found = advice_for(a_known_study("new", families=("cosine", "linear", "rex")), home.store)
    assert families(found) == ["linear", "cosine"]


def test_the_peak_goes_over_by_the_horizons_and_stays_in_the_range() -> None:
    """The root of a ninth under SGD: 0.1 at 90 steps is 0.0333 at 810; an end of the range is as far as it goes."""
    home = Home()
    home.ran(a_known_study(families=("cosine",)), {"cosine": 0.3})
    new = a_known_study("new", families=("cosine",), horizon=810)
    [advised] = advice_for(new, home.store)
    assert peak_for(new, advised) == pytest.approx(0.1 / 3)
    assert point_for(new, advised) == {
        "family": "cosine",
        "optimizer": "sgd",
        "cosine.sgd.peak_lr": pytest.approx(0.1 / 3),
    }
    narrow = a_known_study("new", families=("cosine",), horizon=810, peak_lr={"sgd": (0.05, 1.0), "adamw": (0.1, 1.0)})
    assert point_for(narrow, advised) == {"family": "cosine", "optimizer": "sgd", "cosine.sgd.peak_lr": 0.05}
    assert point_for(a_known_study("new", families=("linear",)), advised) is None
    assert point_for(a_known_study("new", families=("cosine",), optimizers=("adamw",)), advised) is None


# ── what a new sweep does with it ────────────────────────────────────────────────────────────────────────────────────


def a_home() -> Home:
    home = Home()
    home.ran(a_known_study(families=("cosine", "linear")), {"cosine": 0.3, "linear": 0.1})
    return home


def test_a_new_study_first_tries_what_its_kind_has_found() -> None:
    """At most a fifth of its trials, here two of ten; it says whose they are, and how to do without."""
    home = a_home()
    began = home.begins(a_known_study("new", families=("cosine", "linear"), trials=10))
    assert [point["family"] for point in points_of(began.sweep)] == ["linear", "cosine"]
    assert "the search first tries 2 points that studies of the same kind found good (old)" in str(began)
    assert "search.advice = false" in str(began)
    few = a_home().begins(a_known_study("new", families=("cosine", "linear"), trials=5))
    assert [point["family"] for point in points_of(few.sweep)] == ["linear"]


def test_a_study_that_wants_no_advice_gets_none() -> None:
    """Nor one of another kind."""
    alone = replace(a_known_study("new", families=("cosine", "linear")), search=SearchSpec(advice=False))
    assert points_of(a_home().begins(alone).sweep) == ()
    other = a_known_study("new", facts=replace(KNOWN, metrics={"loss": "minimize"}), families=("cosine", "linear"))
    assert str(a_home().begins(other)) == ""


def test_what_the_study_itself_has_found_comes_before_others() -> None:
    """Under another meaning of its own: its points, not theirs."""
    home = a_home()
    home.ran(a_known_study("mine", families=("cosine", "linear"), horizon=300), {"cosine": 0.1})
    lease = home.store.acquire_lease("mine", "a test", seconds=600)
    changed = a_known_study("mine", families=("cosine", "linear"), horizon=270)
    home.store.register_study(lease, StudyRow("mine", changed.meaning, changed.generation, changed.spec()))
    sweep = home.store.create_sweep(lease, SweepRow("second", "mine", changed.generation))
    began = warm_start(home.store, lease, changed, sweep)
    assert (began.advisers, [point["family"] for point in points_of(began.sweep)]) == ((), ["cosine"])
