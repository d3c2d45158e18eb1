"""The race of a sweep's finalists, round by round; by rows made by hand. What it claims by chance is simulated in
test_racing_simulated.py."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lrsweep.records import Origin, Purpose, Status, TrainingRow, TrialRow
from lrsweep.selection.comparing import ALPHA
from lrsweep.selection.racing import OUT, Ended, planned_alpha
from lrsweep.study import BudgetSpec, ResolvedStudy, SelectionSpec
from lrsweep.sweep.finals import plan, standings
from lrsweep.sweep.race import Step, closed, evened, step, to_order
from lrsweep.sweep.race_state import RaceState
from tests.sweeps import a_complete_trial, a_study, a_training

STUDY = replace(a_study(), budget=BudgetSpec(trainings=100), total_steps=9_000)
"""A budget of 100 trainings of 90 updates."""
TRIALS = [
    a_complete_trial(0, 0.5, family="cosine"),
    a_complete_trial(1, 0.3, family="linear"),
    a_complete_trial(2, 0.2, family="rex"),
    a_complete_trial(3, 0.6, family="step"),
]
SPREAD = (0.0, 1.0, -1.0, 0.5, -0.5, 0.8, -0.8)
"""Of a seed, by its place."""

Value = Callable[[int, int], float | None]
"""Of a trial and the place of its seed; None: it diverges."""


def with_means(**means: float) -> Value:
    """By family; the spread of the seeds is the same for all, and each trial has them in an order of its own."""
    by_trial = {trial.number: means.get(str(trial.params["family"]), 0.0) for trial in TRIALS}
    return lambda trial, place: by_trial[trial] + SPREAD[(place * (trial + 1)) % len(SPREAD)]


@dataclass
class Played:
    """A race that is led round by round, from the rows and the kept state alone."""

    left: int
    """trainings for finals"""
    value: Value
    study: ResolvedStudy = STUDY
    trials: Sequence[TrialRow] = tuple(TRIALS)
    state: RaceState | None = None
    rows: list[TrainingRow] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def step(self) -> Step:
        searched = [a_training(0, value=0.5, steps=self.study.total_steps - self.left * 90)]
        found = step(self.study, self.trials, [*searched, *self.rows], self.state)
        self.state = None if found.state is None else RaceState.from_json(json.loads(json.dumps(found.state.to_json())))
        assert self.state == found.state
        self.said += found.said
        return found

    def to_the_end(self, **changes: Any) -> Played:
        while rows := self.step().rows:
            self.rounds.append(len(rows))
            self.rows += [replace(self._ended(row), **changes) for row in rows]
            assert len(self.rounds) < 20
        return self

    def _ended(self, row: TrainingRow) -> TrainingRow:
        assert self.state is not None
        value = self.value(row.trial, self.state.seeds.index(row.seed))
        if value is None:
            return replace(row, status=Status.DIVERGED, steps=90, attempt=1)
        return replace(row, status=Status.COMPLETED, steps=90, attempt=1, metrics={"decide_loss": value})

    @property
    def seeds(self) -> dict[int, int]:
        return dict(Counter(row.trial for row in self.rows))

    @property
    def ended(self) -> Ended | None:
        assert self.state is not None
        return self.state.ended

    @property
    def wrongly(self) -> float:
        """What all looks so far may have claimed wrongly."""
        assert self.state is not None
        return self.state.spent_now


# ── a plan ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_begin_with_the_same_three_seeds_and_the_looks_are_settled() -> None:
    """40 trainings: after three of each of four 28 are left, which would give two of them 17."""
    race = Played(40, with_means())
    found = race.step()
    assert Counter(row.trial for row in found.rows) == {0: 3, 1: 3, 2: 3, 3: 3}
    assert len({row.seed for row in found.rows}) == 3
    assert race.state is not None
    assert race.state.at == (3, 5, 7, 11, 17)
    stored = race.state.to_json()
    assert stored["looks"] == 5
    assert stored["alpha"] == pytest.approx((1 - OUT) * planned_alpha())
    assert stored["ended"] is None
    assert race.said == [
        "the search has ended; 4 finalists are trained with 3 fresh seeds each, and those that are still open to be "
        "best with up to 17"
    ]


def test_who_wants_more_seeds_at_least_gets_them_at_once() -> None:
    """``selection.seeds`` is 6: nobody is compared before."""
    race = Played(40, with_means(), study=replace(STUDY, selection=SelectionSpec(seeds=6)))
    assert Counter(row.trial for row in race.step().rows) == {0: 6, 1: 6, 2: 6, 3: 6}


def test_a_budget_for_one_look_gives_all_as_many_seeds_as_it_pays_for() -> None:
    """Two finalists and eight trainings: four each, and nothing is kept for sending anybody home."""
    race = Played(8, with_means(), trials=TRIALS[:2]).to_the_end()
    assert race.seeds == {0: 4, 1: 4}
    assert race.state is not None
    assert (race.state.to_json()["looks"], race.state.to_json()["alpha"]) == (1, planned_alpha())
    assert race.said == ["the search has ended; 2 finalists are trained with 4 fresh seeds each"]


# ── rounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clear_winner_ends_it_and_what_was_saved_is_said() -> None:
    """A hundred deviations ahead of all: shown after three seeds each."""
    race = Played(40, with_means(cosine=-100.0)).to_the_end()
    assert race.seeds == {0: 3, 1: 3, 2: 3, 3: 3}
    assert race.ended is Ended.WINNER
    assert race.said[-1] == "the finals end: a winner is shown, after 3 seeds each; 28 trainings were not needed"
    assert race.step().rows == ()


def test_equal_finalists_share_the_budget_to_its_end() -> None:
    """Nobody is sent home: all have the same seeds, and less than one each is left."""
    race = Played(40, with_means()).to_the_end()
    assert race.ended is Ended.BUDGET
    assert set(race.seeds.values()) == {10}
    seeds = {frozenset(row.seed for row in race.rows if row.trial == trial) for trial in race.seeds}
    assert len(seeds) == 1


def test_two_that_are_near_get_what_the_others_do_not_need() -> None:
    """The other two are far behind, and sent home with three or five seeds; they stay in the standings."""
    race = Played(40, with_means(rex=50.0, step=60.0)).to_the_end()
    assert race.state is not None
    assert set(race.state.out) == {2, 3}
    assert race.seeds[0] == race.seeds[1] >= 15
    assert max(race.seeds[2], race.seeds[3]) <= 5
    going_on = [sentence for sentence in race.said if "go on, with" in sentence]
    assert len(set(going_on)) == len(going_on) == len(race.rounds) - 1
    assert any("trial 2 (rex)" in sentence and "shown to be worse" in sentence for sentence in race.said)
    assert {each.trial for each in standings(STUDY, TRIALS, race.rows)} == {0, 1, 2, 3}
    assert sum(race.seeds.values()) <= 40
    first = [[row.seed for row in race.rows if row.trial == trial][:3] for trial in range(4)]
    assert first == [first[0]] * 4


def test_one_that_always_diverges_is_sent_home_and_never_averaged() -> None:
    """Fisher's test needs a few seeds to say so; its trainings are counted beside the means."""

    def value(trial: int, place: int) -> float | None:
        return None if trial == 3 else with_means()(trial, place)

    race = Played(60, value).to_the_end()
    assert race.state is not None
    assert race.state.out == (3,)
    assert race.seeds[3] < race.seeds[0]
    last = standings(STUDY, TRIALS, race.rows)[-1]
    assert (last.trial, last.n, last.diverged) == (3, 0, race.seeds[3])


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED])
def test_where_none_comes_to_a_value_nobody_gets_more(status: Status) -> None:
    """The first round ends it."""
    race = Played(40, with_means()).to_the_end(status=status, metrics={})
    assert race.ended is Ended.NOBODY
    assert len(race.rows) == 12


def test_a_worth_of_the_study_decides_when_it_ends() -> None:
    """Two that are equal, and a gain has to be large to be worth anything: the first look shows that neither is."""
    race = Played(20, with_means(), study=replace(STUDY, selection=SelectionSpec(worth=50.0)), trials=TRIALS[:2])
    assert race.to_the_end().ended is Ended.WITHIN
    assert race.seeds == {0: 3, 1: 3}


def test_of_a_maximised_metric_the_largest_wins() -> None:
    """The same values, the other way round."""
    race = Played(40, with_means(cosine=100.0), study=replace(STUDY, direction="maximize", metric="val_loss"))
    assert race.to_the_end().ended is Ended.WINNER


# ── from the middle ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_ordered_and_is_not_there_is_queued_and_nothing_else_is_asked() -> None:
    """As after a kill between the state and its rows, or in their middle; the state stays as it is."""
    race = Played(40, with_means())
    first = race.step()
    assert race.step() == Step(first.state, first.rows)
    race.rows = [race._ended(row) for row in first.rows[:5]]
    assert race.step().rows == first.rows[5:]
    race.rows += [race._ended(row) for row in first.rows[5:]]
    second = race.step()
    assert second.state != first.state
    again = race.step()
    assert (again.state, again.rows, again.said) == (second.state, second.rows, ())


def test_another_seed_of_the_study_changes_no_seed_of_the_race() -> None:
    """Not of what was ordered; what comes later is the new one's."""
    race = Played(40, with_means())
    first = race.step()
    race.study = replace(STUDY, seed=7)
    assert race.step().rows == first.rows


def test_a_smaller_budget_ends_it_where_it_is() -> None:
    """14 trainings in the place of 40: after the first 12 nobody gets one more."""
    race = Played(40, with_means())
    race.rows = [race._ended(row) for row in race.step().rows]
    race.left = 14
    assert race.step().rows == ()
    assert race.ended is Ended.BUDGET


def test_finals_of_another_block_are_not_compared_and_it_is_said() -> None:
    """Three seeds by one engine; the next rounds by another are too few at first, and then the larger block."""
    race = Played(40, with_means())
    race.rows = [replace(race._ended(row), engine="fused/8", device="cpu") for row in race.step().rows]
    race.to_the_end(engine="sequential", device="cpu")
    assert any("by another engine or device" in each and "12 by fused/8 on cpu" in each for each in race.said)
    assert sum(race.seeds.values()) <= 40


def test_the_clock_ends_it_with_a_look_at_what_there_is() -> None:
    """Some of the second round have ended, the others were stopped; a later clock trains those to their end, and what
    is said then has a level of its own."""
    race = Played(40, with_means(cosine=-1.0))
    race.rows = [race._ended(row) for row in race.step().rows]
    second = race.step().rows
    race.rows += [race._ended(row) for row in second[:3]]
    race.rows += [replace(row, status=Status.STOPPED, steps=10) for row in second[3:]]
    assert race.state is not None
    race.state = closed(race.study, TRIALS, race.rows, race.state)
    assert (race.ended, race.state.taken) == (Ended.BUDGET, 2)
    assert closed(race.study, TRIALS, race.rows, race.state) == race.state
    spent = race.wrongly
    again = race.step()
    assert [row.training_id for row in again.rows] == [row.training_id for row in second[3:]]
    assert race.ended is None
    assert race.state.spent == pytest.approx(spent)


@pytest.mark.parametrize("means", [{}, {"step": 50.0}, {"step": 50.0, "cosine": 50.0}, {"rex": -9.0}])
def test_what_is_still_to_come_is_never_more_than_was_said_before(means: dict[str, float]) -> None:
    """Of forty trainings the first twelve are ordered at once, and all others may be; each look orders some of these,
    or sends who would have got them home."""
    race = Played(40, with_means(**means))
    to_come: list[int] = []
    while rows := race.step().rows:
        assert race.state is not None
        searched = [a_training(0, value=0.5, steps=race.study.total_steps - 40 * 90)]
        queued = [replace(row, status=Status.QUEUED, steps=0) for row in rows]
        to_come.append(len(rows) + to_order(race.study, [*searched, *race.rows, *queued], race.state))
        race.rows += [race._ended(row) for row in rows]
        to_come.append(to_come[-1] - len(rows))  # once these have ended
    assert to_come[0] == 40
    assert to_come == sorted(to_come, reverse=True)
    assert race.state is not None
    assert race.state.ended is not None
    assert to_order(race.study, race.rows, race.state) == 0


def test_two_that_are_left_order_at_most_what_their_last_look_wants() -> None:
    """Looks at 3, 5, 7, 11 and 17 seeds: after the first, two of four go on to 5, and may come to 17."""
    race = Played(40, with_means(step=50.0, cosine=50.0))
    race.rows += [race._ended(row) for row in race.step().rows]
    assert len(race.step().rows) == 2 * 2
    assert race.state is not None
    assert race.state.at == (3, 5, 7, 11, 17)
    searched = [a_training(0, value=0.5, steps=race.study.total_steps - 40 * 90)]
    assert to_order(race.study, [*searched, *race.rows], race.state) == 2 * (17 - 5)
    assert to_order(race.study, [*searched, *race.rows], race.state, left=20 * 90) == 20 - 12 - 4


def test_finals_that_go_on_without_a_race_are_levelled_inside_the_budget_and_looked_at_once_more() -> None:
    """Two have gone ahead and two were sent home: these get what is left, evenly, and all are looked at once, at a
    level that the looks before have left. A clock may end that too."""
    race = Played(40, with_means(rex=50.0, step=60.0))
    while race.state is None or race.state.taken < 3:
        race.rows += [race._ended(row) for row in race.step().rows]
    ahead, spent = race.seeds, race.wrongly
    assert ahead[0] > ahead[2]
    study = replace(STUDY, selection=SelectionSpec(racing=False))
    searched = [a_training(0, value=0.5, steps=STUDY.total_steps - 40 * 90)]

    def evenly() -> Step:
        assert race.state is not None
        trainings = [*searched, *race.rows]
        return evened(study, TRIALS, trainings, race.state, plan(study, TRIALS, trainings))

    found = evenly()
    assert found.state is not None
    assert (found.state.ended, found.state.out, len(found.state.at)) == (None, (), 1)
    assert found.state.spent == pytest.approx(spent)
    assert 40 - 4 < len(race.rows) + len(found.rows) <= 40
    assert {row.trial for row in found.rows} == {2, 3}
    race.state = found.state
    assert evenly() == found
    assert closed(study, TRIALS, race.rows, race.state).taken == 1
    race.rows += [race._ended(row) for row in found.rows]
    last = evenly()
    assert last.state is not None
    assert (last.state.taken, last.state.ended, last.rows) == (1, Ended.LOOKS, ())
    assert ALPHA > last.state.spent_now > spent
    race.state = last.state
    assert evenly() == Step(last.state)


# ── larger budgets ───────────────────────────────────────────────────────────────────────────────────────────────────


def larger(race: Played, trainings: int, trials: Sequence[TrialRow] = TRIALS, **selection: Any) -> Played:
    race.study = replace(
        race.study,
        budget=BudgetSpec(trainings=100 + trainings - race.left),
        total_steps=race.study.total_steps + (trainings - race.left) * 90,
        selection=SelectionSpec(**selection),
    )
    race.left, race.trials, race.rounds = trainings, trials, []
    return race.to_the_end()


def test_a_larger_budget_goes_on_where_it_is_still_open_at_what_level_is_left() -> None:
    """Equal ones: ten seeds each of 40 trainings, and twenty of 80. All looks together keep below 5 %, however many
    budgets follow."""
    race = Played(40, with_means()).to_the_end()
    first = race.wrongly
    larger(race, 80)
    assert set(race.seeds.values()) == {20}
    assert race.state is not None
    assert race.state.spent == pytest.approx(first)
    assert 0 < race.state.alpha <= ALPHA - first
    assert any(sentence.startswith("the finals go on: ") for sentence in race.said)
    for budget in (120, 160, 240, 480):
        larger(race, budget)
        assert race.wrongly < ALPHA
    assert sum(race.seeds.values()) > 450


def test_a_larger_budget_changes_nothing_where_a_winner_is_shown() -> None:
    """Nor does the same one, asked again."""
    race = Played(40, with_means(cosine=-100.0)).to_the_end()
    before = race.state
    larger(race, 80)
    assert (race.state, race.rounds) == (before, [])


def test_a_new_finalist_gets_the_seeds_that_the_others_have_begun_with() -> None:
    """The search went on and found a family that is better; the race begins anew with what all have."""
    race = Played(40, with_means(cosine=-100.0)).to_the_end()
    found = [*TRIALS, a_complete_trial(4, 0.1, family="wsd")]
    race.value = lambda trial, place: -200.0 + place if trial == 4 else with_means(cosine=-100.0)(trial, place)
    larger(race, 50, found)
    assert race.seeds == {0: 3, 1: 3, 2: 3, 3: 3, 4: 3}
    assert race.ended is Ended.WINNER
    assert {row.seed for row in race.rows if row.trial == 4} == {row.seed for row in race.rows if row.trial == 0}


def test_more_seeds_at_least_are_trained_also_of_a_race_that_is_won() -> None:
    """``selection.seeds`` becomes 5: all of them get two more."""
    race = Played(40, with_means(cosine=-100.0)).to_the_end()
    larger(race, 41, seeds=5)
    assert set(race.seeds.values()) == {5}


def to_seven_each() -> Played:
    """Two equal finalists and a budget for seven seeds each."""
    return Played(14, with_means(), trials=TRIALS[:2]).to_the_end()


@pytest.mark.parametrize("trainings", [24, 36, 60])
def test_a_new_finalist_that_is_sent_home_early_does_not_end_the_race_of_the_others(trainings: int) -> None:
    """It has 3 seeds where they have 7, so that the next looks of those that begin with 3 would ask nothing of them:
    these are passed over, and the two get nearly all of the rest."""
    race = to_seven_each()
    assert race.seeds == {0: 7, 1: 7}
    race.value = with_means(rex=50.0)
    larger(race, trainings, TRIALS[:3])
    assert race.seeds[2] <= 5
    assert race.ended in (Ended.LOOKS, Ended.BUDGET)
    assert trainings - sum(race.seeds.values()) < 2
    assert race.wrongly < ALPHA
    assert "after 3 to 7 seeds: trial 2 (rex) shown to be worse, and trained no more" in race.said


def test_a_new_finalist_that_is_as_good_as_the_others_comes_to_as_many_seeds() -> None:
    """It is the only one that gets seeds until it has as many."""
    race = to_seven_each()
    larger(race, 30, TRIALS[:3])
    assert set(race.seeds.values()) == {10}
    assert race.rounds[:2] == [3, 2]


def test_where_a_new_finalists_first_seeds_are_not_paid_for_it_is_said() -> None:
    """14 trainings there are, 16 are paid for, and it needs three; one training more, and they go on."""
    race = to_seven_each()
    before = race.state
    larger(race, 16, TRIALS[:3])
    assert (race.state, race.rounds) == (before, [])
    assert race.said[-1] == (
        "the finals do not go on: to give trial 2 (rex) the 3 seeds that finalists begin with takes 3 trainings, and "
        "the budget pays for 2 more. Give a larger budget"
    )
    larger(race, 17, TRIALS[:3])
    assert race.seeds == {0: 7, 1: 7, 2: 3}


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_families_that_are_known_to_be_far_behind_do_not_take_part() -> None:
    """A design trained points with two seeds each, 0.1 apart: the spread is 0.07, and two standard errors of a
    difference 0.2. The baseline takes part all the same, and all do where no spread is known, or nobody races."""
    fit = [
        replace(a_training(0, 1, value=0.5 + 0.1 * seed), seed=seed, purpose=Purpose.FIT, training_id=f"fit-{seed}")
        for seed in (0, 1)
    ]
    assert plan(STUDY, TRIALS, fit).trials == (2, 1)
    assert plan(STUDY, TRIALS, fit[:1]).trials == (2, 1, 0, 3)
    assert plan(replace(STUDY, selection=SelectionSpec(racing=False)), TRIALS, fit).trials == (2, 1, 0, 3)
    baseline = [replace(trial, origin=Origin.BASELINE) if trial.number == 3 else trial for trial in TRIALS]
    assert plan(STUDY, baseline, fit).trials == (2, 3, 1)
