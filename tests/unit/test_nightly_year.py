"""Years of nights by the runner itself, its trainings scripted: what the statistics promise holds for what it trains,
stores and reads back. The statistics alone are simulated over many more (``tests/unit/test_nights_simulated.py``)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import lrsweep.nightly.around as around
from lrsweep.records import TrainingPlan
from lrsweep.store.champions import Alias
from tests.nightly_runs import CHALLENGER, HERE, Nights
from tests.scripted import End, completed

YEAR, MONTHS = 365, 120
"""Nights. Four months take 5 s, a year 40 s: the whole one is for `make chaos`."""
FALSE = ("workload drifted", "challenger better")


def year(folder: Path, number: int, nightly: str = "", nights_of: int = YEAR) -> Counter[str]:
    """Every night trains, and nothing ever changes: values are normal, and no two seeds share theirs."""

    def script(plan: TrainingPlan) -> End:
        family = len(plan.schedule.family)
        return completed(plan, float(np.random.default_rng([number, plan.seed, family]).normal(1.0, 0.1)))

    nights = Nights(folder / str(number), script=script, nightly=nightly)
    nights.promote()
    nights.promote(CHALLENGER, Alias.CANDIDATE)
    found = nights.many(f"{number}-{place}" for place in range(nights_of))
    seeds = [seed for row in nights.store.nights.rows() for key in ("seeds", "full_seeds") for seed in row.plan[key]]
    assert len(seeds) == len(set(seeds)) == 4 * nights_of
    return Counter(night.verdict for night in found)


@pytest.mark.parametrize(
    ("years", "nights"),
    [
        pytest.param(range(1), MONTHS, id="four months"),
        pytest.param(range(7), YEAR, id="seven years", marks=pytest.mark.chaos),
    ],
)
def test_a_time_in_which_nothing_changes_has_at_most_one_false_verdict_a_year(
    years: range, nights: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the mean, and most nights hold. With the 0.12 that are expected chance gives two in one year, or eight in
    seven, less than once in a hundred runs; the seeds are always the same."""
    monkeypatch.setattr(around, "look_around", lambda **_: HERE)
    verdicts = sum((year(tmp_path, number, "seeds = 2", nights) for number in years), Counter[str]())
    assert sum(verdicts[each] for each in FALSE) <= len(years)
    assert verdicts["holds"] > 0.9 * verdicts.total()
    assert verdicts.total() == len(years) * nights
