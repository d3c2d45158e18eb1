"""What the decision claims of real trainings: seeds drawn anew, with replacement, from fifty of each schedule.

The file has twelve schedules of three workloads (``tests/benchmarks/regret/real_seeds.py`` trains them): eight families
at about their best rate, and four that are clearly worse. Losses are skewed, spreads differ by up to seven times, one
schedule diverges at times, and of the accuracies on ``logistic`` fifty seeds are often one value.
"""

from __future__ import annotations

import csv
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lrsweep.selection.arms import Arm
from lrsweep.selection.deciding import Evidence, decide
from tests.unit.test_selection_simulated import at_most

FILE = Path(__file__).parents[1] / "fixtures" / "choose" / "real-seeds.csv"
WORKLOADS = ("logistic", "digits-mlp", "next-character")
COLUMNS = ("value", "accuracy")
COMPARISONS = 1_000


@dataclass(frozen=True, eq=False)
class Trained:
    """A schedule's fifty seeds as costs, NaN where one diverged."""

    family: str
    peak_lr: str
    costs: np.ndarray

    @property
    def mean(self) -> float:
        return float(np.nanmean(self.costs))

    @property
    def sd(self) -> float:
        return float(np.nanstd(self.costs, ddof=1))

    def arm(self, random: np.random.Generator, n: int, name: str, family: str = "", by: float = 0.0) -> Arm:
        """``n`` of the seeds, moved by so much."""
        drawn = random.choice(self.costs, n) + by
        kept = drawn[~np.isnan(drawn)]
        # the simplest is whoever happens to have the name, so that simplicity is nobody's merit
        return Arm(name, family or name, tuple(kept.tolist()), n - len(kept), complexity=float(sum(map(ord, name)) % 3))


@cache
def schedules(workload: str, column: str) -> tuple[Trained, ...]:
    """The best first."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["workload"] == workload:
                value = float(row[column] or "nan")
                found[row["family"], row["peak_lr"]].append(-value if column == "accuracy" else value)
    each = [Trained(family, peak, np.array(costs)) for (family, peak), costs in found.items()]
    return tuple(sorted(each, key=lambda one: (np.isnan(one.costs).any(), one.mean)))


def as_found(random: np.random.Generator, found: Sequence[Trained], n: int) -> list[Arm]:
    return [each.arm(random, n, f"{each.family} {each.peak_lr}", each.family) for each in found]


def test_the_file_has_fifty_seeds_of_twelve_schedules_of_three_workloads() -> None:
    """Of eight families; the best and the worst of a workload are far apart, and one diverged twice."""
    for workload in WORKLOADS:
        found = schedules(workload, "value")
        assert (len(found), len({each.family for each in found})) == (12, 8)
        assert {len(each.costs) for each in found} == {50}
        assert found[-1].mean - found[0].mean > 5 * found[0].sd
    lost: Mapping[str, int] = {each: int(np.isnan(schedules(each, "value")[-1].costs).sum()) for each in WORKLOADS}
    assert lost == {"logistic": 0, "digits-mlp": 0, "next-character": 2}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_one_schedules_seeds_make_no_winner_of_themselves(n: int, workload: str, column: str) -> None:
    """Two to five arms are drawn from the seeds of one schedule, another one each time."""
    found = schedules(workload, column)
    random = np.random.default_rng(0)
    claims = 0
    for _ in range(COMPARISONS):
        one = found[int(random.integers(len(found)))]
        claims += (
            decide([one.arm(random, n, f"{place}") for place in range(random.choice([2, 2, 5]))]).winner is not None
        )
    assert claims / COMPARISONS <= at_most(0.05, COMPARISONS)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_two_that_tie_at_the_top_make_no_winner(n: int, workload: str, column: str) -> None:
    """The best schedule is there twice, and the others are what they are."""
    first, *others = schedules(workload, column)
    random = np.random.default_rng(0)
    claims = 0
    for _ in range(COMPARISONS):
        arms = [first.arm(random, n, "one"), first.arm(random, n, "other"), *as_found(random, others[-8:], n)]
        claims += decide(arms).winner is not None
    assert claims / COMPARISONS <= at_most(0.05, COMPARISONS)


def winners_of_equal_means(pairs: Sequence[tuple[Trained, Trained]], n: int) -> float:
    """Any two that are given, the second moved to the mean of the first."""
    random = np.random.default_rng(0)
    claims = 0
    for _ in range(COMPARISONS):
        one, other = pairs[int(random.integers(len(pairs)))]
        arms = [one.arm(random, n, "one"), other.arm(random, n, "other", by=one.mean - other.mean)]
        claims += decide(arms).winner is not None
    return claims / COMPARISONS


def pairs_of(workload: str) -> list[tuple[Trained, Trained]]:
    """Of those that never diverged."""
    found = [each for each in schedules(workload, "value") if not np.isnan(each.costs).any()]
    return list(itertools.combinations(found, 2))


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_real_schedules_with_equal_means_and_their_own_spreads_make_no_winner(n: int, workload: str) -> None:
    """Spreads as 1 to 3 at most, as between most of them: 3.2 to 6.1 %."""
    pairs = [pair for pair in pairs_of(workload) if 1 / 3 <= pair[0].sd / pair[1].sd <= 3]
    assert winners_of_equal_means(pairs, n) <= at_most(0.05, COMPARISONS)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_seeds_that_go_wrong_at_times_are_beyond_what_a_few_can_tell(n: int) -> None:
    """On ``logistic`` five schedules have a spread of ten times the others' by a few bad seeds (skewness 1.8). Moved to
    equal means, whoever has not met a bad seed yet looks better: 12 to 17 % of comparisons claim a winner, not 5. No
    test of n seeds sees what happens in fewer than one of n. The README says so."""
    pairs = [pair for pair in pairs_of("logistic") if max(pair[0].sd / pair[1].sd, pair[1].sd / pair[0].sd) > 3]
    assert 0.05 < winners_of_equal_means(pairs, n) <= 0.2


@dataclass(frozen=True)
class Score:
    right: float
    """the best schedule's family is named as the winner"""
    wrong: float
    """another family is"""
    worse: float
    """one is taken as shown to be as good, and is worse by half more than it is worth"""


@cache
def score(workload: str, column: str, n: int) -> Score:
    """All twelve as they are; a gain is worth a change from half the best one's deviation up."""
    found = schedules(workload, column)
    best, worth = found[0], 0.5 * found[0].sd
    truth = {f"{each.family} {each.peak_lr}": each for each in found}
    random = np.random.default_rng(0)
    verdicts = [decide(as_found(random, found, n), worth=worth) for _ in range(COMPARISONS // 2)]
    winners = [truth[each.winner].family for each in verdicts if each.winner is not None]
    taken = [truth[each.recommended] for each in verdicts if each.evidence is Evidence.RECOMMENDED]
    return Score(
        right=sum(each == best.family for each in winners) / len(verdicts),
        wrong=sum(each != best.family for each in winners) / len(verdicts),
        worse=sum(each.mean - best.mean > 1.5 * worth for each in taken) / len(verdicts),
    )


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_among_twelve_real_schedules_a_wrong_winner_is_rare(n: int, workload: str, column: str) -> None:
    """No other family than the best one's; nor is one taken as shown to be as good that is worse by half more than it
    is worth: 0 to 1 %, and 6 of three seeds on ``logistic``, where one schedule's seeds go wrong at times."""
    found = score(workload, column, n)
    assert found.wrong <= at_most(0.05, COMPARISONS // 2)
    assert found.worse <= at_most(0.05, COMPARISONS // 2)


def test_a_real_winner_is_found_where_there_is_one() -> None:
    """On ``logistic`` the best schedule is ahead by 1.7 deviations, on the others by 0.05 and 0.2, which no budget
    tells apart: the winner is named in 2, 26 and 84 % of comparisons of 3, 5 and 10 seeds, and there hardly ever."""
    assert score("logistic", "value", 10).right >= 0.7
    for workload in WORKLOADS[1:]:
        assert score(workload, "value", 10).right <= 0.05
