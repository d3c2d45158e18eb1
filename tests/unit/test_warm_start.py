"""What a new sweep takes over: copies where the meaning is the same, points where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lrsweep.records import Origin, StudyRow, SweepRow, TrialRow, TrialState
from lrsweep.space import distributions_at, distributions_to_json
from lrsweep.store import MemoryStore
from lrsweep.study import ResolvedStudy
from lrsweep.sweep.search import Search
from lrsweep.sweep.warm_start import Earlier, WarmStart, best_points, points_of, warm_start
from tests.sweeps import a_complete_trial, a_study, a_trial

OLD = a_study(families=("cosine", "linear"))


class Home:
    """A store with one study under lease, whose meaning and space change."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.lease = self.store.acquire_lease("quick", "a test", seconds=600)

    def begin(self, study: ResolvedStudy, sweep_id: str) -> SweepRow:
        row = StudyRow(study.name, study.meaning, study.generation, study.spec())
        self.store.register_study(self.lease, row)
        return self.store.create_sweep(self.lease, SweepRow(sweep_id, study.name, study.generation))

    def add(self, study: ResolvedStudy, sweep_id: str, *trials: TrialRow) -> None:
        for trial in trials:
            at = distributions_to_json(distributions_at(trial.params, study))
            row = replace(trial, sweep_id=sweep_id, distributions=at, state=TrialState.RUNNING, value=None)
            self.store.add_trial(self.lease, row if trial.origin.counts else replace(trial, sweep_id=sweep_id), [])
            if trial.state is not TrialState.RUNNING and trial.origin.counts:
                # told as a driver would, but without trainings, of which nothing here is asked
                tables = self.store._tables
                tables.trials["quick", trial.number] = replace(row, state=trial.state, value=trial.value)

    def started(self, study: ResolvedStudy, sweep_id: str) -> WarmStart:
        return warm_start(self.store, self.lease, study, self.begin(study, sweep_id))

    def trials(self, sweep_id: str) -> Any:
        return self.store.trials("quick", sweep_id=sweep_id)


def of(family: str, rate: float) -> dict[str, Any]:
    return {"family": family, "optimizer": "sgd", f"{family}.sgd.peak_lr": rate}


def a_home() -> Home:
    """An old sweep: a good cosine, a halted one, a linear, a failed one, one that runs, and one imported."""
    home = Home()
    home.begin(OLD, "old")
    home.add(
        OLD,
        "old",
        a_complete_trial(0, 0.25, params=of("cosine", 0.1)),
        a_trial(1, params=of("cosine", 0.5), state=TrialState.PRUNED, value=0.5),
        a_complete_trial(2, 0.75, params=of("linear", 0.1)),
        a_trial(3, params=of("cosine", 0.2), state=TrialState.FAILED),
        a_trial(4, params=of("cosine", 0.2)),
        a_complete_trial(5, 0.1, params=of("cosine", 0.3), origin=Origin.FOREIGN, copied_from="optuna:x#1"),
    )
    return home


def test_of_another_space_the_trials_that_fit_are_copied_with_their_values() -> None:
    """Not a family that is searched no longer, nor too large a rate, a failure, or what others found."""
    home = a_home()
    new = a_study(families=("cosine", "rex"), peak_lr={"sgd": (0.01, 0.3), "adamw": (0.0001, 0.1)})
    began = home.started(new, "new")
    [row] = home.trials("new")
    assert (began.copied, began.points) == (1, 0)
    assert (row.number, row.origin, row.copied_from) == (6, Origin.COPIED, "trial 0")
    assert (row.state, row.value, row.params) == (TrialState.COMPLETE, 0.25, of("cosine", 0.1))
    assert home.store.trainings("quick", sweep_id="new") == []
    assert str(began) == "the search begins with 1 trial of the study's earlier space, outside the budget"


def test_the_search_knows_copies_and_asks_for_its_whole_budget_all_the_same() -> None:
    """A halted one too, with its value."""
    home = a_home()
    new = a_study(families=("cosine", "rex"), trials=4)
    home.started(new, "new")
    search = Search(new, home.store.trials("quick", generation=new.generation), {}, sweep_id="new")
    assert [trial.value for trial in search._optuna.trials] == [0.25, 0.5]
    assert search.ask()[1]["family"] == "rex"  # cosine has had its equal start


def test_nothing_is_copied_twice_nor_copies_of_copies() -> None:
    """A second sweep of the new space finds the first one's; a third space takes from who trained them."""
    home = a_home()
    new = a_study(families=("cosine", "rex"))
    assert home.started(new, "new").copied == 2
    assert home.started(new, "again").copied == 0
    third = a_study(families=("cosine", "wsd"))
    assert home.started(third, "third").copied == 2
    assert [row.copied_from for row in home.trials("third")] == ["trial 0", "trial 1"]


def test_a_value_that_was_pinned_and_is_searched_now_becomes_a_parameter() -> None:
    """The old trials had no warm-up; the new space begins there."""
    home = a_home()
    home.started(a_study(families=("cosine",), warmup=(0.0, 0.2)), "new")
    assert [row.params["warmup"] for row in home.trials("new")] == [0.0, 0.0]
    home = a_home()
    assert home.started(a_study(families=("cosine",), warmup=0.1), "new").copied == 0


def test_of_another_meaning_points_are_tried_and_no_value_is_taken() -> None:
    """Another horizon: the best of each family first. They are kept with the sweep."""
    home = a_home()
    new = a_study(families=("cosine", "linear"), horizon=300, trials=10)
    began = home.started(new, "new")
    assert (began.copied, began.points) == (0, 2)
    assert home.trials("new") == []
    points = points_of(home.store.sweep("new"))
    assert points == [of("cosine", 0.1), of("linear", 0.1)]
    search = Search(new, [], {}, sweep_id="new", points=points)
    assert [search.ask()[1] for _ in range(2)] == points
    assert "the search first tries the 2 best points of the study's earlier meaning" in str(began)


def test_points_take_a_fifth_of_the_budget_and_the_best_of_each_family_go_first() -> None:
    """Three of fifteen, although a second cosine is better than the only linear; larger is better here."""
    old = a_study(families=("cosine", "linear"), direction="maximize")
    trials = [
        a_complete_trial(number, value, params=of(family, rate))
        for number, (family, rate, value) in enumerate(
            [("cosine", 0.1, 0.9), ("cosine", 0.2, 0.8), ("linear", 0.1, 0.5), ("cosine", 0.3, 0.7)]
        )
    ]
    new = a_study(families=("cosine", "linear"), direction="maximize", horizon=300, trials=15)
    assert best_points(new, [Earlier(old, trials)]) == [of("cosine", 0.1), of("linear", 0.1), of("cosine", 0.2)]


def test_a_point_that_was_trained_twice_takes_one_place() -> None:
    """As a baseline is in each sweep: the place of its second goes to the next best."""
    old = a_study(families=("cosine", "linear"))
    trials = [
        a_complete_trial(number, value, params=of("cosine", rate))
        for number, (rate, value) in enumerate([(0.1, 0.25), (0.1, 0.25), (0.2, 0.5), (0.3, 0.75)])
    ]
    new = a_study(families=("cosine", "linear"), horizon=300, trials=10)
    assert best_points(new, [Earlier(old, trials)]) == [of("cosine", 0.1), of("cosine", 0.2)]


def test_trials_of_an_earlier_release_that_lack_a_setting_are_left_out_and_counted() -> None:
    """It drew no cooldown; the sweep begins all the same, with the others, in both ways of taking over."""
    old = a_study(families=("wsd", "cosine"))
    for new, copied, points in (
        (a_study(families=("cosine", "wsd", "rex")), 1, 0),
        (a_study(families=("cosine", "wsd"), horizon=300, trials=10), 0, 1),
    ):
        home = Home()
        home.begin(old, "old")
        home.add(old, "old", a_complete_trial(0, 0.25, params=of("cosine", 0.1)))
        whole = replace(a_complete_trial(1, 0.1), params=of("wsd", 0.1), sweep_id="old")
        home.store._tables.trials["quick", 1] = whole  # as the earlier release wrote it
        began = home.started(new, "new")
        assert (began.copied, began.points, began.unknown) == (copied, points, 1)
        assert "1 trial of an earlier release left out" in str(began)
