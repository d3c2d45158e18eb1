"""What nights claim wrongly in a year in which nothing changes, and how many they need to see what has changed.

Nothing is trained: values are drawn. Deviations from seed to seed are 1; a night has 3 seeds of each arm unless it says
otherwise. Run by ``make bench``, or alone::

    python -m tests.benchmarks.nights --json nights.json
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrsweep.engines.versions import versions
from lrsweep.selection.nights import NightVerdict, Rules, judgements
from tests.benchmarks.nights.simulated import Year, years

UNCHANGED = {
    "normal, 3 seeds": Year(),
    "normal, 2 seeds": Year(seeds=2),
    "normal, 2 challengers every night": Year(challengers=2),
    "skewed, 3 seeds": Year(tail="skewed"),
    "skewed, 2 seeds, 10 % of nights missed, 2 % of seeds diverge, 10 % of nights lack one, 1 challenger": Year(
        tail="skewed", seeds=2, missed=0.1, diverging=0.02, lacking=0.1, challengers=1
    ),
    "heavy tails, 2 seeds": Year(tail="heavy", seeds=2),
    "nights vary as much as seeds": Year(night_deviation=1.0),
    "outside the assumptions: nights vary so, with autocorrelation 0.3": Year(night_deviation=1.0, autocorrelation=0.3),
    "outside the assumptions: nights vary so, with autocorrelation 0.6": Year(night_deviation=1.0, autocorrelation=0.6),
}
SHIFTS = (1.0, 2.0)
BEFORE = (5, 10, 30, 100)
"""Nights before a shift."""
AFTER = 90
"""Nights after it, or with challengers, until nobody waits any longer."""


def false_verdicts(year: Year, count: int) -> dict[str, Any]:
    """Of each kind, means over ``count`` years; ``asked``: nights that asked for challengers."""
    verdicts: Counter[NightVerdict] = Counter()
    asked = nights = 0
    each = []
    for drawn in years(year, count):
        found = judgements(drawn, Rules(worth=0.0))
        own = Counter(one.verdict for one in found)
        each.append(own[NightVerdict.WORKLOAD_DRIFTED] + own[NightVerdict.CHALLENGER_BETTER])
        verdicts += own
        asked += sum(one.needs_challengers for one in found)
        nights += len(found)
    return {
        "years": count,
        "nights_a_year": round(nights / count, 1),
        "workload_drifted": round(verdicts[NightVerdict.WORKLOAD_DRIFTED] / count, 3),
        "challenger_better": round(verdicts[NightVerdict.CHALLENGER_BETTER] / count, 3),
        "both": round(float(np.mean(each)), 3),
        "standard_error": round(float(np.std(each, ddof=1)) / count**0.5, 3),
        "most_in_a_year": max(each),
        "asked_for_challengers": round(asked / count, 1),
    }


def nights_needed(year: Year, verdict: NightVerdict, rules: Rules, count: int) -> dict[str, Any]:
    """Until the verdict, counted from the first night on which there was anything to see."""
    needed = []
    for drawn in years(year, count):
        found = judgements(drawn, rules)[year.shifted_from :]
        needed.append(next((night for night, one in enumerate(found, 1) if one.verdict is verdict), None))
    seen = [np.inf if night is None else night for night in needed]
    return {
        "repeats": count,
        "median": _at(seen, 0.5),
        "in_9_of_10": _at(seen, 0.9),
        "seen_within_90_nights": round(float(np.mean(np.isfinite(seen))), 3),
    }


def _at(nights: list[float], share: float) -> int | None:
    """None: more than AFTER."""
    found = float(np.quantile(nights, share, method="inverted_cdf"))
    return int(found) if np.isfinite(found) else None


def measure(count: int, repeats: int) -> dict[str, Any]:
    drifted, better = NightVerdict.WORKLOAD_DRIFTED, NightVerdict.CHALLENGER_BETTER
    drifts = [
        {
            "seed_deviations": shift,
            "seeds": seeds,
            "nights_before": before,
            **nights_needed(
                Year(nights=before + AFTER, seeds=seeds, shift=shift, shifted_from=before),
                drifted,
                Rules(),
                repeats,
            ),
        }
        for shift in SHIFTS
        for seeds in (2, 3)
        for before in BEFORE
    ]
    gains = [
        {
            "seed_deviations": gain,
            "seeds": 3,
            "challengers": challengers,
            "worth": "half a seed deviation" if worth is None else worth,
            **nights_needed(
                Year(nights=AFTER, challengers=challengers, gain=gain), better, Rules(worth=worth), repeats
            ),
        }
        for gain in SHIFTS
        for challengers in (1, 3)
        for worth in (0.0, None)
    ]
    return {
        "benchmark": "nights",
        "unchanged": {name: {"year": changed(year), **false_verdicts(year, count)} for name, year in UNCHANGED.items()},
        "nights_until_drift": drifts,
        "nights_until_challenger": gains,
        "versions": {name: value for name, value in versions().items() if name in ("lrsweep", "python", "numpy")},
    }


def changed(year: Year) -> dict[str, Any]:
    """What is not as in any year."""
    usual = asdict(Year())
    return {name: value for name, value in asdict(year).items() if value != usual[name]}


def main() -> None:
    parser = argparse.ArgumentParser(description="What nights claim wrongly, and how many they need to see a shift.")
    parser.add_argument("--years", type=int, default=200, help="of each kind (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=200, help="of each shift and gain (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    result = measure(arguments.years, arguments.repeats)
    print(f"wrong verdicts in a year in which nothing changes, means of {arguments.years} years")
    for name, of in result["unchanged"].items():
        print(
            f"  {name:102} drifted {of['workload_drifted']:.2f}   challenger {of['challenger_better']:.3f}"
            f"   asked for challengers on {of['asked_for_challengers']:.0f} nights"
        )
    print(f"nights until a shift is called a drift, {arguments.repeats} repeats")
    for one in result["nights_until_drift"]:
        print(
            f"  {one['seed_deviations']:g} seed deviations, {one['seeds']} seeds, {one['nights_before']:3} nights"
            f" before   median {one['median']}   in 9 of 10 {one['in_9_of_10']}"
        )
    print(f"nights until a gain is called better, {arguments.repeats} repeats")
    for one in result["nights_until_challenger"]:
        print(
            f"  {one['seed_deviations']:g} seed deviations, {one['challengers']} challengers, worth {one['worth']}"
            f"   median {one['median']}   in 9 of 10 {one['in_9_of_10']}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
