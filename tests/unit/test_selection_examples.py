"""Intervals over the examples that decide: by hand, where nothing is known, and how often they cover the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lrsweep.records import Floats
from lrsweep.selection.arms import Arm
from lrsweep.selection.choice import Standing, choose
from lrsweep.selection.comparing import difference
from lrsweep.selection.examples import Examined, paired, with_seeds
from lrsweep.selection.results import Point, Result

DRAWS = 2_000
EXAMPLES = 215
"""Of the half by which finals of ``digits`` are decided."""
CHANCE = 3 * math.sqrt(0.95 * 0.05 / DRAWS)


def trained(family: str, *seeds: Sequence[float] | None, value: float | None = None) -> list[Result]:
    """A training per list of losses; the value is their mean."""
    found = []
    for seed, losses in enumerate(seeds):
        told = None if losses is None else np.array(losses, dtype=np.float32)
        mean = value if told is None else float(told.mean())
        found.append(Result(Point(family, peak_lr=0.1), 900, str(seed), mean, examples=told))
    return found


BASELINE = trained("linear", [2.0, 4.0, 6.0, 8.0], [2.0, 4.0, 6.0, 8.0], [2.5, 4.5, 6.5, 8.5])
BETTER = trained("cosine", [1.0, 4.0, 5.0, 6.0], [1.0, 4.0, 5.0, 6.0], [1.5, 4.5, 5.5, 6.5])
"""By 1, 0, 1 and 2: the gain is 1 with a standard error of √(2/3) / 2."""


def standing(results: Sequence[Result], family: str, direction: str = "minimize") -> Standing:
    choice = choose(results, baseline="linear", direction="maximize" if direction == "maximize" else "minimize")
    return next(each for each in choice.standings if each.point.family == family)


def test_the_gain_is_paired_by_example_over_the_mean_of_the_seeds() -> None:
    """Four differences of 1, 0, 1, 2: mean 1, deviation √(2/3), three degrees of freedom."""
    best = standing([*BASELINE, *BETTER], "cosine")
    assert best.examples is not None
    assert best.examples.baseline is not None
    reach = stats.t.ppf(0.975, 3) * math.sqrt(2 / 3) / 2
    assert best.examples.n == 4
    assert best.examples.baseline.gain == pytest.approx(1.0)
    assert best.examples.baseline.interval.low == pytest.approx(1.0 - reach)
    assert best.examples.baseline.interval.high == pytest.approx(1.0 + reach)
    # of its own examples 7/6, 25/6, 31/6, 37/6: far wider, since examples differ by more than schedules do
    own = [7 / 6, 25 / 6, 31 / 6, 37 / 6]
    assert best.examples.interval.low == pytest.approx(np.mean(own) - stats.t.ppf(0.975, 3) * np.std(own, ddof=1) / 2)
    assert best.examples.interval.width > 2 * best.examples.baseline.interval.width


def test_seeds_and_examples_add_their_variances() -> None:
    """Each arm's seeds deviate by 1/√12 over three: 1/36 + 1/36 beside the examples' 1/6."""
    best = standing([*BASELINE, *BETTER], "cosine")
    assert best.examples is not None
    assert best.examples.baseline is not None
    both = best.examples.baseline.interval_with_seeds
    assert both is not None
    seeds, examples = 1 / 36 + 1 / 36, 1 / 6
    degrees = (seeds + examples) ** 2 / (seeds**2 / 4 + examples**2 / 3)
    assert both.width / 2 == pytest.approx(stats.t.ppf(0.975, degrees) * math.sqrt(seeds + examples))
    assert (both.low + both.high) / 2 == pytest.approx(1.0)


def test_who_is_compared_with_whom() -> None:
    """The baseline has no gain over itself, nor the recommended over itself; a third one has both."""
    third = trained("step", *([each + 3.0 for each in (2.0, 4.1, 6.0, 8.0)] for _ in range(3)))
    results = [*BASELINE, *BETTER, *third]
    own, best, worst = (standing(results, family).examples for family in ("linear", "cosine", "step"))
    assert own is not None
    assert best is not None
    assert worst is not None
    assert choose(results, baseline="linear").recommended.point.family == "cosine"
    assert own.baseline is None
    assert own.recommended is not None
    assert own.recommended.gain == pytest.approx(-1.0)
    assert best.recommended is None
    assert worst.baseline is not None
    assert worst.baseline.gain == pytest.approx(-(3.0 + 0.025 - 1 / 6), abs=1e-6)
    assert worst.recommended is not None
    assert worst.recommended.gain == pytest.approx(worst.baseline.gain - 1.0)


def test_where_the_larger_is_better_a_gain_is_still_above_zero() -> None:
    """Values and their interval stay in the metric's own units."""
    found = standing([*BASELINE, *BETTER], "cosine", "maximize").examples
    assert found is not None
    assert found.baseline is not None
    assert found.baseline.gain == pytest.approx(-1.0)
    assert found.interval.low < np.mean([7 / 6, 25 / 6, 31 / 6, 37 / 6]) < found.interval.high


@pytest.mark.parametrize(
    "others",
    [
        [*BETTER[:2], *trained("cosine", None, value=4.0)],
        trained("cosine", [1.0, 4.0], [1.0, 4.0, 5.0], [1.0, 4.0, 5.0]),
        trained("cosine", [1.0], [1.0], [2.0]),
        [*BETTER[:2], replace(BETTER[2], examples=np.array([1.0, 2.0, 3.0, math.inf], dtype=np.float32))],
    ],
    ids=["a seed told nothing", "of other examples", "one example", "one is not finite"],
)
def test_nothing_is_said_where_a_seed_did_not_tell(others: list[Result]) -> None:
    """Of such an arm; the others are compared as ever, and seeds decide as ever."""
    choice = choose([*BASELINE, *others], baseline="linear")
    by_family = {each.point.family: each for each in choice.standings}
    assert by_family["cosine"].examples is None
    assert by_family["cosine"].turning is None
    assert by_family["linear"].examples is not None
    assert by_family["cosine"].gain_interval is not None


def test_a_seed_that_diverged_is_not_asked() -> None:
    """It is counted beside the mean, and the others tell."""
    lost = Result(Point("cosine", peak_lr=0.1), 900, "9", None)
    found = standing([*BASELINE, *BETTER, lost], "cosine")
    assert (found.n, found.diverged) == (3, 1)
    assert found.examples is not None


def test_examples_decide_nothing() -> None:
    """Winner, set, evidence and chances are the same without them."""
    results = [*BASELINE, *BETTER]
    with_them = choose(results, baseline="linear")
    without = choose([replace(each, examples=None) for each in results], baseline="linear")
    assert (with_them.verdict, with_them.winner) == (without.verdict, without.winner)
    assert with_them.probability_best == without.probability_best
    assert without.recommended.examples is None


TURNING = trained("cosine", [1.0, 4.6, 6.0, 6.0], [1.0, 4.6, 6.0, 6.0], [1.01, 4.61, 6.01, 6.01])
"""Better by 1, -0.6, 0 and 2: seeds agree, and examples do not."""


def test_a_gain_that_other_examples_may_turn_is_told_in_one_sentence() -> None:
    """Where seeds are clear of 0 and examples are not; and in JSON, that programs need not read it."""
    steady = trained("linear", *([2.0 + by, 4.0 + by, 6.0 + by, 8.0 + by] for by in (0.0, 0.0, 0.01)))
    choice = choose([*steady, *TURNING], baseline="linear")
    best = choice.recommended
    assert best.point.family == "cosine"
    assert best.gain_interval is not None
    assert best.gain_interval.low > 0
    assert best.turning is not None
    assert best.turning.startswith(
        "By seeds its gain over the baseline is clear of 0, over examples it is not (95 %: -1."
    )
    assert "on another validation set of 4 examples this may turn round." in best.turning
    written = json.loads(json.dumps(choice.to_json(), allow_nan=False))
    assert written["gain_may_turn"] is True
    assert written["choice"]["over_examples"]["gain_interval"][0] < 0 < written["choice"]["gain_interval"][0]


def test_a_gain_that_is_clear_both_ways_or_neither_way_is_not_warned_of() -> None:
    """By seeds clear and by examples clear; by seeds open, whatever examples say."""
    clear = trained("cosine", *([1.0 + by, 3.1 + by, 5.0 + by, 6.9 + by] for by in (0.0, 0.0, 0.01)))
    steady = trained("linear", *([2.0 + by, 4.0 + by, 6.0 + by, 8.0 + by] for by in (0.0, 0.0, 0.01)))
    assert standing([*steady, *clear], "cosine").turning is None
    noisy = trained("linear", *([2.0 + by, 4.0 + by, 6.0 + by, 8.0 + by] for by in (0.0, 3.0, -3.0)))
    found = standing([*noisy, *TURNING], "cosine")
    assert found.examples is not None
    assert found.examples.baseline is not None
    assert found.examples.baseline.interval.holds(0.0)
    assert found.turning is None


# ── coverage ─────────────────────────────────────────────────────────────────────────────────────────────────────────

Losses = Callable[[np.random.Generator], tuple[Floats, float]]
"""Of two arms' examples ``[2, 1, examples]``, and the true difference of their means."""


def _alike(random: np.random.Generator) -> Floats:
    """Of both arms, correlated by 0.9: an example that is hard for one is hard for the other."""
    shared, own = random.normal(size=(1, 1, EXAMPLES)), random.normal(size=(2, 1, EXAMPLES))
    return np.asarray(0.9 * shared + math.sqrt(1 - 0.81) * own)


def bell_shaped(random: np.random.Generator) -> tuple[Floats, float]:
    return 1.0 + 0.3 * _alike(random), 0.0


def skewed(random: np.random.Generator) -> tuple[Floats, float]:
    """Logarithms that are normal: skewness 6."""
    return np.exp(_alike(random)), 0.0


def skewed_and_worse(random: np.random.Generator) -> tuple[Floats, float]:
    """The second arm loses 30 % more on each example, so that differences are as skewed as losses are."""
    losses = np.exp(_alike(random))
    losses[1] *= 1.3
    return losses, -0.3 * math.exp(0.5)


def few_mistakes(random: np.random.Generator) -> tuple[Floats, float]:
    """As of a good classifier: 0.02 where it is right, 4 where it is wrong, half of that on the same examples."""
    wrong = (random.random((2, 1, EXAMPLES)) < 0.02) | (random.random((1, 1, EXAMPLES)) < 0.02)
    return np.where(wrong, 4.0, 0.02), 0.0


def very_skewed_and_worse(random: np.random.Generator) -> tuple[Floats, float]:
    """Skewness 33, and 30 % more on each example."""
    losses = np.exp(1.5 * np.repeat(random.normal(size=(1, 1, EXAMPLES)), 2, axis=0))
    losses[1] *= 1.3
    return losses, -0.3 * math.exp(1.5**2 / 2)


def covered(losses: Losses, *, seeds: int = 5, spread: float = 0.02, mixed: float = 0.2) -> tuple[float, float, float]:
    """How often the interval over examples holds the difference that these seeds have on all examples, and those with
    seeds too and over seeds alone the one that all seeds have. ``mixed`` is what a seed does to a single example."""
    random = np.random.default_rng(7)
    held = np.zeros(3)
    for _ in range(DRAWS):
        base, true = losses(random)
        moved = spread * random.normal(size=(2, seeds, 1))
        drawn = base + moved + mixed * random.normal(size=(2, seeds, EXAMPLES))
        first, second = (Examined(Arm("", "", tuple(each.mean(axis=1))), each.mean(axis=0)) for each in drawn)
        over_examples, over_seeds = paired(first, second), difference(first.arm, second.arm)
        assert over_seeds is not None
        held += (
            over_examples.interval().holds(true + float(moved[0].mean() - moved[1].mean())),
            with_seeds(over_examples, over_seeds).interval().holds(true),
            over_seeds.interval().holds(true),
        )
    of_examples, of_both, of_seeds = (held / DRAWS).tolist()
    return of_examples, of_both, of_seeds


@pytest.mark.parametrize("losses", [bell_shaped, skewed, skewed_and_worse, few_mistakes])
def test_the_interval_over_examples_covers_what_it_promises(losses: Losses) -> None:
    """95 % within what chance does to 2,000 draws, of skewed losses too; with seeds it is never too narrow, and the one
    over seeds alone is, for it says nothing of other examples."""
    of_examples, of_both, of_seeds = covered(losses)
    assert of_examples == pytest.approx(0.95, abs=CHANCE + 0.005)
    assert of_both >= 0.95 - CHANCE - 0.005
    assert of_seeds < 0.92


def test_where_seeds_are_the_larger_part_the_interval_with_them_covers_too() -> None:
    """Three seeds that differ by more than examples do, and seeds that act on each example anew, which count twice."""
    assert covered(bell_shaped, seeds=3, spread=0.2)[1] >= 0.95 - CHANCE
    assert covered(bell_shaped, spread=0.01, mixed=2.0)[1] >= 0.95 - CHANCE


def test_differences_that_are_very_skewed_are_covered_less_often() -> None:
    """What the README says of them: 88 in 100, since Student's interval takes a mean of 215 for normal."""
    assert covered(very_skewed_and_worse)[0] == pytest.approx(0.88, abs=0.03)
