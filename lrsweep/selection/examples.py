"""What another validation set would say: intervals over the examples that decide, beside those over seeds.

    costs of an arm     of each example, the mean over the arm's seeds
    over examples       two arms' costs of the same examples, paired: Student's, as if the examples were drawn from many
    with seeds too      variance = the seeds' part (Welch) + the examples' part

The first interval is about these seeds and other examples of the same kind, the second about other seeds and other
examples. Both parts of the second hold what a seed does to a single example, which so counts twice: it is rather too
wide. Nothing is decided by either: a winner is named by seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lrsweep.records import Direction, Floats, Json
from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import Difference, difference
from lrsweep.selection.ranking import cost
from lrsweep.selection.results import Result
from lrsweep.selection.statistics import Interval, interval_around, listed, turned


@dataclass(frozen=True, eq=False)
class Examined:
    """An arm whose seeds all told the loss of each example."""

    arm: Arm
    costs: Floats
    """of each example, the smaller the better, whichever way the metric is"""


@dataclass(frozen=True)
class Against:
    """Another finalist, by the same examples; above zero where that one is worse."""

    gain: float
    interval: Interval
    """95 %: these seeds, other examples"""
    interval_with_seeds: Interval | None
    """95 %: other seeds too; None for fewer than two seeds"""


@dataclass(frozen=True)
class OverExamples:
    """What single examples say of one finalist, in the metric's own units."""

    n: int
    interval: Interval
    """95 %, of the mean: these seeds, other examples"""
    baseline: Against | None
    """None of the baseline itself, and where it did not tell"""
    recommended: Against | None

    def to_json(self) -> dict[str, Json]:
        gained, ahead = self.baseline, self.recommended
        return {
            "n": self.n,
            "interval": listed(self.interval),
            "gain_interval": None if gained is None else listed(gained.interval),
            "gain_interval_with_seeds": None if gained is None else listed(gained.interval_with_seeds),
            "over_recommended": None if ahead is None else ahead.gain,
            "over_recommended_interval": None if ahead is None else listed(ahead.interval),
            "over_recommended_interval_with_seeds": None if ahead is None else listed(ahead.interval_with_seeds),
        }

    def sentence(self, metric: str) -> str:
        """For whoever reads the choice, in a terminal or in a report.

        >>> gained = Against(0.048, Interval(-0.001, 0.097), Interval(-0.002, 0.098))
        >>> print(OverExamples(215, Interval(0.15, 0.25), gained, None).sentence("decide_loss"))
        Over the 215 examples that decide, with these seeds: decide_loss 0.15 to 0.25 (95 %), \
gain over the baseline +0.048 ± 0.049, with other seeds too ± 0.05.
        """
        text = f"Over the {self.n:,} examples that decide, with these seeds: {metric} {_between(self.interval)} (95 %)"
        if self.baseline is None:
            return f"{text}."
        gain, both = self.baseline, self.baseline.interval_with_seeds
        with_seeds = "" if both is None else f", with other seeds too {_reach(both)}"
        return f"{text}, gain over the baseline {gain.gain:+.3g} {_reach(gain.interval)}{with_seeds}."


def examined(arm: Arm, rows: Sequence[Result], direction: Direction) -> Examined | None:
    """None where one of its seeds did not tell, or told of other examples."""
    told = [row.examples for row in rows if not row.has_diverged]
    known = [each for each in told if each is not None and len(each) > 1 and np.isfinite(each).all()]
    if not known or len(known) < len(told) or len({len(each) for each in known}) > 1:
        return None
    return Examined(arm, cost(1.0, direction) * np.asarray(known, dtype=np.float64).mean(axis=0))


def over_examples(
    of: Examined | None, baseline: Examined | None, recommended: Examined | None, direction: Direction
) -> OverExamples | None:
    if of is None:
        return None
    n, sign = len(of.costs), cost(1.0, direction)
    mean = interval_around(float(of.costs.mean()), float(of.costs.std(ddof=1)), n)
    own = turned(mean, sign)
    assert own is not None
    return OverExamples(n, own, _against(of, baseline), _against(of, recommended))


def paired(first: Examined, second: Examined) -> Difference:
    """Of the first's mean less the second's, over examples.

    >>> arm = Arm("a", "a", ())
    >>> found = paired(Examined(arm, np.array([1.0, 2.0, 3.0])), Examined(arm, np.array([2.0, 4.0, 6.0])))
    >>> found.mean, round(found.error, 3), found.degrees
    (-2.0, 0.577, 2.0)
    """
    apart = first.costs - second.costs
    return Difference(float(apart.mean()), float(apart.std(ddof=1)) / math.sqrt(len(apart)), len(apart) - 1.0)


def with_seeds(examples: Difference, seeds: Difference) -> Difference:
    """Both chances together, with Satterthwaite's degrees of freedom.

    >>> both = with_seeds(Difference(1.0, 3.0, 200.0), Difference(1.0, 4.0, 8.0))
    >>> both.mean, both.error, round(both.degrees, 2)
    (1.0, 5.0, 19.29)
    """
    one, other = examples.error**2, seeds.error**2
    variance = one + other
    degrees = examples.degrees + seeds.degrees
    if variance > 0:
        degrees = variance**2 / (one**2 / examples.degrees + other**2 / seeds.degrees)
    return Difference(examples.mean, math.sqrt(variance), degrees)


def _against(of: Examined, other: Examined | None) -> Against | None:
    if other is None or other.arm is of.arm or len(other.costs) != len(of.costs):
        return None
    by_examples = paired(other, of)
    by_seeds = difference(other.arm, of.arm)
    both = None if by_seeds is None else with_seeds(by_examples, by_seeds).interval()
    return Against(by_examples.mean, by_examples.interval(), both)


def _between(interval: Interval) -> str:
    return f"{interval.low:.4g} to {interval.high:.4g}"


def _reach(interval: Interval) -> str:
    """Student's intervals reach as far to either side."""
    return f"± {interval.width / 2:.2g}"
