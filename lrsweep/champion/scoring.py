"""What the test set says of a choice, beside what it says of the baseline. Numbers in, plain JSON out.

It says how good the choice is, and never which one to take: whoever reads it and then chooses again has made one more
half of validation data of it. So each read is counted, and the count stands beside the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lrsweep.records import Direction, Json
from lrsweep.selection.arms import Arm
from lrsweep.selection.comparing import difference
from lrsweep.selection.ranking import cost
from lrsweep.selection.statistics import listed, mean_interval, turned


@dataclass(frozen=True)
class Scored:
    """What trainings of one point came to on the test set, a value per seed; None where one diverged or failed."""

    trial: int
    family: str
    values: Sequence[float | None]

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]

    def arm(self, direction: Direction) -> Arm:
        lost = len(self.values) - len(self.known)
        return Arm(self.family, self.family, tuple(cost(value, direction) for value in self.known), diverged=lost)

    def to_json(self) -> dict[str, Json]:
        arm = self.arm("minimize")
        return {
            "trial": self.trial,
            "family": self.family,
            "n": arm.n,
            "without_value": arm.diverged,
            "mean": arm.mean,
            "sd": arm.sd,
            "interval": listed(mean_interval(self.known)),
            "values": list(self.values),
        }


def scored(
    chosen: Scored,
    baseline: Scored | None,
    *,
    data: str,
    metric: str,
    direction: Direction,
    seeds: Sequence[int],
    read: int,
    device: str,
) -> dict[str, Json]:
    """``gain`` is over the baseline, above zero where the choice is better; ``read`` counts this one."""
    found: dict[str, Json] = {
        "data": data,
        "metric": metric,
        "direction": direction,
        **chosen.to_json(),
        "seeds": list(seeds),
        "read": read,
        "device": device,
        "baseline": None,
        "gain": None,
        "gain_interval": None,
    }
    if baseline is not None:
        one, other = chosen.arm(direction), baseline.arm(direction)
        between = difference(other, one)
        found["baseline"] = baseline.to_json()
        found["gain"] = None if one.mean is None or other.mean is None else other.mean - one.mean
        found["gain_interval"] = None if between is None else listed(turned(between.interval(), 1.0))
    return found


def sentence(test: dict[str, Json]) -> str:
    """
    >>> chosen, old = Scored(3, "cosine", [1.0, 2.0, 3.0]), Scored(0, "step", [3.0, 4.0, 5.0])
    >>> more = {"direction": "minimize", "seeds": [7, 8, 9], "read": 1, "device": "cpu"}
    >>> sentence(scored(chosen, old, data="digits@2f0c", metric="test_loss", **more))
    'test_loss 2 ± 2.48 (n = 3), and 4 for the baseline, step: better by 2 (95 %: -0.267 to 4.27)'
    """
    if test["mean"] is None:
        return f"no training came to a {test['metric']}"
    reach = "" if test["interval"] is None else f" ± {(test['interval'][1] - test['interval'][0]) / 2:.3g}"
    lost, baseline = lost_told(test), test["baseline"]
    said = f"{test['metric']} {test['mean']:.4g}{reach} (n = {test['n']}{f'; {lost}' if lost else ''})"
    if baseline is None:
        return said
    lost = lost_told(baseline)
    if baseline["mean"] is None:
        return f"{said}; of the baseline, {baseline['family']}, {lost}"
    gain, interval = test["gain"], test["gain_interval"]
    by = f"{'better' if gain >= 0 else 'worse'} by {abs(gain):.3g}"
    if interval is not None:
        low, high = interval if gain >= 0 else (-interval[1], -interval[0])
        by += f" (95 %: {low:.3g} to {high:.3g})"
    beside = f" ({lost})" if lost else ""
    return f"{said}, and {baseline['mean']:.4g} for the baseline, {baseline['family']}{beside}: {by}"


def lost_told(given: Mapping[str, Json]) -> str:
    """Of trainings that are in no mean; nothing where there are none, or a text of others says odd things.

    >>> lost_told({"n": 2, "without_value": 1}), lost_told({"n": 3, "without_value": 0})
    ('1 of 3 came to no value', '')
    """
    lost, n = given.get("without_value"), given.get("n")
    if type(lost) is not int or type(n) is not int or lost <= 0 or n < 0:
        return ""
    return f"{lost} of {n + lost} came to no value"
