"""The canary night after night: its limits, what is a drift, and what only starts limits anew."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lrsweep.selection.nights import Night, NightVerdict, Outcomes, Rules, Surroundings, judge, judgements
from lrsweep.selection.nights.drifting import LEVEL, Course, Divergences
from tests.nights_by_hand import HERE, LEVELS, night, outcomes, quiet, verdicts


def test_nights_in_which_nothing_changes_hold() -> None:
    """Limits need three nights; from the fourth on each holds, and nobody asks for challengers."""
    found = judgements(quiet(30))
    assert verdicts(found) == ["undecided"] * 3 + ["holds"] * 27
    assert not any(one.needs_challengers for one in found)
    assert found[0].reason.startswith("0 nights before tonight, and limits need 3")
    assert found[0].next_step == "2 nights more and there are limits"
    assert found[-1].reason.startswith(
        "nothing is shown to have changed: the canary of champion came to 0.99 (3 seeds)"
    )
    assert found[-1].charts[0].nights == 29


def test_the_limits_of_one_night_are_a_prediction_interval() -> None:
    """Three nights of 1, 2 and 3 with one seed each: 2 ± 14.09 · 1 · sqrt(1/3 + 1), by Student's t of 2 degrees."""
    course = Course()
    for value in (1.0, 2.0, 3.0):
        assert course.limits(1) is None
        course.add([value])
    limits = course.limits(1)
    assert limits is not None
    assert limits.high == pytest.approx(2 + 14.0890 * math.sqrt(4 / 3), rel=1e-4)
    assert limits.low == pytest.approx(2 - 14.0890 * math.sqrt(4 / 3), rel=1e-4)


def test_one_bad_night_asks_for_challengers_and_is_no_drift() -> None:
    """However far out it lies; the nights after it hold again, once challengers have been asked for three times."""
    nights = [*quiet(20), night(20, level=100.0), *quiet(10, start=21)]
    found = judgements(nights)
    assert found[20].verdict is NightVerdict.UNDECIDED
    assert found[20].needs_challengers
    assert "came to 100 (3 seeds), outside the limits" in found[20].reason
    assert NightVerdict.WORKLOAD_DRIFTED not in {one.verdict for one in found}
    assert [one.needs_challengers for one in found[20:25]] == [True, True, True, False, False]


def test_one_bad_night_does_not_hide_a_drift_after_it() -> None:
    """It is held to where nights are expected, so that a rise by five seed deviations later is still seen."""
    risen = [night(place, level=1.5, baseline=2.0) for place in range(41, 44)]
    found = judgements([*quiet(20), night(20, level=100.0), *quiet(20, start=21), *risen])
    drift = next(one for one in found if one.verdict is NightVerdict.WORKLOAD_DRIFTED)
    assert drift.key in ("night 42", "night 43")


def test_a_drift_is_one_verdict_and_limits_start_anew() -> None:
    """All canaries rise by five seed deviations: it is seen within three nights, said once, and is the new usual."""
    risen = [replace(each, key=f"risen {each.key}") for each in quiet(12, start=20)]
    risen = [
        replace(
            each,
            canary=Outcomes({seed: cost + 0.5 for seed, cost in each.canary.costs.items()}),
            canary_baseline=Outcomes({seed: cost + 0.5 for seed, cost in each.canary_baseline.costs.items()}),
        )
        for each in risen
    ]
    found = judgements([*quiet(20), *risen])
    when = [place for place, one in enumerate(found) if one.verdict is NightVerdict.WORKLOAD_DRIFTED]
    assert len(when) == 1
    assert 21 <= when[0] <= 22
    drift = found[when[0]]
    assert drift.needs_challengers
    assert drift.reason.startswith("the canary of champion has moved from 1 to 1.51, 5.1 deviations from seed to seed")
    assert verdicts(found[when[0] + 1 : when[0] + 4]) == ["undecided"] * 3
    assert found[-1].verdict is NightVerdict.HOLDS
    assert found[-1].since == found[when[0] + 1].key


def test_a_champion_that_loses_its_lead_is_seen_where_nights_vary() -> None:
    """Nights move both arms together by a lot; only the champion's lead over the baseline tells that it changed."""
    swings = (0.0, 3.0, -2.0, 1.0, -3.0, 2.0, -1.0)
    nights = []
    for place in range(26):
        level = 5.0 + swings[place % 7] + LEVELS[place % 5]
        nights.append(night(place, level=level + (0.5 if place >= 20 else 0.0), baseline=level + 0.5))
    found = judgements(nights)
    drift = next(one for one in found if one.verdict is NightVerdict.WORKLOAD_DRIFTED)
    champion, lead = drift.charts
    assert champion.shift is None
    assert lead.shift is not None
    assert lead.shift.by == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("around", "said"),
    [
        (replace(HERE, device="cuda"), "the device changed from cpu to cuda"),
        (
            replace(HERE, versions={"torch": "2.16.0", "numpy": "2.4"}),
            "the version of torch changed from 2.15.0 to 2.16.0",
        ),
        (replace(HERE, versions={"numpy": "2.4"}), "the version of torch changed from 2.15.0 to none"),
    ],
)
def test_another_device_or_version_is_said_and_is_no_drift(around: Surroundings, said: str) -> None:
    """With it all values move by five seed deviations; limits start anew, and soon hold again."""
    moved = [
        replace(each, canary=Outcomes({seed: cost + 0.5 for seed, cost in each.canary.costs.items()}))
        for each in quiet(10, start=20, around=around)
    ]
    found = judgements([*quiet(20), *moved])
    assert NightVerdict.WORKLOAD_DRIFTED not in {one.verdict for one in found}
    assert found[20].verdict is NightVerdict.UNDECIDED
    assert found[20].reason.startswith(f"{said}, so that limits and comparisons start anew: ")
    assert not found[20].needs_challengers
    assert found[20].since == "night 20"
    assert found[20].next_step == "2 nights more and there are limits"
    assert verdicts(found[21:]) == ["undecided"] * 2 + ["holds"] * 7


@pytest.mark.parametrize("change", [{"champion": "wsd"}, {"baseline": "linear"}, {"rung": 300}])
def test_another_champion_baseline_or_rung_starts_anew(change: dict[str, str | int]) -> None:
    """Its trainings are others, so that a change of values says nothing."""
    moved = [replace(each, **change) for each in quiet(6, start=10)]  # type: ignore[arg-type]
    found = judgements([*quiet(10), *moved])
    assert verdicts(found[10:13]) == ["undecided"] * 3
    assert found[10].since == "night 10"
    assert found[-1].verdict is NightVerdict.HOLDS


def test_a_commit_starts_nothing_anew_and_is_named_beside_a_drift() -> None:
    """Code is what a night watches: with each night's commit limits would never be."""
    nights = [replace(each, surroundings=replace(HERE, commit=f"c{place}")) for place, each in enumerate(quiet(20))]
    later = [
        replace(night(place, level=1.5, baseline=2.0), surroundings=replace(HERE, commit=f"c{place}"))
        for place in range(20, 23)
    ]
    found = judgements([*nights, *later])
    assert found[19].verdict is NightVerdict.HOLDS
    drift = next(one for one in found if one.verdict is NightVerdict.WORKLOAD_DRIFTED)
    place = int(drift.key.removeprefix("night "))
    assert drift.reason.endswith(f"; the commit changed from c{place - 1} to c{place}")
    assert judge([*nights, later[0]], Rules(restarts=("device", "commit"))).since == "night 20"


def test_divergences_are_told_beside_the_mean() -> None:
    """One seed of three diverges: the mean is that of the others, and holds."""
    one = night(20)
    lost = replace(one, canary=Outcomes({200: 0.9, 202: 1.1}, frozenset({201})))
    found = judge([*quiet(20), lost])
    assert found.verdict is NightVerdict.HOLDS
    assert found.charts[0].tonight == pytest.approx(1.0)
    assert found.diverged == (1, 3)
    assert found.diverged_before == (0, 60)
    assert found.reason.endswith("the champion's diverged with 1 of 3 seeds (0 of 60 in the nights before)")


def test_a_champion_that_begins_to_diverge_is_a_drift() -> None:
    """All seeds of two nights, after 20 nights without a divergence; on the first of them challengers are asked for."""
    nights = [*quiet(20), night(20), night(21)]
    nights[20:] = [replace(each, canary=outcomes(place, None)) for place, each in enumerate(nights[20:], start=20)]
    found = judgements(nights)
    assert found[20].verdict is NightVerdict.UNDECIDED
    assert found[20].needs_challengers
    assert found[21].verdict is NightVerdict.WORKLOAD_DRIFTED
    assert "diverged with 100% of the seeds of the last 2 nights, before that with 0%" in found[21].reason


def test_divergences_that_were_always_there_are_no_drift() -> None:
    """One of three seeds diverges every night."""
    divergences = Divergences()
    for _ in range(100):
        divergences.add(3, 1)
        assert divergences.shift() is None


def test_a_training_that_ignores_its_seed_has_no_drift_in_one_night() -> None:
    """All values are equal, then others: no spread was seen, and two equal nights are still not thrice that far out."""
    flat = [
        Night(f"{place}", "step", 200, HERE, outcomes(place, 1.0 if place < 10 else 0.9, (0.0, 0.0, 0.0)))
        for place in range(14)
    ]
    found = judgements(flat)
    assert verdicts(found[3:10]) == ["holds"] * 7
    assert found[10].verdict is NightVerdict.UNDECIDED


def test_all_levels_of_drifts_add_up_to_less_than_one_a_year() -> None:
    """365 nights, 3 charts, 7 windows."""
    assert 0.29 < 365 * 3 * 7 * LEVEL < 0.31
