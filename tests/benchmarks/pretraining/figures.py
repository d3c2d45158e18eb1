"""From curves to figures: what an early look at trainings would have said of their end. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

from lrsweep.selection.statistics import rank_correlation
from tests.benchmarks.pretraining.curves import Curve, Curves


@dataclass(frozen=True)
class Group:
    """Schedules that were trained to one horizon; ``names`` as the picture and the tables show them."""

    horizon: int
    names: Mapping[str, str]
    shares: tuple[float, ...] = (1 / 3, 2 / 3)
    """of the horizon, where it is looked at"""

    def end(self, curves: Curves) -> float:
        """The last step that all of them have logged, a little before the horizon."""
        return min(float(self.horizon), *(curves[name].end for name in self.names))


SHAPES = Group(
    24_000,
    MappingProxyType(
        {
            "constant_24000": "constant",
            "cosine_24000": "cosine",
            "wsd_20000_24000": "wsd, exponential",
            "wsdld_20000_24000": "wsd, linear",
        }
    ),
)
"""The question: which of the shapes?"""

TWO_STAGES = Group(
    16_000,
    MappingProxyType(
        {
            "constant_24000": "constant",
            "wsdcon_18": "to 0.6 of the peak at 8,000",
            "wsdcon_9": "to 0.3 of the peak at 8,000",
            "wsdcon_3": "to 0.1 of the peak at 8,000",
        }
    ),
    shares=(2 / 3,),
)
"""All are the same training until the rate drops at step 8,000, so that an earlier look sees nothing."""

AGAIN = ("constant_24000", "constant_72000")
"""Two runs of the same rates: what chance alone does to a loss."""
LONG = ("constant", "cosine")
"""Trained to 24,000 and to 72,000 steps."""


def cut_off(group: Group, share: float, curves: Curves) -> dict[str, Any]:
    """The order at ``share`` of the horizon beside the order at the end."""
    end = group.end(curves)
    seen = {name: curves[name].at(share * group.horizon) for name in group.names}
    final = {name: curves[name].at(end) for name in group.names}
    lowest = min(seen.values())
    picked = [name for name in seen if seen[name] == lowest]
    regrets = [final[name] - min(final.values()) for name in picked]
    right, pairs = pairs_right(list(seen.values()), list(final.values()))
    correlation = rank_correlation(list(seen.values()), list(final.values()))
    return {
        "share": round(share, 3),
        "step": round(share * group.horizon),
        "end": end,
        "losses": {group.names[name]: _rounded(loss) for name, loss in seen.items()},
        "final": {group.names[name]: _rounded(loss) for name, loss in final.items()},
        "spearman": None if correlation is None else round(correlation, 2),
        "kendall": round(2 * right / pairs - 1, 2),
        "pairs_right": right,
        "pairs": pairs,
        "picks": [group.names[name] for name in picked],
        "best": group.names[min(final, key=final.__getitem__)],
        "regret": _rounded(math.fsum(regrets) / len(regrets)),
    }


def pairs_right(seen: Sequence[float], final: Sequence[float]) -> tuple[float, int]:
    """How many pairs the first order has as the second does, and of how many; a pair that ties counts half.

    >>> pairs_right([1.0, 2.0, 2.0], [1.0, 3.0, 2.0])
    (2.5, 3)
    """
    right, pairs = 0.0, 0
    for one, other in combinations(range(len(seen)), 2):
        signs = ((seen[one] > seen[other]) - (seen[one] < seen[other])) * (
            (final[one] > final[other]) - (final[one] < final[other])
        )
        right += (signs + 1) / 2
        pairs += 1
    return right, pairs


def sizes(group: Group, by_size: Mapping[int, Curves]) -> list[dict[str, Any]]:
    """What a smaller model's final order says of a larger one's."""
    finals = {
        size: {name: curves[name].at(group.end(curves)) for name in group.names} for size, curves in by_size.items()
    }
    found = []
    for small, large in combinations(sorted(by_size), 2):
        picked = min(finals[small], key=finals[small].__getitem__)
        correlation = rank_correlation(list(finals[small].values()), list(finals[large].values()))
        found.append(
            {
                "millions": small,
                "of_millions": large,
                "spearman": None if correlation is None else round(correlation, 2),
                "picks": group.names[picked],
                "regret": _rounded(finals[large][picked] - min(finals[large].values())),
            }
        )
    return found


def gaps(curves: Curves) -> dict[str, float]:
    """How far cosine is below constant at 72,000 steps; on the same trainings cut off at a third; and on whole
    schedules of a third."""

    def gap(horizon: int, step: float | None = None) -> float:
        one, other = (curves[f"{name}_{horizon}"] for name in LONG)
        at = min(one.end, other.end) if step is None else step
        return one.at(at) - other.at(at)

    end = gap(72_000)
    cut, whole = gap(72_000, 24_000), gap(24_000)
    return {
        "at_the_end": _rounded(end),
        "cut_off_at_a_third": _rounded(cut),
        "whole_schedules_of_a_third": _rounded(whole),
        "share_seen_cut_off": round(cut / end, 2),
        "share_seen_whole": round(whole / end, 2),
    }


def noise(curves: Curves) -> dict[str, float]:
    """By how much two runs of the same rates differ, where the others are looked at."""
    one, other = (curves[name] for name in AGAIN)
    steps = [*(share * SHAPES.horizon for share in SHAPES.shares), SHAPES.end(curves)]
    return {f"{step:.0f}": _rounded(abs(one.at(step) - other.at(step))) for step in steps}


def below_constant(curve: Curve, constant: Curve) -> tuple[list[float], list[float]]:
    """Steps, and by how much the curve is below the other one there, where both were logged."""
    steps = [float(step) for step in curve.steps if constant.steps[0] <= step <= constant.end]
    return steps, [curve.at(step) - constant.at(step) for step in steps]


def report(by_size: Mapping[int, Curves]) -> dict[str, Any]:
    return {
        "benchmark": "pretraining",
        "source": "thu-yao-01-luo/MultiPowerLaw, MIT licence; arXiv 2503.12811; one seed each",
        "shapes": _looks(SHAPES, by_size),
        "two_stages": _looks(TWO_STAGES, by_size),
        "sizes": sizes(SHAPES, by_size),
        "cosine_below_constant": {str(size): gaps(curves) for size, curves in by_size.items()},
        "two_runs_of_constant_differ_by": {str(size): noise(curves) for size, curves in by_size.items()},
    }


def _looks(group: Group, by_size: Mapping[int, Curves]) -> dict[str, list[dict[str, Any]]]:
    return {str(size): [cut_off(group, share, curves) for share in group.shares] for size, curves in by_size.items()}


def _rounded(loss: float) -> float:
    return round(loss, 4)
